//! The opening request of a session or its WebSocket, as the library keeps it.

use axum::http::{self, HeaderMap, HeaderValue, header::AUTHORIZATION, uri::PathAndQuery};

use super::{
    query::Parameters,
    session::Session,
    trace::{self, TRACEPARENT},
};

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
        let token = headers
            .get(AUTHORIZATION)
            .and_then(|token| HeaderValue::from_bytes(token.as_bytes()).ok());
        let token = token.map(|token| (AUTHORIZATION, token));
        let trace = trace::kept(headers).map(|trace| (TRACEPARENT, trace));
        let kept: HeaderMap = token.into_iter().chain(trace).collect();
        // Unlike the map itself, a clone has no spare capacity.
        *request.headers_mut() = kept.clone();
        if let Some(session) = session {
            request.extensions_mut().insert(session);
        }
        request
    }
}
