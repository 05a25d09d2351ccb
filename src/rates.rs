//! Rate limits on this node: of a user, over all of its clients and rooms, and of a session.

use std::{
    hash::Hash,
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed, keyed::HashMapStateStore},
};

use crate::error::Error;

/// The shortest time between two sweeps of a [`Limiter`], which forget the keys with a full burst
/// again.
pub const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// A sustained rate, and a burst.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// Events per second, sustained; 0: no limit.
    pub per_second: u32,
    /// Events at once after a pause.
    pub burst: NonZeroU32,
}

impl Rate {
    /// No limit.
    pub const UNLIMITED: Self = Self {
        per_second: 0,
        burst: NonZeroU32::MIN,
    };

    fn quota(self) -> Option<Quota> {
        NonZeroU32::new(self.per_second)
            .map(|per_second| Quota::per_second(per_second).allow_burst(self.burst))
    }

    /// Returns the time in which the sustained rate allows `count` events.
    pub fn time_for(self, count: u32) -> Duration {
        Duration::from_secs(count.into())
            .checked_div(self.per_second)
            .unwrap_or_default()
    }
}

/// A rate limiter with a state per key, such as a user.
///
/// A key is remembered until its whole burst is available again. So a user gains nothing by leaving
/// and coming back, and costs nothing once gone for long.
#[derive(Debug)]
pub struct Limiter<K: Key, C: Clock = DefaultClock> {
    known: Option<Known<K, C>>,
    burst: NonZeroU32,
    clock: C,
    sweep_at: Mutex<C::Instant>,
}

/// The key of a [`Limiter`].
pub trait Key: Hash + Eq + Clone {}

impl<K: Hash + Eq + Clone> Key for K {}

type Known<K, C> = RateLimiter<K, HashMapStateStore<K>, C, NoOpMiddleware<<C as Clock>::Instant>>;

impl<K: Key> Limiter<K> {
    /// Returns a limiter of each key to `rate`.
    pub fn new(rate: Rate) -> Self {
        Self::with_clock(rate, DefaultClock::default())
    }

    /// Returns a limiter of each key to `count` events in a minute, which may come at once.
    pub fn per_minute(count: NonZeroU32) -> Self {
        Self::with_quota(Some(Quota::per_minute(count)), DefaultClock::default())
    }
}

impl<K: Key, C: Clock + Clone> Limiter<K, C> {
    fn with_clock(rate: Rate, clock: C) -> Self {
        Self::with_quota(rate.quota(), clock)
    }

    fn with_quota(quota: Option<Quota>, clock: C) -> Self {
        Self {
            known: quota.map(|quota| RateLimiter::hashmap_with_clock(quota, clock.clone())),
            burst: quota.map_or(NonZeroU32::MIN, |quota| quota.burst_size()),
            sweep_at: Mutex::new(clock.now() + SWEEP_INTERVAL.into()),
            clock,
        }
    }

    /// Counts one event of `key`.
    ///
    /// # Errors
    ///
    /// [`Error::RateLimited`]; then the event is not counted.
    pub fn check(&self, key: &K) -> Result<(), Error> {
        self.check_many(key, NonZeroU32::MIN)
    }

    /// Counts `count` events at once; more than a burst counts as one burst.
    ///
    /// # Errors
    ///
    /// [`Error::RateLimited`]; then none of them is counted.
    pub fn check_many(&self, key: &K, count: NonZeroU32) -> Result<(), Error> {
        let Some(known) = &self.known else {
            return Ok(());
        };
        self.sweep(known);
        let checked = known
            .check_key_n(key, count.min(self.burst))
            .unwrap_or(Ok(()));
        checked.map_err(|not_until| Error::RateLimited {
            retry_after: not_until.wait_time_from(self.clock.now()),
        })
    }

    fn sweep(&self, known: &Known<K, C>) {
        let now = self.clock.now();
        let mut sweep_at = self.sweep_at.lock().unwrap_or_else(PoisonError::into_inner);
        if now >= *sweep_at {
            *sweep_at = now + SWEEP_INTERVAL.into();
            known.retain_recent();
            known.shrink_to_fit();
        }
    }
}

/// A rate limiter with a single owner, such as a session.
#[derive(Debug)]
pub struct DirectLimiter {
    rate: Rate,
    limiter: Option<Direct>,
}

type Direct = RateLimiter<
    NotKeyed,
    InMemoryState,
    DefaultClock,
    NoOpMiddleware<<DefaultClock as Clock>::Instant>,
