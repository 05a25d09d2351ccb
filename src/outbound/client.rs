//! Requests to other programs: no redirects, no proxies, and no connection to a refused address.

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

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Request, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, USER_AGENT},
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

use super::{address, target::Target};

/// The time for which an unused connection is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// The program's name in requests.
const AGENT: &str = concat!("parlor/", env!("CARGO_PKG_VERSION"));

/// A request with JSON, and with the headers of Standard Webhooks.
pub struct Post {
    /// The identifier.
    pub id: String,
    /// Seconds since 1970.
    pub timestamp: i64,
    /// The signature, where there is a secret.
    pub signature: Option<String>,
    /// The JSON.
    pub body: Bytes,
}

/// A receiver's answer.
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; none for one that is too long or breaks off.
    pub body: Option<Bytes>,
}

/// The connections to receivers.
#[derive(Clone)]
pub struct HttpClient {
    client: Client<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>,
    allow_private: bool,
    timeout: Duration,
    max_answer: usize,
}

impl HttpClient {
    /// Creates a client without connections. A request takes at most `timeout`, from the look-up of its
    /// host to the end of its answer, and of that `max_answer` bytes are read.
    pub fn new(allow_private: bool, timeout: Duration, max_answer: usize) -> Self {
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
            max_answer,
        }
    }

    /// Sends a request, and waits for the answer.
    ///
    /// # Errors
    ///
    /// The reason, without secrets, why there is no answer.
    pub async fn post(&self, target: &Target, post: Post) -> Result<Reply, String> {
        match timeout(self.timeout, self.exchange(target, post)).await {
            Ok(reply) => reply,
            Err(_) => Err(format!("no answer within {:?}", self.timeout)),
        }
    }

    async fn exchange(&self, target: &Target, post: Post) -> Result<Reply, String> {
        self.check_literal(target)
            .map_err(|refused| refused.to_string())?;
        let mut request = Request::post(target.uri())
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, AGENT)
            .header("webhook-id", post.id)
            .header("webhook-timestamp", post.timestamp);
        if let Some(signature) = post.signature {
            request = request.header("webhook-signature", signature);
        }
        let request = request.body(Full::new(post.body));
        let request = request.map_err(|error| error.to_string())?;
        let response = self.client.request(request).await;
        let (parts, body) = response.map_err(|error| chain(&error))?.into_parts();
        Ok(Reply {
            status: parts.status,
            headers: parts.headers,
            body: read(body, self.max_answer).await,
        })
    }

    /// Checks a host that is an address: it is looked up nowhere.
    fn check_literal(&self, target: &Target) -> Result<(), Refused> {
        let host = target.uri().host().unwrap_or_default();
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse();
        match literal {
            Ok(address) if !self.allow_private => check(address),
            _ => Ok(()),
        }
    }
}

/// Reads an answer, so that its connection can be used again. That of a longer one is closed.
async fn read(mut body: Incoming, limit: usize) -> Option<Bytes> {
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.ok()?.into_data() else {
            continue;
        };
        if read.len() + data.len() > limit {
            return None;
        }
        read.extend_from_slice(&data);
    }
    Some(read.freeze())
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
