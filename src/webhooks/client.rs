//! Requests to the receivers, and their answers.

use std::time::Duration;

use chrono::{DateTime, Utc};
use hyper::{HeaderMap, StatusCode, header::RETRY_AFTER};

use super::endpoint::Endpoint;
use crate::{
    metrics::{self, FAILED, GONE, TAKEN},
    outbound::{HttpClient, Post},
};

/// The most bytes read of an answer, so that its connection can be used again.
const MAX_ANSWER_BYTES: usize = 4_096;
/// The longest pause asked for by a receiver that is honoured.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 3_600);

/// A receiver's answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The receiver has taken the events.
    Taken,
    /// The receiver wants no more events.
    Gone,
    /// The receiver has not taken the events, for a reason without secrets; it may ask for a pause.
    Failed {
        reason: String,
        retry_after: Option<Duration>,
    },
}

impl Answer {
    fn failed(reason: String) -> Self {
        Self::Failed {
            reason,
            retry_after: None,
        }
    }
}

/// The connections to receivers.
#[derive(Clone)]
pub(super) struct Client {
    http: HttpClient,
    metrics: metrics::Webhooks,
}

impl Client {
    pub(super) fn new(allow_private: bool, timeout: Duration, metrics: metrics::Webhooks) -> Self {
        Self {
            http: HttpClient::new(allow_private, timeout, MAX_ANSWER_BYTES),
            metrics,
        }
    }

    /// Sends a request, and waits for the answer.
    pub(super) async fn post(&self, endpoint: &Endpoint, post: Post) -> Answer {
        let answer = match self.http.post(endpoint.target(), post).await {
            Ok(reply) => judge(reply.status, &reply.headers),
            Err(reason) => Answer::failed(reason),
        };
        self.metrics.note_attempt(match answer {
            Answer::Taken => TAKEN,
            Answer::Gone => GONE,
            Answer::Failed { .. } => FAILED,
        });
        answer
    }

    /// Notes the time from an event to its delivery, which is now.
    pub(super) fn note_delay(&self, event: DateTime<Utc>) {
        let delay = (Utc::now() - event).to_std();
        self.metrics.note_delay(delay.unwrap_or_default());
    }
}

/// Reads an answer's status. Any 3xx is a failure: nothing is sent elsewhere.
fn judge(status: StatusCode, headers: &HeaderMap) -> Answer {
    match status {
        status if status.is_success() => Answer::Taken,
        StatusCode::GONE => Answer::Gone,
        status => Answer::Failed {
            reason: format!("status {}", status.as_u16()),
            retry_after: matches!(status.as_u16(), 429 | 503)
                .then(|| retry_after(headers))
                .flatten(),
        },
    }
}

/// Returns the pause asked for, in seconds or by a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let pause = match value.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let at = chrono::DateTime::parse_from_rfc2822(value).ok()?;
            (at.to_utc() - chrono::Utc::now()).to_std().ok()?
        }
    };
    Some(pause.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, retry_after: Option<&str>) -> Answer {
        let mut headers = HeaderMap::new();
        if let Some(value) = retry_after {
            headers.insert(RETRY_AFTER, value.parse().unwrap());
        }
        judge(StatusCode::from_u16(status).unwrap(), &headers)
    }

    #[test]
    fn only_a_2xx_takes_events_and_only_410_ends_them() {
        for status in [200, 201, 204, 299] {
            assert_eq!(judged(status, None), Answer::Taken, "{status}");
        }
        assert_eq!(judged(410, None), Answer::Gone);
        for status in [301, 302, 307, 308, 304, 400, 401, 404, 429, 500, 503] {
            assert_eq!(
                judged(status, None),
                Answer::failed(format!("status {status}"))
            );
        }
    }

    #[test]
    fn a_pause_is_honoured_within_bounds() {
        let pause = |status, value| match judged(status, Some(value)) {
            Answer::Failed { retry_after, .. } => retry_after.map(|pause| pause.as_secs()),
            other => panic!("{other:?}"),
        };
        assert_eq!(pause(429, "120"), Some(120));
        assert_eq!(pause(503, " 0 "), Some(0));
        assert_eq!(pause(503, "99999999999"), Some(24 * 3_600));
        assert_eq!(pause(500, "120"), None);
        let later = chrono::Utc::now() + chrono::TimeDelta::seconds(100);
        let date = later.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        assert!((90..=100).contains(&pause(429, &date).unwrap()), "{date}");
        for bad in ["", "soon", "-1", "Sun, 06 Nov 1994 08:49:37 GMT"] {
            assert_eq!(pause(429, bad), None, "{bad}");
        }
    }
}
