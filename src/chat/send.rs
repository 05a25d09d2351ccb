//! Sending messages.

use super::{Chat, Participant, Underway, charge};
use crate::{
    auth::Identity,
    error::Error,
    model::{Body, ClientMessageId, Draft, EncodedMessage, Metadata, RoomId, Seq, Stored},
    moderation::Line,
};

/// A message on its way into the log.
pub type Sent = Underway<Stored<EncodedMessage>>;

/// A new message, as its sender wrote it.
pub struct Content<'a> {
    /// The text.
    pub text: &'a str,
    /// The sender's own identifier of it.
    pub client_message_id: Option<ClientMessageId>,
    /// The message that it answers.
    pub reply_to: Option<Seq>,
    /// The sender's own data.
    pub metadata: Option<Metadata>,
}

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
        content: Content<'_>,
    ) -> Result<Sent, Error> {
        let Ok((author, _)) = participant.author(&room) else {
            // A bad text is refused as such: joining would not help it.
            self.check_running()?;
            self.body(content.text)?;
            return Err(Error::NotInRoomYet);
        };
        self.submit(&author, participant.line(), room, content)
    }

    /// Queues a message by an author who need not be in the room.
    ///
    /// # Errors
    ///
    /// - [`Error::InvalidPayload`] for a blank text or one with a NUL;
    /// - [`Error::MessageTooLarge`] for a text over [`Limits::max_message_bytes`](super::Limits);
    /// - [`Error::Forbidden`] for a room the author may not enter;
    /// - [`Error::RateLimited`] for too many messages, or too many that wait for the moderation;
    /// - [`Error::Unavailable`] when the queue is full or the server is stopping.
    ///
    /// The moderation's come later, by [`Underway::settled`].
    pub fn publish(
        &self,
        author: &Identity,
        room: RoomId,
        content: Content<'_>,
    ) -> Result<Sent, Error> {
        self.submit(author, &Line::default(), room, content)
    }

    /// Queues a message in the order of a sender's line, where messages are moderated.
    fn submit(
        &self,
        author: &Identity,
        line: &Line,
        room: RoomId,
        content: Content<'_>,
    ) -> Result<Sent, Error> {
        self.check_running()?;
        let body = self.body(content.text)?;
        author.may_enter(&room)?;
        charge(&self.messages, author)?;
        let mut draft = Draft::new(
            room,
            author.user_id().clone(),
            author.operator_id().cloned(),
            body,
            content.client_message_id,
        );
        draft.speaker = self.speaker(author, &draft.room_id);
        draft.reply_to = content.reply_to;
        draft.metadata = content.metadata.filter(|metadata| !metadata.is_empty());
        match &self.moderated {
            None => self.writer.enqueue(draft).map(Underway::Queued),
            Some(moderated) => moderated.send(line, draft),
        }
    }

    pub(super) fn body(&self, text: &str) -> Result<Body, Error> {
        Body::parse(text, self.limits.max_message_bytes)
    }
}
