//! The servers that find and relay the ways of calls, for their parties.

use std::num::NonZeroU32;

use super::{Chat, Participant, charge};
use crate::{
    calling::{IceConfiguration, IceServers},
    error::Error,
    model::{CallId, RoomId},
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
    /// - [`Error::Unavailable`] when the server is stopping.
    pub fn ice_servers(
        &self,
        participant: &Participant,
        room: &RoomId,
        call: &CallId,
    ) -> Result<IceConfiguration, Error> {
        self.check_running()?;
        let (identity, _) = participant.member(room)?;
        if !is_party(participant, room, call) {
            let why = "only parties of the call are told its servers: join it first";
            return Err(Error::Forbidden(why.into()));
        }
        charge(&self.ice_requests, &identity)?;
        Ok(self.ice_servers.servers_for(identity.user_id()))
    }
}

/// Returns true for a party of this call.
fn is_party(participant: &Participant, room: &RoomId, _call: &CallId) -> bool {
    participant.party(room).is_some()
}
