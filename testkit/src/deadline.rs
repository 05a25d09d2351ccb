//! The deadlines of a test's waits.

use std::{future::Future, time::Duration};

/// The longest wait of a test for anything: far more than a slow machine needs beside a busy
/// compiler, as only a failing test waits that long. Less than the server's default heartbeat,
/// 45 s, so that a wait for a disconnect fails if only the heartbeat causes it.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// The pause between two checks of [`eventually`].
const INTERVAL: Duration = Duration::from_millis(10);

/// Waits for a future.
///
/// # Panics
///
/// After [`DEADLINE`].
pub async fn within_deadline<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {DEADLINE:?} for {what}"),
    }
}

/// Waits until a check holds, by repeating it.
///
/// # Panics
///
/// After [`DEADLINE`].
pub async fn eventually(what: &str, mut check: impl AsyncFnMut() -> bool) {
    let checking = async {
        while !check().await {
            tokio::time::sleep(INTERVAL).await;
        }
    };
    within_deadline(what, checking).await;
}
