//! The body of a stream: its events, heartbeats between them, and its end.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::{StreamExt, stream};
use tokio::time::timeout;

use super::{event::Frames, reader::Place};
use crate::{api::Api, auth, chat::Chat, error::Error, metrics::Tally};

/// The longest silence of a stream: proxies end a connection after a minute without a byte.
pub const HEARTBEAT: Duration = Duration::from_secs(15);

/// A source of events.
pub trait Events: Send + 'static {
    /// Returns the next events, or none at the end. Cancel safe.
    ///
    /// # Errors
    ///
    /// The reason for the end of the stream. Its client comes back, and hears it then if it lasts.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, Error>> + Send;
}

/// An open stream; dropping it frees its place.
struct Open<E> {
    events: E,
    chat: Arc<Chat>,
    expires_at: Option<DateTime<Utc>>,
    _place: Place,
    _tally: Tally,
}

impl<E: Events> Open<E> {
    /// Returns the next bytes, or none at the end.
    async fn next(&mut self) -> Option<Bytes> {
        let expires_at = self.expires_at.map(|at| at.timestamp_millis());
        let expired = async {
            match expires_at {
                Some(at) => auth::expired(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.chat.stopped() => None,
            () = expired => None,
            next = timeout(HEARTBEAT, self.events.next()) => match next {
                Ok(Ok(events)) => events,
                Ok(Err(error)) => {
                    tracing::debug!(%error, "a stream ends");
                    None
                }
                Err(_) => Some(Frames::heartbeat()),
            }
        }
    }
}

/// Answers with a stream, which ends with the reader's credentials and at the stop of the server.
pub fn respond(
    events: impl Events,
    api: &Api,
    expires_at: Option<DateTime<Utc>>,
    place: Place,
) -> Response {
    let open = Open {
        events,
        chat: api.chat.clone(),
        expires_at,
        _place: place,
        _tally: Tally::of_one(api.metrics.streams.clone()),
    };
    let events = stream::unfold(open, async |mut open| {
        let bytes = open.next().await?;
        Some((bytes, open))
    });
    let opening = stream::once(async { Frames::opening() });
    let bytes = opening.chain(events).map(Ok::<_, Infallible>);
    let headers = [
        (CONTENT_TYPE.as_str(), "text/event-stream"),
        // nginx would hold the events back: https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_buffering
        ("x-accel-buffering", "no"),
    ];
    (headers, Body::from_stream(bytes)).into_response()
}
