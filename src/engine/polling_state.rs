//! The state of a session that began by polling: the target of its requests, its polls and
//! payloads, and the probe of a WebSocket.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderValue, Method, header::CONTENT_TYPE, uri::PathAndQuery},
};
use tokio::sync::{Mutex, MutexGuard, Notify};

use super::query::Version;

/// The time a poll waits during the probe of a WebSocket. Without this wait the client would poll
/// in a tight loop.
const PROBED_POLL_WAIT: Duration = Duration::from_millis(100);

/// A packet without content, to end a poll.
const NOOP: &str = "6";

/// The packet that ends a session.
const CLOSE: &str = "1";

/// The endpoint of a polling session, as far as the session's end concerns it.
pub(super) trait Endpoint: fmt::Debug + Send + Sync {
    /// Sends the library a request to close the session.
    fn close(&self, request: Request);

    /// Forgets a session after its end.
    fn forget(&self, id: &str);
}

/// The state of a session that began by polling. The endpoint forgets the session when this is
/// dropped.
#[derive(Debug)]
pub(super) struct PollingState {
    id: Box<str>,
    target: PathAndQuery,
    version: Version,
    endpoint: Arc<dyn Endpoint>,
    /// Locked during the reading of a payload.
    posting: Mutex<()>,
    polls: AtomicU64,
    /// True during the probe of a WebSocket.
    is_probed: AtomicBool,
    poll_interrupted: Notify,
}

impl PollingState {
    pub(super) fn new(
        id: &str,
        target: PathAndQuery,
        version: Version,
        endpoint: Arc<dyn Endpoint>,
    ) -> Self {
        Self {
            id: id.into(),
            target,
            version,
            endpoint,
            posting: Mutex::default(),
            polls: AtomicU64::new(0),
            is_probed: AtomicBool::new(false),
            poll_interrupted: Notify::new(),
        }
    }

    pub(super) fn version(&self) -> Version {
        self.version
    }

    /// Closes the session in the library.
    pub(super) fn close(&self) {
        let payload = self.payload(CLOSE);
        let request = self.request(Method::POST, None, payload);
        self.endpoint.close(request);
    }

    /// Writes a request of the session, for the library.
    pub(super) fn request(
        &self,
        method: Method,
        content_type: Option<HeaderValue>,
        body: impl Into<Body>,
    ) -> Request {
        let mut request = Request::new(body.into());
        *request.method_mut() = method;
        *request.uri_mut() = self.target.clone().into();
        if let Some(content_type) = content_type {
            request.headers_mut().insert(CONTENT_TYPE, content_type);
        }
        request
    }

    /// Returns an empty payload, to end a poll.
    pub(super) fn noop(&self) -> String {
        self.payload(NOOP)
    }

    /// Returns a payload of one ASCII packet.
    fn payload(&self, packet: &'static str) -> String {
        match self.version {
            Version::V3 => format!("{}:{packet}", packet.len()),
            Version::V4 => packet.to_owned(),
        }
    }

    /// Waits until no other payload of the session is being read.
    pub(super) async fn lock_posting(&self) -> MutexGuard<'_, ()> {
        self.posting.lock().await
    }

    /// Counts a poll, and returns its number.
    pub(super) fn count_poll(&self) -> u64 {
        self.polls.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Returns the number of the latest poll.
    pub(super) fn latest_poll(&self) -> u64 {
        self.polls.load(Ordering::Relaxed)
    }

    /// Begins a probe; returns false while another one is under way.
    pub(super) fn begin_probe(&self) -> bool {
        !self.is_probed.swap(true, Ordering::AcqRel)
    }

    /// Ends a probe.
    pub(super) fn end_probe(&self) {
        self.is_probed.store(false, Ordering::Release);
    }

    /// Ends the waiting poll, so that the client can pause.
    pub(super) fn interrupt_poll(&self) {
        self.poll_interrupted.notify_waiters();
    }

    /// Waits until a probe requires a poll to end.
    pub(super) async fn wait_for_interrupt(&self) {
        let interrupted = self.poll_interrupted.notified();
        if self.is_probed.load(Ordering::Acquire) {
            tokio::time::timeout(PROBED_POLL_WAIT, interrupted)
                .await
                .ok();
        } else {
            interrupted.await;
        }
    }
}

impl Drop for PollingState {
    fn drop(&mut self) {
        self.endpoint.forget(&self.id);
    }
}
