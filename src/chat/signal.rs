//! Signals to the others in a room.

use super::{Chat, Participant};
use crate::{
    error::Error,
    model::{RoomId, Signal},
};

impl Chat {
    /// Tells the others in the room that the user types, or has stopped; a room that is busy does
    /// not.
    ///
    /// Errors: [`Error::NotInRoom`], [`Error::RateLimited`].
    pub fn typing(
        &self,
        participant: &Participant,
        room: &RoomId,
        is_typing: bool,
    ) -> Result<(), Error> {
        let (typist, room) = participant.member(room)?;
        self.typing.check(typist.user_id())?;
        room.signal(Signal::Typing {
            user_id: typist.user_id().clone(),
            is_typing,
        });
        Ok(())
    }
}
