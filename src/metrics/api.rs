//! The handles of the API for backends.

use super::{Counters, Exposition, Gauge, realtime::Sends};

/// The statuses of answers, and the rest of them.
const STATUSES: [&str; 14] = [
    "200", "201", "400", "401", "403", "404", "405", "408", "409", "413", "415", "429", "503",
    "other",
];

/// The handles of the API.
#[derive(Debug, Clone)]
pub struct Api {
    /// The sends, those of sockets included.
    pub sends: Sends,
    /// The open streams.
    pub streams: Gauge,
    answers: Counters,
}

impl Api {
    /// Creates handles that share the counters of sends.
    pub(super) fn new(sends: Sends) -> Self {
        Self {
            sends,
            streams: Gauge::default(),
            answers: Counters::new("status", STATUSES),
        }
    }

    /// Counts an answer.
    pub fn note_answer(&self, status: &str) {
        self.answers.of(status).inc();
    }

    pub(super) fn register(&self, exposition: &mut Exposition) {
        exposition.add(
            "api_requests",
            "Requests of backends, by the status of the answer",
            self.answers.clone(),
        );
        exposition.add(
            "streams",
            "Open streams of server-sent events",
            self.streams.clone(),
        );
    }
}
