//! Signals to the others in a room.

use super::{Chat, Participant};
use crate::{
    error::Error,
    model::{Recipient, Relayed, RoomId, Signal, SignalData, SignalType},
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

    /// Relays a client's own event to others in a room: to the receiver, or to all other clients.
    ///
    /// # Errors
    ///
    /// - [`Error::NotInRoom`] for a room the client is not in;
    /// - [`Error::Forbidden`] for an event to a party of a call from a client that is none;
    /// - [`Error::RateLimited`] for too many events of the client;
    /// - [`Error::Unavailable`] when the room, or the way to the other servers, is too busy, or when the
    ///   server is stopping.
    pub fn signal(
        &self,
        participant: &Participant,
        room: &RoomId,
        event: SignalType,
        data: SignalData,
        to: Option<Recipient>,
    ) -> Result<(), Error> {
        self.check_running()?;
        let (sender, handle) = participant.member(room)?;
        let part = participant.part(room);
        if part.is_none() && matches!(to, Some(Recipient::Party(_))) {
            let why = "to: a party hears only other parties; join the call first";
            return Err(Error::Forbidden(why.into()));
        }
        participant.charge_signal(self.limits.signals)?;
        if self.rooms.is_crowded() {
            return Err(Error::Unavailable);
        }
        let (call_id, party_id) = part.map(|part| (part.call_id, part.party_id)).unzip();
        handle.relay(Relayed {
            user_id: sender.user_id().clone(),
            party_id,
            call_id,
            client: participant.client,
            to,
            event,
            data,
        })
    }
}
