//! Handlers that panic: the event has its answer all the same, and the connection goes on.

use std::{any::Any, panic::AssertUnwindSafe};

use futures_util::FutureExt;

use super::reply::Reply;
use crate::error::Error;

/// Handles an event; one whose handling panics is answered [`Error::Internal`].
pub async fn answered(event: &str, reply: Reply, handling: impl Future<Output = ()>) {
    if let Some(error) = survived(handling).await {
        reply.error(event, &error);
    }
}

/// Runs to its end what may panic; the error, under whose id the panic is logged.
pub async fn survived(handling: impl Future<Output = ()>) -> Option<Error> {
    // What a handler shares with others is behind locks that stand a panic.
    let panic = AssertUnwindSafe(handling).catch_unwind().await.err()?;
    Some(Error::internal(format_args!(
        "a handler panicked: {}",
        message(&*panic)
    )))
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
}
