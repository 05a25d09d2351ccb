//! HTTP/1.1 on accepted connections.

use std::{future, pin::pin, time::Duration};

use axum::Router;
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{sync::Notify, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;
use tower_service::Service;

use super::{
    connection::{Connection, Peer},
    listener::Listener,
};

/// The most bytes of a request's line and headers together.
pub const MAX_HEADER_BYTES: usize = 16 * 1024;

/// The most bytes of one connection in each of its buffers: requests read ahead, and responses
/// waiting to be written.
const MAX_BUFFER_BYTES: usize = 64 * 1024;

/// The time a connection may stay open between two requests, including the time to read the second
/// one's headers. Proxies keep their connections for 60 seconds, and with a shorter time here would
/// sometimes send a request at the very end of it.
pub const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// Serves connections until `stopping` is cancelled, then answers the requests in flight. All
/// connections end with this future, except for upgraded ones: WebSockets.
pub async fn serve(mut listener: Listener, router: Router, stopping: CancellationToken) {
    let mut connections = JoinSet::new();
    let handshake = listener.timeouts().handshake_timeout;
    loop {
        tokio::select! {
            (connection, peer) = listener.accept() => {
                connections.spawn(serve_connection(
                    connection,
                    peer,
                    router.clone(),
                    handshake,
                    stopping.clone(),
                ));
            }
            Some(_) = connections.join_next() => {}
            () = stopping.cancelled() => break,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Serves one connection's requests.
async fn serve_connection(
    connection: Connection,
    peer: Peer,
    router: Router,
    handshake_timeout: Duration,
    stopping: CancellationToken,
) {
    let first_request = Notify::new();
    let service = service_fn(|mut request: Request<Incoming>| {
        first_request.notify_one();
        request.extensions_mut().insert(peer.clone());
        router.clone().call(request)
    });
    let serving = http_builder()
        .serve_connection(TokioIo::new(connection), service)
        .with_upgrades();
    let mut serving = pin!(serving);
    let served = async {
        tokio::select! {
            _ = serving.as_mut() => return,
            () = stopping.cancelled() => serving.as_mut().graceful_shutdown(),
        }
        serving.await.ok();
    };
    tokio::select! {
        () = served => {}
        () = wait_for_silence(&first_request, handshake_timeout) => {}
    }
}

fn http_builder() -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(KEEP_ALIVE);
    http.max_header_size(MAX_HEADER_BYTES)
        .max_buf_size(MAX_BUFFER_BYTES);
    http
}

/// Waits until `limit` has passed without a first request; once one has come, for ever.
async fn wait_for_silence(first_request: &Notify, limit: Duration) {
    if timeout(limit, first_request.notified()).await.is_ok() {
        future::pending().await
    }
}
