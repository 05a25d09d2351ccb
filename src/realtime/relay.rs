//! Delivery of clients' own events.

use socketioxide::extract::SocketRef;

use super::{
    client::{Client, packets_of_party},
    fanout::{PACKET_BYTES, SocketIoFanout, send},
    protocol::{ClientSignal, event},
};
use crate::model::{PartyId, Recipient, Relayed, RoomId, UserId};

impl SocketIoFanout {
    /// Relays an event to its receivers here, each of them in the room at this moment.
    pub(super) fn relay(&self, room: &RoomId, signal: &Relayed) {
        match &signal.to {
            None => self.relay_to_all(room, signal),
            Some(Recipient::User(user)) => {
                let here = |socket: &SocketRef| Client::from_socket(socket).participant.is_in(room);
                relay_to(self.sockets_of_user(user).filter(here), room, signal);
            }
            Some(Recipient::Party(party)) => {
                let sockets = self.sockets_of_party(room, &party.party_id, signal);
                relay_to(sockets, room, signal);
            }
        }
    }

    /// Relays an event to all clients in the room but the sender, which may be on another server.
    fn relay_to_all(&self, room: &RoomId, signal: &Relayed) {
        let name = room.to_string();
        let is_sender =
            |socket: &SocketRef| Client::from_socket(socket).participant.client == signal.client;
        let sender = self.sockets_of_user(&signal.user_id).find(is_sender);
        let (packet, bytes) = (ClientSignal::new(room, signal), size(room, signal));
        let others = match &sender {
            Some(sender) => {
                let client = Client::from_socket(sender);
                let backlogs = &client.backlogs;
                backlogs.leave_out(&client.backlog, room, bytes as u64);
                Some(sender.to(name))
            }
            None => self.io.of("/").map(|namespace| namespace.to(name)),
        };
        if let Some(others) = others {
            self.emit_by(others, room, event::SIGNAL, &packet, bytes);
        }
    }

    fn sockets_of_user(&self, user: &UserId) -> impl Iterator<Item = SocketRef> {
        let own = self.users.sockets_of(user).into_iter();
        own.map(SocketRef::from)
    }

    /// Returns the sockets that are a party of the sender's call now.
    fn sockets_of_party(
        &self,
        room: &RoomId,
        party: &PartyId,
        signal: &Relayed,
    ) -> impl Iterator<Item = SocketRef> {
        let namespace = self.io.of("/");
        let listening = namespace.map_or_else(Vec::new, |namespace| {
            namespace.within(packets_of_party(room, party)).sockets()
        });
        listening.into_iter().filter(|socket| {
            let part = Client::from_socket(socket).participant.part(room);
            part.is_some_and(|part| {
                part.party_id == *party && Some(&part.call_id) == signal.call_id.as_ref()
            })
        })
    }
}

/// Relays an event to some sockets, the sender left out.
fn relay_to(sockets: impl Iterator<Item = SocketRef>, room: &RoomId, signal: &Relayed) {
    let (packet, bytes) = (ClientSignal::new(room, signal), size(room, signal));
    for socket in sockets {
        let client = Client::from_socket(&socket);
        if client.participant.client != signal.client {
            send(&client, &socket, event::SIGNAL, &packet, bytes);
        }
    }
}

/// Returns the approximate size of an event's packet, in bytes.
fn size(room: &RoomId, signal: &Relayed) -> usize {
    room.as_str().len() + signal.bytes() + PACKET_BYTES
}
