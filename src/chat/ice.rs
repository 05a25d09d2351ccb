//! The servers that find and relay the ways of calls, for their parties.

use std::num::NonZeroU32;

use tokio::time::timeout;

use super::{Chat, Participant, charge};
use crate::{
    calling::{IceConfiguration, IceServers},
    error::Error,
    model::{CallId, RoomId},
    room::READ_TIMEOUT,
};

/// The requests of a user for these servers in a minute. A party makes one at the start of a call, one before half of the
/// credentials' life is over, and one whenever a way is lost.
pub(super) const REQUESTS_PER_MINUTE: NonZeroU32 = NonZeroU32::new(10).expect("10 is not 0");

impl Chat {
    /// Lets parties of calls use these servers.
    #[must_use]
    pub fn with_ice_servers(mut self, servers: IceServers) -> Self {
        self.ice_servers = servers;
        self
    }

    /// Returns the servers, with credentials of the user's own, to a party of a room's call.
    ///
    /// # Errors
    ///
    /// - [`Error::NotInRoom`] for a room that the client is not in;
    /// - [`Error::Forbidden`] for a client that is no party of the call;
    /// - [`Error::RateLimited`] for too many requests;
    /// - [`Error::Unavailable`] when the database does not answer or the server is stopping.
    pub async fn ice_servers(
        &self,
        participant: &Participant,
        room: &RoomId,
        call: &CallId,
    ) -> Result<IceConfiguration, Error> {
        self.check_running()?;
        let (identity, _) = participant.member(room)?;
        charge(&self.ice_requests, &identity)?;
        if !self.is_party(participant, room, call).await? {
            let why = "only parties of the call are told its servers: join it first";
            return Err(Error::Forbidden(why.into()));
        }
        Ok(self.ice_servers.servers_for(identity.user_id()))
    }

    /// Returns true for a client that is a party of the room's call now.
    async fn is_party(
        &self,
        participant: &Participant,
        room: &RoomId,
        call_id: &CallId,
    ) -> Result<bool, Error> {
        let Some(party) = participant.party(room) else {
            return Ok(false);
        };
        let reading = timeout(READ_TIMEOUT, self.store.rooms().settings(room)).await;
        let settings = reading.map_err(|_| Error::Unavailable)??;
        let call = settings.and_then(|settings| settings.info.call);
        Ok(call.is_some_and(|call| call.call_id == *call_id && call.party(&party).is_some()))
    }
}
