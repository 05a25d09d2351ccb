//! Requests to the receivers: no redirects, no proxies, and no connection to a refused address.

use std::{
    error::Error,
    fmt,
    future::Future,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
    vec,
};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Request, Response, StatusCode, Uri,
    body::Incoming,
    header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{HttpConnector, dns::Name},
    },
    rt::{TokioExecutor, TokioTimer},
};
use tokio::time::timeout;
use tower_service::Service;

use super::address;
use crate::metrics::{self, FAILED, GONE, TAKEN};

/// The most bytes read of an answer, so that its connection can be used again.
const MAX_ANSWER_BYTES: usize = 4_096;
/// The time for which an unused connection is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest pause asked for by a receiver that is honoured.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 3_600);

/// The program's name in requests.
const AGENT: &str = concat!("parlor/", env!("CARGO_PKG_VERSION"));

/// A signed request.
pub(super) struct Post {
    pub(super) id: String,
    /// Seconds since 1970.
    pub(super) timestamp: i64,
    pub(super) signature: String,
    pub(super) body: Bytes,
}

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
pub(super) struct HttpClient {
    client: Client<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>,
    allow_private: bool,
    timeout: Duration,
    metrics: metrics::Webhooks,
}

impl HttpClient {
    pub(super) fn new(allow_private: bool, timeout: Duration, metrics: metrics::Webhooks) -> Self {
        let mut connector = HttpConnector::new_with_resolver(Resolver { allow_private });
        connector.enforce_http(false);
        connector.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new()
            .with_webpki_roots()
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Self {
            client,
            allow_private,
            timeout,
            metrics,
        }
    }

    /// Sends a request, and waits for the answer.
    pub(super) async fn post(&self, uri: &Uri, post: Post) -> Answer {
        let answer = match timeout(self.timeout, self.exchange(uri, post)).await {
            Ok(answer) => answer,
            Err(_) => Answer::failed(format!("no answer within {:?}", self.timeout)),
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

    async fn exchange(&self, uri: &Uri, post: Post) -> Answer {
        if let Err(refused) = self.check_literal(uri) {
            return Answer::failed(refused.to_string());
        }
        let request = Request::post(uri)
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, AGENT)
            .header("webhook-id", post.id)
            .header("webhook-timestamp", post.timestamp)
            .header("webhook-signature", post.signature)
            .body(Full::new(post.body));
        let request = match request {
            Ok(request) => request,
            Err(error) => return Answer::failed(error.to_string()),
        };
        match self.client.request(request).await {
            Ok(response) => {
                let answer = judge(response.status(), response.headers());
                drain(response).await;
                answer
            }
            Err(error) => Answer::failed(chain(&error)),
        }
    }

    /// Checks a host that is an address: it is looked up nowhere.
    fn check_literal(&self, uri: &Uri) -> Result<(), Refused> {
        let host = uri.host().unwrap_or_default();
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse();
        match literal {
            Ok(address) if !self.allow_private => check(address),
            _ => Ok(()),
        }
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

/// Reads the rest of an answer. The connection of a longer one is closed.
async fn drain(response: Response<Incoming>) {
    let mut body = response.into_body();
    let mut read = 0;
    while let Some(Ok(frame)) = body.frame().await {
        read += frame.data_ref().map_or(0, Bytes::len);
        if read > MAX_ANSWER_BYTES {
            return;
        }
    }
}

/// Returns the texts of an error and its causes.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// A refused address.
#[derive(Debug)]
struct Refused(IpAddr);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(address) = self;
        write!(
            f,
            "the address {address} is not public (WEBHOOK_ALLOW_PRIVATE)"
        )
    }
}

impl Error for Refused {}

fn check(address: IpAddr) -> Result<(), Refused> {
    if address::is_refused(address) {
        Err(Refused(address))
    } else {
        Ok(())
    }
}

/// The look-up of hosts. Connections go to the addresses that it returns, without another look-up.
#[derive(Debug, Clone)]
struct Resolver {
    allow_private: bool,
}

impl Service<Name> for Resolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(public(found, allow_private)?.into_iter())
        })
    }
}

/// Returns the allowed ones of a host's addresses.
fn public(
    found: impl Iterator<Item = SocketAddr>,
    allow_private: bool,
) -> Result<Vec<SocketAddr>, Refused> {
    let mut refused = None;
    let mut allowed = vec![];
    for address in found {
        match check(address.ip()) {
            Err(error) if !allow_private => refused = Some(error),
            _ => allowed.push(address),
        }
    }
    match refused {
        Some(error) if allowed.is_empty() => Err(error),
        _ => Ok(allowed),
    }
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

    #[test]
    fn refused_addresses_of_a_host_are_left_out() {
        let addresses = |texts: &[&str]| {
            let parsed = texts
                .iter()
                .map(|text| SocketAddr::new(text.parse().unwrap(), 0));
            Vec::from_iter(parsed)
        };
        let mixed = addresses(&["10.0.0.1", "8.8.8.8", "::1"]);
        let allowed = public(mixed.clone().into_iter(), false).unwrap();
        assert_eq!(allowed, addresses(&["8.8.8.8"]));
        assert_eq!(public(mixed.clone().into_iter(), true).unwrap(), mixed);
        assert!(public(addresses(&["10.0.0.1", "::1"]).into_iter(), false).is_err());
    }
}
