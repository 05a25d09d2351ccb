//! The committing task, one for all rooms: one batch after another.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{batch::Batch, commits::Commits, parked::Parked, pending::Pending};

/// The committing task's state.
pub(super) struct Committer {
    commits: Arc<Commits>,
    queue: mpsc::Receiver<Pending>,
    /// True once the queue is closed and empty.
    drained: bool,
    /// An entry taken from the queue, too large for the last batch.
    held_over: Option<Pending>,
    parked: Parked,
}

impl Committer {
    pub(super) fn new(commits: Arc<Commits>, queue: mpsc::Receiver<Pending>) -> Self {
        Self {
            parked: Parked::new(commits.clone()),
            commits,
            queue,
            drained: false,
            held_over: None,
        }
    }

    /// Commits until `stop` is cancelled and every entry is settled.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        while let Some(entries) = self.next_batch(&stop).await {
            let blocked = self.commits.commit(entries).await;
            self.parked.park(blocked);
        }
    }

    /// Takes the queued entries, within the bounds of a batch; none once stopped and empty.
    async fn next_batch(&mut self, stop: &CancellationToken) -> Option<Vec<Pending>> {
        let mut next = Some(self.first(stop).await?);
        let mut batch = Batch::default();
        while let Some(pending) = next.take() {
            if let Some(pending) = self.parked.pass(pending)
                && let Some(one_too_many) = batch.push(pending)
            {
                self.held_over = Some(one_too_many);
                break;
            }
            if !batch.is_full() {
                next = self.queue.try_recv().ok();
            }
        }
        Some(batch.into_entries())
    }

    /// Waits for the next entry of an unparked room, and retries the parked ones meanwhile.
    async fn first(&mut self, stop: &CancellationToken) -> Option<Pending> {
        let mut next = self.held_over.take();
        loop {
            if let Some(pending) = next.take().and_then(|pending| self.parked.pass(pending)) {
                return Some(pending);
            }
            tokio::select! {
                () = stop.cancelled(), if !self.queue.is_closed() => self.queue.close(),
                received = self.queue.recv(), if !self.drained => {
                    self.drained = received.is_none();
                    next = received;
                }
                () = self.parked.progress(), if !self.parked.is_empty() => {}
                else => return None,
            }
        }
    }
}
