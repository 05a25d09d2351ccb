//! The bus on an engine that passes payloads to every listener.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::{
    Bus,
    line::Line,
    listener::{self, Subscriber},
    news::News,
    sender::{self, Publisher},
};
use crate::{
    model::{RoomId, Seq, Signal},
    store::Schema,
};

/// The time limit of sending the last reports.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// A server's end of a channel shared by all servers.
#[derive(Debug)]
pub struct Channel {
    line: Arc<Line>,
    tasks: TaskTracker,
}

impl Channel {
    /// Begins to connect.
    pub(super) fn open(
        publisher: impl Publisher,
        subscriber: impl Subscriber,
        schema: Option<&Schema>,
    ) -> Self {
        let line = Arc::new(Line::new(schema));
        let tasks = TaskTracker::new();
        tasks.spawn(sender::run(line.clone(), publisher));
        tasks.spawn(listener::run(line.clone(), subscriber));
        Self { line, tasks }
    }
}

#[async_trait]
impl Bus for Channel {
    fn tell(&self, room: &RoomId, seq: Seq) {
        self.line.outbox.wake(room.clone(), seq);
    }

    fn signal(&self, room: &RoomId, signal: &Signal) {
        self.line.send(News {
            signals: vec![(room.clone(), signal.clone())],
            ..News::default()
        });
    }

    async fn news(&self) -> News {
        self.line.inbox.take().await
    }

    fn is_well(&self) -> bool {
        self.line.is_well()
    }

    async fn close(&self) {
        self.line.stop.cancel();
        self.tasks.close();
        timeout(CLOSE_TIMEOUT, self.tasks.wait()).await.ok();
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.line.stop.cancel();
    }
}
