//! The Engine.IO implementation below this layer, whichever it is.

use std::{convert::Infallible, pin::Pin};

use axum::{
    BoxError,
    body::{Body, Bytes, HttpBody},
    extract::Request,
    http,
    response::Response,
};
use tower_service::Service;

use super::frames::Frames;

/// An answer to come.
pub(super) type Answer = Pin<Box<dyn Future<Output = Response> + Send>>;

/// An implementation that serves single requests, and WebSockets whose handshake has been done.
pub(super) trait Library: Send + Sync {
    /// Serves a request of long-polling.
    fn request(&self, request: Request) -> Answer;

    /// Serves a WebSocket that was opened by a request.
    fn websocket(&self, frames: Frames, request: http::Request<()>);
}

impl<S, B> Library for S
where
    S: Service<Request, Response = http::Response<B>, Error = Infallible, Future: Send + 'static>
        + Service<(Frames, http::Request<()>), Response = ()>
        + Clone
        + Send
        + Sync,
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    fn request(&self, request: Request) -> Answer {
        let answer = Service::<Request>::call(&mut self.clone(), request);
        Box::pin(async move {
            match answer.await {
                Ok(response) => response.map(Body::new),
                Err(never) => match never {},
            }
        })
    }

    fn websocket(&self, frames: Frames, request: http::Request<()>) {
        // It begins a task of its own as it is called; its answer says no more.
        drop(Service::<(Frames, http::Request<()>)>::call(
            &mut self.clone(),
            (frames, request),
        ));
    }
}
