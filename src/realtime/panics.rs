//! Panics in handlers: the event is still answered, and the client stays connected.

use std::{any::Any, panic::AssertUnwindSafe};

use futures_util::FutureExt;

use crate::error::Error;

/// Runs a handler to its end. If it panics, logs the panic and returns the error to answer with,
/// whose id is in the log.
///
/// As an `async fn`, it would hold the handler's future twice.
pub fn survived(handling: impl Future<Output = ()>) -> impl Future<Output = Option<Error>> {
    // Handlers share state only behind locks, and these survive a panic.
    let handling = AssertUnwindSafe(handling).catch_unwind();
    handling.map(|outcome| {
        let panic = outcome.err()?;
        Some(Error::internal(format_args!(
            "a handler panicked: {}",
            message(&*panic)
        )))
    })
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
}
