//! The members of a room, for somebody who is not in it.

use std::{collections::BTreeSet, slice};

use tokio::time::timeout;

use super::{MAX_LISTED, READ_TIMEOUT, Rooms, members::Present};
use crate::{
    bus::{Roster, RosterError},
    error::Error,
    model::RoomId,
};

impl Rooms {
    /// Returns the members of a room on all servers. A room that is not active here is looked up in the
    /// rosters.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when neither answers within [`READ_TIMEOUT`].
    pub async fn presence(&self, room: &RoomId) -> Result<Present, Error> {
        let looking = async {
            if let Some(handle) = self.find(room)
                && let Some(present) = handle.present().await
            {
                return Ok(present);
            }
            self.listed(room).await
        };
        let found = timeout(READ_TIMEOUT, looking).await;
        found
            .map_err(|_| Error::Unavailable)?
            .map_err(|_| Error::Unavailable)
    }

    /// Reads the members of a room in the rosters of all servers.
    async fn listed(&self, room: &RoomId) -> Result<Present, RosterError> {
        let rosters = match self.bus() {
            Some(bus) => bus.rosters().read(slice::from_ref(room)).await?.rosters,
            None => vec![],
        };
        let (mut names, mut unnamed) = (BTreeSet::new(), 0);
        for (_, _, roster) in rosters {
            match roster {
                Roster::Named(named) => names.extend(named),
                Roster::Counted(count) => unnamed += count,
            }
        }
        Ok(Present {
            member_count: names.len() + unnamed,
            members: names.into_iter().take(MAX_LISTED).collect(),
        })
    }
}
