//! What one can do: join, leave, send, read the history, type. Knows no sockets and no HTTP.

mod history;
mod participant;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use self::{
    history::{MAX_HISTORY, READS_AT_ONCE, Range},
    participant::Participant,
};
pub use crate::writer::Receipt;
use crate::{
    auth::Identity,
    error::Error,
    model::{Body, ClientMessageId, Draft, RoomId, Seq, Signal, UserId},
    rates::{Limiter, Rate},
    room::{Departure, Join, Joined, READ_TIMEOUT, RoomHandle, Rooms, Welcome},
    store::MessageStore,
    writer::Writer,
};

/// What a deployment may set.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The most bytes of UTF-8 in a message.
    pub max_message_bytes: usize,
    /// How many messages an answer carries when the client does not say; at most [`MAX_HISTORY`].
    pub history_limit: usize,
    /// The most rooms that one connection may be in: each costs memory, whether anybody speaks in
    /// it or not.
    pub max_rooms: usize,
    /// How often a user may send; and likewise, counted apart, say that it is typing, which as many
    /// others are told.
    pub messages: Rate,
    /// How often a user may ask for what the server has to look up: joins, history reads, new
    /// tokens.
    pub requests: Rate,
}

/// The use cases, for all connections of this node.
pub struct Chat {
    rooms: Rooms,
    writer: Writer,
    store: Arc<dyn MessageStore>,
    limits: Limits,
    messages: Limiter<UserId>,
    typing: Limiter<UserId>,
    requests: Limiter<UserId>,
    clients: AtomicU64,
    stopping: CancellationToken,
}

impl Chat {
    /// Puts the use cases together.
    pub fn new(rooms: Rooms, writer: Writer, store: Arc<dyn MessageStore>, limits: Limits) -> Self {
        Self {
            rooms,
            writer,
            store,
            limits,
            messages: Limiter::new(limits.messages),
            typing: Limiter::new(limits.messages),
            requests: Limiter::new(limits.requests),
            clients: AtomicU64::new(1),
            stopping: CancellationToken::new(),
        }
    }

    /// Begins a connection's part in the chat.
    pub fn connect(&self, identity: Option<Identity>) -> Participant {
        Participant::new(self.clients.fetch_add(1, Ordering::Relaxed), identity)
    }

    /// From now on every request is answered with [`Error::Unavailable`]; those under way go on.
    pub fn stop(&self) {
        self.stopping.cancel();
    }

    /// Waits until [`Chat::stop`].
    pub async fn stopped(&self) {
        self.stopping.cancelled().await;
    }

    /// Joins a room, or joins it again: `welcome` answers the caller and subscribes it.
    ///
    /// Errors, without `welcome` being called: no identity ([`Error::InvalidPayload`]), another
    /// identity than before or a room that it may not enter, or too many rooms
    /// ([`Error::Forbidden`]), too many requests ([`Error::RateLimited`]), the log cannot be read
    /// ([`Error::Unavailable`]).
    pub async fn join(
        &self,
        participant: &Arc<Participant>,
        room: RoomId,
        claim: Option<Identity>,
        last_seq: Option<Seq>,
        limit: Option<usize>,
        welcome: impl FnOnce(Joined) -> bool + Send + 'static,
    ) -> Result<(), Error> {
        self.check_running()?;
        let identity = participant.identify(claim)?;
        identity.may_enter(&room)?;
        let user_id = identity.user_id().clone();
        self.requests.check(&user_id)?;
        let (handle, joined_before) = self.enter(participant, &room)?;
        let joining = handle.join(Join {
            client: participant.client,
            user_id,
            last_seq,
            limit: self.limit(limit),
            deadline: Instant::now() + READ_TIMEOUT,
            welcome: unless_closed(participant.clone(), welcome),
        });
        let result = joining.await;
        if result.is_err() && !joined_before {
            participant.joined().rooms.remove(&room);
        }
        result
    }

    /// Notes the room with the participant before the room knows of the participant: whenever the
    /// connection ends from here on,
    /// [`Chat::disconnect`] tells the room.
    fn enter(&self, participant: &Participant, room: &RoomId) -> Result<(RoomHandle, bool), Error> {
        let mut joined = participant.joined();
        if joined.closed {
            return Err(Error::Unavailable);
        }
        if let Some(handle) = joined.rooms.get(room) {
            return Ok((handle.clone(), true));
        }
        let max_rooms = self.limits.max_rooms;
        if joined.rooms.len() >= max_rooms {
            return Err(Error::Forbidden(format!(
                "roomId: a connection may be in {max_rooms} rooms at most"
            )));
        }
        let handle = self.rooms.enter(room);
        joined.rooms.insert(room.clone(), handle.clone());
        Ok((handle, false))
    }

    /// Leaves a room; afterwards the room knows nothing of the connection.
    ///
    /// Errors: [`Error::NotInRoom`].
    pub async fn leave(&self, participant: &Participant, room: &RoomId) -> Result<(), Error> {
        let handle = participant.joined().rooms.remove(room);
        let handle = handle.ok_or(Error::NotInRoom)?;
        handle.leave(participant.client, Departure::Left).await;
        Ok(())
    }

    /// Returns what the deployment has set.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Counts a request of the connection's user that is not made here.
    ///
    /// Errors: [`Error::RateLimited`].
    pub fn count_request(&self, participant: &Participant) -> Result<(), Error> {
        participant
            .identity()
            .map_or(Ok(()), |identity| self.requests.check(identity.user_id()))
    }

    /// Gives a connection other rights of the same user; it leaves the rooms that they do not
    /// cover, which are returned.
    ///
    /// Errors: [`Error::Forbidden`] when the user is another one.
    pub async fn renew(
        &self,
        participant: &Participant,
        identity: Identity,
    ) -> Result<Vec<RoomId>, Error> {
        let lost = participant.renew(identity)?;
        for room in &lost {
            self.leave(participant, room).await?;
        }
        Ok(lost)
    }

    /// Queues a message; its place among this connection's messages is settled when this returns.
    ///
    /// Errors: [`Error::NotInRoomYet`], a body that is blank or too large, [`Error::RateLimited`],
    /// [`Error::Unavailable`] when the queue is full.
    pub fn send(
        &self,
        participant: &Participant,
        room: RoomId,
        text: &str,
        client_message_id: Option<ClientMessageId>,
    ) -> Result<Receipt, Error> {
        self.check_running()?;
        let body = Body::parse(text, self.limits.max_message_bytes)?;
        let (author, _) = participant.member(&room).map_err(|_| Error::NotInRoomYet)?;
        self.messages.check(author.user_id())?;
        self.writer.enqueue(Draft::new(
            room,
            author.user_id().clone(),
            author.operator_id().cloned(),
            body,
            client_message_id,
        ))
    }

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

    /// Ends a connection's part: it leaves all its rooms.
    pub async fn disconnect(&self, participant: &Participant, how: Departure) {
        let rooms = {
            let mut joined = participant.joined();
            joined.closed = true;
            std::mem::take(&mut joined.rooms)
        };
        for handle in rooms.into_values() {
            handle.leave(participant.client, how).await;
        }
    }

    fn check_running(&self) -> Result<(), Error> {
        if self.stopping.is_cancelled() {
            return Err(Error::Unavailable);
        }
        Ok(())
    }
}

/// A join that waited in the room's queue while its connection ended must not leave a member
/// behind.
fn unless_closed(
    participant: Arc<Participant>,
    welcome: impl FnOnce(Joined) -> bool + Send + 'static,
) -> Welcome {
    Box::new(move |joined| !participant.is_closed() && welcome(joined))
}
