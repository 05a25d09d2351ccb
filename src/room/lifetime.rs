//! The lifetime of rooms' tasks.

use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The lifetime of all rooms' tasks on a node.
#[derive(Default)]
pub(super) struct Lifetime {
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
}

impl Lifetime {
    /// Stops all tasks, and waits for their end.
    pub(super) async fn end(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}
