//! The opening request of a session or its WebSocket, as the library keeps it.

use axum::http::{
    self, HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION, uri::PathAndQuery,
};

use super::{query::Parameters, session::Session};

/// The headers for the layers above.
const KEPT: [HeaderName; 1] = [AUTHORIZATION];

/// The target of an opening request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opening<'a> {
    pub(super) parameters: &'a Parameters,
    pub(super) path: &'a str,
}

impl Opening<'_> {
    /// Returns the target for the requests of a session with this id.
    pub(super) fn target(&self, sid: &str) -> PathAndQuery {
        self.parameters.to_target(self.path, Some(sid))
    }

    /// Writes the request for the library in small allocations of its own. The library keeps it as
    /// long as the session; the parts of the original are slices of hyper's read buffer, and would
    /// keep 16 kB for each session.
    pub(super) fn request(
        &self,
        sid: Option<&str>,
        headers: &HeaderMap,
        session: Option<Session>,
    ) -> http::Request<()> {
        let mut request = http::Request::new(());
        *request.uri_mut() = self.parameters.to_target(self.path, sid).into();
        let copied = |name: HeaderName| {
            let value = HeaderValue::from_bytes(headers.get(&name)?.as_bytes()).ok()?;
            Some((name, value))
        };
        let kept: HeaderMap = KEPT.into_iter().filter_map(copied).collect();
        // Unlike the map itself, a clone has no spare capacity.
        *request.headers_mut() = kept.clone();
        if let Some(session) = session {
            request.extensions_mut().insert(session);
        }
        request
    }
}
