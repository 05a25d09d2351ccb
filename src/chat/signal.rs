//! Signals to the others in a room.

use super::{Chat, Participant};
use crate::{
    error::Error,
    model::{RoomId, Signal},
};

impl Chat {
    /// Tells the others in a room that the user started or stopped typing. A busy room drops the
    /// signal.
    ///
    /// # Errors
    ///
    /// [`Error::NotInRoom`] for a room the client is not in, [`Error::RateLimited`] for too many
    /// signals.
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
