//! Sending messages.

use super::{Chat, Participant};
use crate::{
    auth::Identity,
    error::Error,
    model::{Body, ClientMessageId, Draft, RoomId},
    writer::Receipt,
};

impl Chat {
    /// Queues a participant's message; its place among this participant's messages is settled when
    /// this returns.
    ///
    /// # Errors
    ///
    /// [`Error::NotInRoomYet`], and those of [`Chat::publish`].
    pub fn send(
        &self,
        participant: &Participant,
        room: RoomId,
        text: &str,
        client_message_id: Option<ClientMessageId>,
    ) -> Result<Receipt, Error> {
        let Ok((author, _)) = participant.member(&room) else {
            // Joining does not help a text that cannot be sent.
            self.check_running()?;
            self.body(text)?;
            return Err(Error::NotInRoomYet);
        };
        self.publish(&author, room, text, client_message_id)
    }

    /// Queues a message of somebody who need not be in the room.
    ///
    /// # Errors
    ///
    /// A blank body ([`Error::InvalidPayload`]), a body that is too large
    /// ([`Error::MessageTooLarge`]), a room that the author may not enter ([`Error::Forbidden`]),
    /// too many messages ([`Error::RateLimited`]), a full queue or a stop
    /// ([`Error::Unavailable`]).
    pub fn publish(
        &self,
        author: &Identity,
        room: RoomId,
        text: &str,
        client_message_id: Option<ClientMessageId>,
    ) -> Result<Receipt, Error> {
        self.check_running()?;
        let body = self.body(text)?;
        author.may_enter(&room)?;
        self.messages.check(author.user_id())?;
        self.writer.enqueue(Draft::new(
            room,
            author.user_id().clone(),
            author.operator_id().cloned(),
            body,
            client_message_id,
        ))
    }

    fn body(&self, text: &str) -> Result<Body, Error> {
        Body::parse(text, self.limits.max_message_bytes)
    }
}
