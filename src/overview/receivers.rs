//! The receivers of webhooks, as administrators may see them.

use std::cmp::Reverse;

use chrono::{DateTime, Utc};

use super::MAX_RECEIVERS;
use crate::{store::EndpointStatus, webhooks::Endpoint};

/// The most characters of an address or a reason.
const MAX_CHARS: usize = 200;

/// A receiver of webhooks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receiver {
    /// The origin of the URL: the rest of it may hold a secret.
    pub origin: String,
    /// The time and the reason of its end; none while it is on.
    pub disabled: Option<(DateTime<Utc>, String)>,
    /// The number of rooms with events to deliver.
    pub rooms: i64,
    /// The number of events to deliver.
    pub events: i64,
    /// The time of the oldest message to deliver.
    pub oldest: Option<DateTime<Utc>>,
    /// The time of the latest success.
    pub succeeded: Option<DateTime<Utc>>,
    /// The time and the text of the latest failure.
    pub failed: Option<(DateTime<Utc>, String)>,
}

impl From<EndpointStatus> for Receiver {
    fn from(status: EndpointStatus) -> Self {
        let origin = status.url.parse::<Endpoint>();
        Self {
            origin: origin.map_or_else(|_| "?".into(), |endpoint| short(&endpoint.to_string())),
            disabled: status.disabled.map(|(at, why)| (at, short(&why))),
            rooms: status.rooms,
            events: status.events,
            oldest: status.oldest,
            succeeded: status.results.succeeded,
            failed: status.results.failed.map(|(at, why)| (at, short(&why))),
        }
    }
}

/// Returns the receivers for an overview: those furthest behind, if there are too many.
pub(super) fn listed(mut statuses: Vec<EndpointStatus>) -> Vec<Receiver> {
    if statuses.len() > MAX_RECEIVERS {
        statuses.sort_by_key(|status| (status.disabled.is_some(), Reverse(status.events)));
        statuses.truncate(MAX_RECEIVERS);
    }
    statuses.into_iter().map(Receiver::from).collect()
}

/// Cuts a text.
fn short(text: &str) -> String {
    text.chars().take(MAX_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Results;

    #[test]
    fn a_receiver_has_nothing_of_its_url_but_the_origin() {
        let receiver = Receiver::from(EndpointStatus {
            url: "https://chat.example:8443/hunter2?hunter2=hunter2".into(),
            disabled: None,
            results: Results::default(),
            rooms: 1,
            events: 2,
            oldest: None,
        });
        assert_eq!(receiver.origin, "https://chat.example:8443");
        assert!(!format!("{receiver:?}").contains("hunter2"));
    }
}
