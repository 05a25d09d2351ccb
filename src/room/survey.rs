//! A survey of all servers: each tells its figures, and one that is late counts as silent.

use std::{mem, time::Duration};

use tokio::time::timeout;
use uuid::Uuid;

use super::{
    asking::{Question, Reply},
    registry::Rooms,
};
use crate::model::{FromStore, NodeReport, RoomId, Signal};

/// The longest wait for the other servers.
const TIMEOUT: Duration = Duration::from_secs(1);

/// The name under which surveys travel, as no room is concerned.
const NAME: &str = "survey";

/// The other servers with their figures, and those without an answer in time.
#[derive(Debug, Default)]
pub struct Survey {
    /// The servers that answered.
    pub reports: Vec<(Uuid, NodeReport)>,
    /// The servers that did not.
    pub silent: Vec<Uuid>,
}

impl Rooms {
    /// Asks all other servers for their figures, and waits a second at most. There are none on a single
    /// server.
    pub async fn survey(&self) -> Survey {
        let Some(bus) = self.bus() else {
            return Survey::default();
        };
        let own = bus.rosters().server_id();
        let others = self.known_servers().into_iter();
        let others = others
            .filter(|server| *server != own)
            .map(|server| server.0);
        let Ok(_place) = self.questions().places.try_acquire() else {
            return Survey {
                silent: others.collect(),
                ..Survey::default()
            };
        };
        let mut asking = Question::new(self.questions());
        // Until the database names more of them.
        asking.missing = others.collect();
        let (name, question) = (name(), Signal::Survey { id: asking.id });
        timeout(TIMEOUT, asking.ask(self, bus, &name, &question))
            .await
            .ok();
        let replies = mem::take(&mut asking.replies).into_iter();
        let reports = replies.filter_map(|(server, reply)| match reply {
            Reply::Report(report) => Some((server, *report)),
            _ => None,
        });
        Survey {
            reports: reports.collect(),
            silent: mem::take(&mut asking.missing).into_iter().collect(),
        }
    }

    /// Answers the survey of another server.
    pub(super) fn answer_survey(&self, id: Uuid) {
        if let (Some(bus), Some(report)) = (self.bus(), self.report()) {
            let server = bus.rosters().server_id().0;
            let report = Box::new(report.shortened());
            bus.signal(&name(), &Signal::Surveyed { id, server, report });
        }
    }
}

fn name() -> RoomId {
    RoomId::from_store(NAME.to_owned())
}