>;

impl DirectLimiter {
    /// Returns a limiter to `rate`.
    pub fn new(rate: Rate) -> Self {
        Self {
            rate,
            limiter: rate.quota().map(RateLimiter::direct),
        }
    }

    /// Counts `count` events at once; more than a burst counts as one burst.
    ///
    /// # Errors
    ///
    /// [`Error::RateLimited`]; then none of them is counted.
    pub fn check(&self, count: u32) -> Result<(), Error> {
        let (Some(limiter), Some(count)) = (&self.limiter, NonZeroU32::new(count)) else {
            return Ok(());
        };
        let checked = limiter
            .check_n(count.min(self.rate.burst))
            .unwrap_or(Ok(()));
        let now = DefaultClock::default().now();
        checked.map_err(|not_until| Error::RateLimited {
            retry_after: not_until.wait_time_from(now),
        })
    }

    /// Returns the time in which the sustained rate allows `count` events.
    pub fn time_for(&self, count: u32) -> Duration {
        self.rate.time_for(count)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use governor::clock::FakeRelativeClock;

    use super::*;

    const TICK: Duration = Duration::from_nanos(1);

    fn limiter(
        per_second: u32,
        burst: u32,
    ) -> (Limiter<Arc<str>, FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        let rate = Rate {
            per_second,
            burst: burst.try_into().unwrap(),
        };
        (Limiter::with_clock(rate, clock.clone()), clock)
    }

    fn user(name: &str) -> Arc<str> {
        name.into()
    }

    fn passed(
        limiter: &Limiter<Arc<str>, FakeRelativeClock>,
        user: &Arc<str>,
        attempts: usize,
    ) -> usize {
        (0..attempts)
            .filter(|_| limiter.check(user).is_ok())
            .count()
    }

    #[test]
    fn a_wait_of_retry_after_admits_one_more_and_not_a_moment_earlier() {
        let (limiter, clock) = limiter(3, 5);
        let ann = user("ann");
        assert_eq!(passed(&limiter, &ann, 10), 5);
        for _ in 0..10 {
            let retry_after = limiter.check(&ann).unwrap_err().retry_after().unwrap();
            clock.advance(retry_after - TICK);
            assert_eq!(limiter.check(&ann).unwrap_err().retry_after(), Some(TICK));
            clock.advance(TICK);
            assert_eq!(passed(&limiter, &ann, 10), 1);
        }
    }

    #[test]
    fn the_sustained_rate_holds_under_any_number_of_attempts() {
        let (limiter, clock) = limiter(50, 100);
        let ann = user("ann");
        let mut all = 0;
        for _ in 0..1_000 {
            all += passed(&limiter, &ann, 20);
            clock.advance(Duration::from_millis(10));
        }
        assert!((100 + 499..=100 + 500).contains(&all), "{all}");
    }

    #[test]
    fn a_rate_of_zero_is_no_limit() {
        let (limiter, _) = limiter(0, 1);
        assert_eq!(passed(&limiter, &user("ann"), 1_000), 1_000);
    }

    #[test]
    fn several_events_at_once_count_each_and_at_most_a_burst() {
        let (limiter, clock) = limiter(1, 10);
        let [ann, bob] = [user("ann"), user("bob")];
        let count = |count| NonZeroU32::new(count).unwrap();
        limiter.check_many(&ann, count(7)).unwrap();
        assert!(limiter.check_many(&ann, count(4)).is_err());
        assert_eq!(passed(&limiter, &ann, 10), 3);
        limiter.check_many(&bob, count(1_000)).unwrap();
        let refused = limiter.check_many(&bob, count(1_000)).unwrap_err();
        assert_eq!(refused.retry_after(), Some(Duration::from_secs(10)));
        clock.advance(Duration::from_secs(10));
        limiter.check_many(&bob, count(1_000)).unwrap();
    }

    #[test]
    fn a_key_is_forgotten_once_its_burst_is_full_again_and_not_earlier() {
        let (limiter, clock) = limiter(1, 120);
        for number in 0..10_000 {
            limiter.check(&user(&number.to_string())).unwrap();
        }
        let ann = user("ann");
        assert_eq!(passed(&limiter, &ann, 1_000), 120);
        clock.advance(SWEEP_INTERVAL);
        limiter.check(&user("bob")).unwrap();
        assert_eq!(limiter.known.as_ref().unwrap().len(), 2);
        assert_eq!(passed(&limiter, &ann, 1_000), 60);
    }
}
