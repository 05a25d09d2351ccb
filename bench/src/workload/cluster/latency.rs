//! Times from the moment when a message was due to its deliveries, to members on its sender's server
//! and on others.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use hdrhistogram::Histogram;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::super::Figure;
use crate::client::head;

/// A mark has the sender's number in its last digits.
const SENDERS: u64 = 10_000;

/// A member's schedule.
pub struct Pace(Interval);

impl Pace {
    /// Returns a schedule of one of `members`, who send at a rate together.
    pub fn of(rate: f64, members: usize) -> Self {
        let period = Duration::from_secs_f64(members as f64 / rate);
        let mut ticks = interval_at(Instant::now() + period.mul_f64(fastrand::f64()), period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        Self(ticks)
    }

    /// Waits until the next message is due, and returns that moment. Cancel safe.
    pub async fn next(&mut self) -> Instant {
        self.0.tick().await
    }
}

/// Latencies in microseconds.
pub struct Latencies {
    start: Instant,
    /// Messages due before the end of the warm-up are not measured.
    warm: Duration,
    /// The server of each member.
    nodes: Vec<usize>,
    times: Mutex<Times>,
}

struct Times {
    local: Histogram<u64>,
    remote: Histogram<u64>,
}

impl Latencies {
    /// Returns no latencies yet, of members on these servers.
    pub fn new(nodes: Vec<usize>, warm: Duration) -> Self {
        let histogram = || Histogram::new(3).expect("three digits are allowed");
        Self {
            start: Instant::now(),
            warm,
            nodes,
            times: Mutex::new(Times {
                local: histogram(),
                remote: histogram(),
            }),
        }
    }

    /// Returns the head of a message that was due at a moment.
    pub fn mark(&self, due: Instant, sender: usize) -> u64 {
        let since = due.saturating_duration_since(self.start);
        since.as_micros() as u64 * SENDERS + sender as u64
    }

    /// Notes a delivery to a member; its own messages do not count.
    pub fn delivered(&self, event: &[u8], member: usize) {
        let Some(mark) = head(event) else {
            return;
        };
        let (due, sender) = (mark / SENDERS, (mark % SENDERS) as usize);
        if due < self.warm.as_micros() as u64 || sender == member {
            return;
        }
        let taken = self.start.elapsed().as_micros() as u64 - due;
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        if self.nodes[sender] == self.nodes[member] {
            times.local += taken;
        } else {
            times.remote += taken;
        }
    }

    /// Returns the medians and the slowest hundredths.
    pub fn figures(&self, label: &str) -> Vec<Figure> {
        let times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        let kinds = [("same server", &times.local), ("another", &times.remote)];
        let measured = kinds.iter().filter(|(_, histogram)| !histogram.is_empty());
        let quantiles = [("p50", 0.5), ("p99", 0.99)];
        let of = |(kind, histogram): &(&str, &Histogram<u64>)| {
            quantiles.map(|(name, quantile)| {
                let millis = histogram.value_at_quantile(quantile) as f64 / 1000.0;
                Figure::lower(
                    format!("{label}, paced: send to delivery on {kind}, {name}, ms"),
                    millis,
                )
            })
        };
        measured.flat_map(of).collect()
    }
}
