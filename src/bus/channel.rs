//! The bus on an engine that passes payloads to every listener.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::{
    Bus,
    line::Line,
    listener::{self, Subscriber},
    news::{News, Wakes},
    roster::RosterStore,
    sender::{self, Publisher},
    signals::Signals,
};
use crate::model::{Revision, RoomId, Seq, Signal};

/// The time limit of sending the last reports.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// A server's end of a channel shared by all servers.
pub struct Channel {
    line: Arc<Line>,
    rosters: Box<dyn RosterStore>,
    tasks: TaskTracker,
}

impl Channel {
    /// Begins to connect.
    pub(super) fn open(
        line: Arc<Line>,
        publisher: impl Publisher,
        subscriber: impl Subscriber,
        rosters: impl RosterStore + 'static,
    ) -> Self {
        let tasks = TaskTracker::new();
        tasks.spawn(sender::run(line.clone(), publisher));
        tasks.spawn(listener::run(line.clone(), subscriber));
        Self {
            line,
            rosters: Box::new(rosters),
            tasks,
        }
    }
}

#[async_trait]
impl Bus for Channel {
    fn tell(&self, room: &RoomId, seq: Seq) {
        self.line.outbox.wake(room.clone(), seq);
    }

    fn tell_change(&self, room: &RoomId, revision: Revision) {
        self.line.outbox.wake_to_change(room.clone(), revision);
    }

    fn signal(&self, room: &RoomId, signal: &Signal) {
        self.line.send(News {
            signals: Signals::from_iter([(room.clone(), signal.clone())]),
            ..News::default()
        });
    }

    fn tell_roster(&self, room: &RoomId) {
        self.line.send(News {
            rosters: [room.clone()].into(),
            ..News::default()
        });
    }

    fn tell_any(&self) {
        self.line.send(Wakes::any().into());
    }

    fn rosters(&self) -> &dyn RosterStore {
        &*self.rosters
    }

    async fn news(&self) -> News {
        let news = self.line.inbox.take().await;
        let dropped = news.all_dropped();
        self.line.metrics.dropped.inc_by(dropped as u64);
        news
    }

    fn is_crowded(&self) -> bool {
        self.line.is_well() && !self.line.outbox.has_room()
    }

    fn is_well(&self) -> bool {
        self.line.is_well()
    }

    async fn close(&self) {
        if self.line.stop.is_cancelled() {
            return;
        }
        self.line.stop.cancel();
        self.tasks.close();
        let closing = async { tokio::join!(self.tasks.wait(), self.rosters.close()) };
        timeout(CLOSE_TIMEOUT, closing).await.ok();
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.line.stop.cancel();
    }
}
