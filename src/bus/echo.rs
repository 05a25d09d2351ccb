//! The echo of one's own payloads: a server that does not hear it hears no other server.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

/// The longest wait for the echo of a payload. A failover or a broken network swallows it.
const DEAF_AFTER: Duration = Duration::from_secs(2);

/// Payloads sent, and not heard yet.
#[derive(Debug, Default)]
pub(super) struct Echo {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// The number of the latest payload sent.
    sent: u64,
    /// The number of the latest payload heard.
    heard: u64,
    /// The time since when a payload is unheard.
    unheard_since: Option<Instant>,
    /// A payload on its way, and the time before it was sent.
    timed: Option<(u64, Instant)>,
}

impl Echo {
    /// Takes the time of a payload that is about to be sent, unless an earlier one is on its way.
    pub(super) fn begin(&self, number: u64) {
        let timed = &mut self.state().timed;
        timed.get_or_insert_with(|| (number, Instant::now()));
    }

    /// Notes that payloads up to a number were sent. Their echo may have come before the answer to
    /// the sender.
    pub(super) fn sent(&self, number: u64) {
        let mut state = self.state();
        state.sent = number;
        if state.heard < number {
            state.unheard_since.get_or_insert_with(Instant::now);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Notes the echo of a payload. Later ones are unheard from now on. Returns the time since a
    /// send, when this is the first echo after it.
    pub(super) fn heard(&self, number: u64) -> Option<Duration> {
        let mut state = self.state();
        state.heard = number;
        state.unheard_since = (number < state.sent).then(Instant::now);
        let (_, begun) = state.timed.take_if(|(timed, _)| *timed <= number)?;
        Some(begun.elapsed())
    }

    /// Expects no echo of earlier payloads any more.
    pub(super) fn forget(&self) {
        let mut state = self.state();
        state.unheard_since = None;
        state.timed = None;
    }

    /// Waits until an echo has been missing for [`DEAF_AFTER`]. Cancel safe; for one caller.
    pub(super) async fn overdue(&self) {
        loop {
            match self.deadline() {
                Some(_) if self.is_overdue() => return,
                Some(deadline) => sleep_until(deadline).await,
                None => self.changed.notified().await,
            }
        }
    }

    /// Returns true when an echo has been missing for [`DEAF_AFTER`].
    pub(super) fn is_overdue(&self) -> bool {
        self.deadline()
            .is_some_and(|deadline| deadline <= Instant::now())
    }

    fn deadline(&self) -> Option<Instant> {
        self.state().unheard_since.map(|since| since + DEAF_AFTER)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    async fn is_deaf_within(echo: &Echo, time: Duration) -> bool {
        timeout(time, echo.overdue()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_missing_echo_is_noticed_in_time_and_a_late_one_is_not_awaited_for_ever() {
        let echo = Echo::default();
        assert!(!is_deaf_within(&echo, 100 * DEAF_AFTER).await);
        echo.sent(1);
        echo.heard(1);
        assert!(!is_deaf_within(&echo, 100 * DEAF_AFTER).await);
        echo.sent(3);
        echo.heard(2);
        assert!(!is_deaf_within(&echo, DEAF_AFTER / 2).await);
        assert!(is_deaf_within(&echo, DEAF_AFTER).await);
        echo.forget();
        assert!(!is_deaf_within(&echo, 100 * DEAF_AFTER).await);
        echo.heard(5);
        echo.sent(4);
        echo.sent(5);
        assert!(!is_deaf_within(&echo, 100 * DEAF_AFTER).await);
        echo.sent(6);
        assert!(is_deaf_within(&echo, 2 * DEAF_AFTER).await);
    }

    #[tokio::test(start_paused = true)]
    async fn the_lag_is_the_time_from_a_send_to_its_echo_and_a_lost_payload_has_none() {
        let (echo, lag) = (Echo::default(), DEAF_AFTER / 8);
        echo.begin(1);
        tokio::time::advance(lag).await;
        echo.begin(3);
        assert_eq!(echo.heard(1), Some(lag));
        assert_eq!(echo.heard(2), None, "the second was not timed");
        echo.begin(4);
        echo.forget();
        assert_eq!(echo.heard(5), None);
    }
}
