//! The servers that find and relay the ways of calls, for their parties.

use std::num::NonZeroU32;

use tokio::time::timeout;

use super::{Chat, Participant, charge};
use crate::{
    auth::Identity,
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
        let (identity, _) = participant.member(room)?;
        self.requester(participant)?;
        if !self.is_party(participant, &identity, room, call).await? {
            let why = "only parties of the call are told its servers: join it first";
            return Err(Error::Forbidden(why.into()));
        }
        charge(&self.ice_requests, &identity)?;
        Ok(self.ice_servers.servers_for(identity.user_id()))
    }

    /// Returns true for a client that is a party of the room's call now.
    async fn is_party(
        &self,
        participant: &Participant,
        identity: &Identity,
        room: &RoomId,
        call_id: &CallId,
    ) -> Result<bool, Error> {
        let part = participant.part(room);
        let Some(part) = part.filter(|part| part.call_id == *call_id) else {
            return Ok(false);
        };
        let reading = timeout(READ_TIMEOUT, self.store.rooms().settings(room)).await;
        let settings = reading.map_err(|_| Error::Unavailable)??;
        let call = settings.and_then(|settings| settings.info.call);
        let call = call.filter(|call| call.call_id == *call_id);
        let party = call.as_ref().and_then(|call| call.party(&part.party_id));
        Ok(party.is_some_and(|party| party.user_id == *identity.user_id()))
    }
}
