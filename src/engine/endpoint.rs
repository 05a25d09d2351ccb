//! An Engine.IO endpoint, put together from the parts for its requests.

use std::{convert::Infallible, sync::Arc};

use axum::{
    BoxError,
    body::{Bytes, HttpBody},
    extract::Request,
    http,
};
use tower_service::Service;

use super::{
    admission::SessionAdmission, forwarded::ForwardedHeaders, frames::Frames,
    inbound::InboundBudget, library::Library, session::Settings, sessions::Sessions,
};
use crate::{metrics, net::Admission};

/// An Engine.IO endpoint.
#[derive(Clone)]
pub struct Engine {
    pub(super) library: Arc<dyn Library>,
    pub(super) sessions: Sessions,
    pub(super) admission: SessionAdmission,
    pub(super) inbound: InboundBudget,
    pub(super) settings: Arc<Settings>,
    pub(super) metrics: Arc<metrics::Sessions>,
}

impl Engine {
    /// Creates an endpoint in front of a library. Its sessions have the same maxima as the
    /// connections.
    pub fn new<S, B>(
        library: S,
        connections: &Admission,
        settings: Settings,
        metrics: metrics::Sessions,
    ) -> Self
    where
        S: Service<
                Request,
                Response = http::Response<B>,
                Error = Infallible,
                Future: Send + 'static,
            > + Service<(Frames, http::Request<()>), Response = ()>
            + Clone
            + Send
            + Sync
            + 'static,
        B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let library: Arc<dyn Library> = Arc::new(library);
        Self {
            sessions: Sessions::new(library.clone()),
            library,
            admission: SessionAdmission::new(connections, &settings),
            inbound: InboundBudget::default(),
            settings: Arc::new(settings),
            metrics: Arc::new(metrics),
        }
    }

    /// Returns the reader of proxies' headers.
    pub fn forwarded(&self) -> &ForwardedHeaders {
        self.admission.forwarded()
    }
}
