//! Sending messages.

use super::{Chat, Participant};
use crate::{
    auth::Identity,
    error::Error,
    model::{Body, ClientMessageId, Draft, RoomId},
    writer::Receipt,
};

impl Chat {
    /// Queues a member's message. Its place among the member's messages is settled on return.
    ///
    /// # Errors
    ///
    /// [`Error::NotInRoomYet`] for a room the client is not in; the errors of [`Chat::publish`].
    pub fn send(
        &self,
        participant: &Participant,
        room: RoomId,
        text: &str,
        client_message_id: Option<ClientMessageId>,
    ) -> Result<Receipt, Error> {
        let Ok((author, _)) = participant.member(&room) else {
            // A bad text is refused as such: joining would not help it.
            self.check_running()?;
            self.body(text)?;
            return Err(Error::NotInRoomYet);
        };
        self.publish(&author, room, text, client_message_id)
    }

    /// Queues a message by an author who need not be in the room.
    ///
    /// # Errors
    ///
    /// - [`Error::InvalidPayload`] for a blank text or one with a NUL;
    /// - [`Error::MessageTooLarge`] for a text over [`Limits::max_message_bytes`](super::Limits);
    /// - [`Error::Forbidden`] for a room the author may not enter;
    /// - [`Error::RateLimited`] for too many messages;
    /// - [`Error::Unavailable`] when the queue is full or the server is stopping.
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
