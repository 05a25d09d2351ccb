//! The check of the pages that talk to the server.
//!
//! CORS only keeps a foreign page from reading the answers to polling requests, and does not guard
//! a WebSocket at all. So a handshake from a disallowed `Origin` is refused on any transport. A
//! request without an `Origin` does not come from a browser.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    extract::{Request, State},
    http::{
        HeaderValue, Method,
        header::{ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN, ORIGIN, VARY},
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use tokio::time::Instant;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use super::origins::{ALLOWED_ORIGINS, AllowedOrigins};
use crate::{engine::ForwardedHeaders, error::Error};

/// The time for browsers to keep the answer to a preflight; Chromium keeps none for longer.
const PREFLIGHT_MAX_AGE: Duration = Duration::from_secs(2 * 60 * 60);

/// The most refused origins in the log within a [`WARNING_PERIOD`].
const MAX_WARNINGS: usize = 100;

/// The time after which the log may name a refused origin again.
const WARNING_PERIOD: Duration = Duration::from_secs(60 * 60);

/// The most characters of a header in the log.
const MAX_LOGGED_CHARS: usize = 256;

/// The check of a request's origin.
#[derive(Debug)]
pub(super) struct OriginGuard {
    origins: AllowedOrigins,
    forwarded: ForwardedHeaders,
    refusals: Mutex<Refusals>,
}

/// The refused origins in the log within the current period.
#[derive(Debug, Default)]
struct Refusals {
    named: HashSet<String>,
    since: Option<Instant>,
}

/// Allows pages that pass [`check`] to read the answers and to send any headers.
pub(super) fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_methods([Method::GET, Method::POST])
        .allow_headers(AllowHeaders::mirror_request())
        .allow_credentials(true)
        .allow_origin(AllowOrigin::mirror_request())
        .max_age(PREFLIGHT_MAX_AGE)
}

/// Refuses requests from disallowed pages.
pub(super) async fn check(
    State(guard): State<Arc<OriginGuard>>,
    request: Request,
    next: Next,
) -> Response {
    match guard.refused(&request) {
        None => next.run(request).await,
        Some(origin) => {
            let hosts = guard.forwarded.hosts(&request);
            guard.warn(origin, hosts.first().map_or("", String::as_str));
            refusal(origin)
        }
    }
}

impl OriginGuard {
    pub(super) fn new(origins: AllowedOrigins, forwarded: ForwardedHeaders) -> Self {
        Self {
            origins,
            forwarded,
            refusals: Mutex::default(),
        }
    }

    /// Returns the request's origin if it is not allowed.
    fn refused<'a>(&self, request: &'a Request) -> Option<&'a HeaderValue> {
        request.headers().get_all(ORIGIN).iter().find(|origin| {
            let hosts = self.forwarded.hosts(request);
            let hosts = hosts.iter().map(String::as_str);
            !str::from_utf8(origin.as_bytes())
                .is_ok_and(|origin| self.origins.allows(origin, hosts))
        })
    }

    /// Warns of a refused origin: once a period, and of a limited number.
    fn warn(&self, origin: &HeaderValue, host: &str) {
        let (origin, host) = (
            shortened(&String::from_utf8_lossy(origin.as_bytes())),
            shortened(host),
        );
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        if refusals.record(&origin) {
            tracing::warn!(
                origin,
                host,
                setting = ALLOWED_ORIGINS,
                "refused a page of an origin that is not allowed"
            );
        }
    }
}

impl Refusals {
    /// Records an origin; returns true if it is new in this period and the log has room for it.
    fn record(&mut self, origin: &str) -> bool {
        if self
            .since
            .is_none_or(|since| since.elapsed() >= WARNING_PERIOD)
        {
            *self = Self {
                named: HashSet::new(),
                since: Some(Instant::now()),
            };
        }
        self.named.len() < MAX_WARNINGS && self.named.insert(origin.to_owned())
    }
}

/// Returns the refusal. The page may read it, as it holds no secret.
fn refusal(origin: &HeaderValue) -> Response {
    let reason = format!(
        "pages of this origin may not connect: the server's setting {ALLOWED_ORIGINS} does not list it"
    );
    let headers = [
        (ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone()),
        (
            ACCESS_CONTROL_ALLOW_CREDENTIALS,
            HeaderValue::from_static("true"),
        ),
        (VARY, HeaderValue::from_static("origin")),
    ];
    (headers, Error::Forbidden(reason)).into_response()
}

fn shortened(text: &str) -> String {
    text.chars().take(MAX_LOGGED_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_log_names_an_origin_once_a_period_and_a_limited_number_of_them() {
        let mut refusals = Refusals::default();
        let mut news = || {
            (0..2 * MAX_WARNINGS)
                .filter(|number| refusals.record(&number.to_string()))
                .count()
        };
        assert_eq!(news(), MAX_WARNINGS);
        tokio::time::advance(WARNING_PERIOD / 2).await;
        assert_eq!(news(), 0);
        tokio::time::advance(WARNING_PERIOD / 2).await;
        assert_eq!(news(), MAX_WARNINGS);
    }
}
