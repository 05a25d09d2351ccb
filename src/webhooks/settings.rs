//! The settings of webhooks.

use std::time::Duration;

use super::endpoint::Endpoint;
use crate::outbound::Secrets;

/// The most events in a request.
pub const MAX_BATCH: usize = 50;

/// The settings of webhooks.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The receivers.
    pub endpoints: Vec<Endpoint>,
    /// The keys of the signatures.
    pub secrets: Secrets,
    /// The most events in a request, up to [`MAX_BATCH`]. With more than one, requests have the form
    /// of a batch.
    pub batch: usize,
    /// True when receivers may have addresses of this host and of private networks.
    pub allow_private: bool,
    /// The time for which a user without a client still counts as connected.
    pub grace: Duration,
    /// The intervals of time.
    pub timing: Timing,
}

/// The intervals of time; other ones are for tests.
#[derive(Debug, Clone)]
pub struct Timing {
    /// The time for which a server leases an endpoint: another one goes on after it.
    pub lease: Duration,
    /// The time between two renewals of a lease, and between two attempts to take one.
    pub renewal: Duration,
    /// The time between two rounds over all rooms. Jitter takes off up to half.
    pub round: Duration,
    /// The time limit of a request, from the look-up of its host to the end of its answer.
    pub timeout: Duration,
    /// The pauses after failed attempts to deliver an event. Jitter adds up to a fifth. After one
    /// more failed attempt, the endpoint is disabled.
    pub retries: Vec<Duration>,
}

impl Default for Timing {
    /// Returns the intervals for production. The pauses are those of Standard Webhooks, nearly four
    /// days in all.
    fn default() -> Self {
        const SECOND: Duration = Duration::from_secs(1);
        const MINUTE: Duration = Duration::from_secs(60);
        const HOUR: Duration = Duration::from_secs(3_600);
        Self {
            lease: SECOND * 8,
            renewal: SECOND * 2,
            round: SECOND * 60,
            timeout: SECOND * 15,
            retries: vec![
                SECOND * 5,
                MINUTE * 5,
                MINUTE * 30,
                HOUR * 2,
                HOUR * 5,
                HOUR * 10,
                HOUR * 14,
                HOUR * 20,
                HOUR * 24,
            ],
        }
    }
}

impl Timing {
    /// Returns the pause after a number of failed attempts; none after the last one.
    pub(super) fn pause(&self, failures: u32) -> Option<Duration> {
        let index = usize::try_from(failures).ok()?.checked_sub(1)?;
        let pause = self.retries.get(index)?;
        Some(pause.mul_f64(1.0 + fastrand::f64() / 5.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pauses_are_those_of_standard_webhooks() {
        let timing = Timing::default();
        let spec = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];
        for (failures, seconds) in (1..).zip(spec) {
            let pause = timing.pause(failures).unwrap().as_secs_f64();
            let seconds = f64::from(seconds);
            assert!(
                (seconds..=seconds * 1.2).contains(&pause),
                "{failures}: {pause}"
            );
        }
        assert_eq!((timing.pause(0), timing.pause(10)), (None, None));
    }

    #[test]
    fn another_server_goes_on_within_15_seconds() {
        let timing = Timing::default();
        assert!(timing.lease + timing.renewal < Duration::from_secs(15));
        assert!(timing.renewal * 3 < timing.lease);
    }
}
