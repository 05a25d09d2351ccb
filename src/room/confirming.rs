//! Confirmation that nobody is in a room any more who may not be, on any server.
//!
//! The removal of a member is answered once this holds.

use tokio::time::timeout;

use super::{
    asking::{Reply, TIMEOUT},
    registry::Rooms,
};
use crate::{
    error::Error,
    model::{Revision, RoomId, Signal},
};

impl Rooms {
    /// Waits until no server has anybody in a room who may not be there, as of a revision.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when a server has not confirmed it in time.
    pub async fn confirm(&self, room: &RoomId, revision: Revision) -> Result<(), Error> {
        let confirming = async {
            let elsewhere = self.ask(room, |id| Signal::Confirm { id, revision });
            tokio::join!(self.confirm_here(room, revision), elsewhere);
        };
        let confirmed = timeout(TIMEOUT, confirming).await;
        confirmed.map_err(|_| Error::Unavailable)
    }

    /// Waits until nobody is in a room here who may not be, as of a revision. A room that is not
    /// active reads its settings anew.
    async fn confirm_here(&self, room: &RoomId, revision: Revision) {
        if let Some(handle) = self.find(room) {
            handle.confirm(revision).await;
        }
    }

    /// Answers another server's question, or takes in an answer.
    pub(super) fn hear(&self, room: &RoomId, signal: Signal) {
        match signal {
            Signal::Confirm { id, revision } => {
                let (rooms, room) = (self.clone(), room.clone());
                tokio::spawn(timeout(TIMEOUT, async move {
                    rooms.confirm_here(&room, revision).await;
                    if let Some(bus) = rooms.bus() {
                        let server = bus.rosters().server_id().0;
                        bus.signal(&room, &Signal::Confirmed { id, server });
                    }
                }));
            }
            Signal::Confirmed { id, server } => {
                self.questions().answered(id, server, Reply::Confirmed);
            }
            Signal::Found {
                id,
                server,
                clients,
            } => self
                .questions()
                .answered(id, server, Reply::Clients(clients)),
            Signal::Survey { id } => self.answer_survey(id),
            Signal::Surveyed { id, server, report } => {
                self.questions().answered(id, server, Reply::Report(report));
            }
            Signal::Find { .. } => {}
            other => self.signal(room, other),
        }
    }
}
