//! The Engine.IO implementation below this layer.

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

/// The library's future answer to a request.
pub(super) type Answer = Pin<Box<dyn Future<Output = Response> + Send>>;

/// An implementation of Engine.IO: it serves single requests, and WebSockets after their handshake.
pub(super) trait Library: Send + Sync {
    /// Serves a long-polling request.
    fn request(&self, request: Request) -> Answer;

    /// Serves a WebSocket, opened by this request.
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
        // The call itself spawns the library's task; its answer carries nothing more.
        drop(Service::<(Frames, http::Request<()>)>::call(
            &mut self.clone(),
            (frames, request),
        ));
    }
}
