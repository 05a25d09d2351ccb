//! The presence of rooms and users, for services.

use super::{Chat, Participant};
use crate::{
    error::Error,
    model::{Clients, RoomId, UserId},
    room::Present,
};

impl Chat {
    /// Returns the members of a room on all servers.
    ///
    /// # Errors
    ///
    /// [`Error::NotInRoom`] for a room the client is not in; [`Error::Unavailable`] when the rosters
    /// cannot be read or the server is stopping.
    pub async fn presence(
        &self,
        participant: &Participant,
        room: &RoomId,
    ) -> Result<Present, Error> {
        self.check_running()?;
        participant.admit(room)?;
        self.rooms.presence(room).await
    }

    /// Returns the clients of a user on all servers.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when a server does not answer, or this one is stopping.
    pub async fn clients_of(&self, user: &UserId) -> Result<Clients, Error> {
        self.check_running()?;
        self.inbox.clients(user, false).await
    }

    /// Ends the connections of a user's clients on all servers, and returns these clients. A stock client
    /// does not come back by itself.
    ///
    /// # Errors
    ///
    /// As [`Chat::clients_of`]; then some connections may be ended.
    pub async fn disconnect_user(&self, user: &UserId) -> Result<Clients, Error> {
        self.check_running()?;
        self.inbox.clients(user, true).await
    }
}
