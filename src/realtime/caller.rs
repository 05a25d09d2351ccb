//! One socket's requests, each in its turn.

use std::{convert::Infallible, sync::Arc};

use socketioxide::{
    adapter::LocalAdapter,
    handler::{FromDisconnectParts, FromMessageParts, Value},
    socket::{DisconnectReason, Socket},
};
use tracing::Instrument;

use super::{
    Client,
    protocol::{
        Empty, GetHistory, HistoryPage, JoinRoom, LeaveRoom, Left, RefreshAuth, Refreshed,
        SendMessage, Typing, event,
    },
    reply::Reply,
    request::Payload,
    turn::{OnTurn, Turn},
};
use crate::{
    chat::Chat,
    error::Error,
    model::{EncodedMessage, RoomId},
    room,
    writer::Receipt,
};

/// The connection that an event came by.
pub struct Caller(pub(super) Arc<Client>);

impl Caller {
    /// Joins; on success the room has sent the answer, and messages that came too early are queued.
    pub async fn join(
        &self,
        turn: Turn,
        reply: Reply,
        join: Payload<JoinRoom>,
    ) -> Result<(), Error> {
        let _turn = self.come(turn).await?;
        self.enter(reply, join?).await?;
        self.0.early.end();
        Ok(())
    }

    /// Joins a room that the handshake named.
    pub async fn join_at_once(&self, reply: Reply, join: JoinRoom) {
        let (failed, room_id) = (reply.clone(), join.room_id.clone());
        if let Err(error) = self.enter(reply, join).await {
            failed.not_joined(&room_id, &error);
        }
    }

    async fn enter(&self, reply: Reply, join: JoinRoom) -> Result<(), Error> {
        self.0.backlogs.check(reply.socket())?;
        let welcome = move |joined: room::Joined| welcome(reply, joined);
        let Client {
            chat, participant, ..
        } = &*self.0;
        let (claim, last_seq, limit) = (join.claim(), join.last_seq, join.limit());
        let joining = chat.join(
            participant,
            join.room_id.clone(),
            claim,
            last_seq,
            limit,
            welcome,
        );
        joining.instrument(self.0.span()).await?;
        self.0.early.joined(&join.room_id, |send| self.queue(send));
        Ok(())
    }

    /// Leaves, and takes the socket out of what the room sends to.
    pub async fn leave(
        &self,
        turn: Turn,
        socket: &Socket,
        leave: Payload<LeaveRoom>,
    ) -> Result<Left, Error> {
        let _turn = self.come(turn).await?;
        let LeaveRoom { room_id } = leave?;
        let leaving = self.chat().leave(&self.0.participant, &room_id);
        leaving.instrument(self.0.span()).await?;
        self.unsubscribe(socket, &room_id);
        Ok(Left { room_id })
    }

    /// Queues a message. The turn ends here: later sends may join it in the same commit. One that
    /// comes before its connection's first join waits for that.
    pub async fn enqueue(&self, turn: Turn, send: Payload<SendMessage>) -> Result<Receipt, Error> {
        let turn = self.come(turn).await?;
        let send = send?;
        match self.queue(&send) {
            Err(Error::NotInRoomYet) => {
                let place = self.0.early.push(send)?;
                drop(turn);
                Box::pin(place.joined(&self.0)).await
            }
            queued => queued,
        }
    }

    fn queue(&self, send: &SendMessage) -> Result<Receipt, Error> {
        let (room, name) = (send.room_id.clone(), send.client_message_id.clone());
        self.chat()
            .send(&self.0.participant, room, &send.message, name)
    }

    /// Reads history, while later events go on.
    pub async fn history(
        &self,
        turn: Turn,
        socket: &Socket,
        query: Payload<GetHistory>,
    ) -> Result<HistoryPage, Error> {
        let turn = self.come(turn).await?;
        let query = query?;
        let (room, range) = (&query.room_id, query.range()?);
        let reading = self
            .chat()
            .history(&self.0.participant, room, range, query.limit())?;
        drop(turn);
        let (messages, has_more) = reading.await?;
        self.0.backlogs.check(socket)?;
        self.0.backlogs.to_client(socket, json_bytes(&messages));
        Ok(HistoryPage { messages, has_more })
    }

    /// Tells the others that the user types; whoever cannot take it now does not get it.
    pub async fn typing(&self, turn: Turn, typing: Payload<Typing>) -> Result<Empty, Error> {
        let _turn = self.come(turn).await?;
        let Typing { room_id, is_typing } = typing?;
        self.chat()
            .typing(&self.0.participant, &room_id, is_typing)?;
        Ok(Empty {})
    }

    /// Goes on with a newer token, and out of the rooms that it does not cover.
    pub async fn refresh(
        &self,
        turn: Turn,
        socket: &Arc<Socket>,
        token: Payload<RefreshAuth>,
    ) -> Result<Refreshed, Error> {
        let _turn = self.come(turn).await?;
        let Some(lease) = &self.0.lease else {
            return Err(Error::UnknownEvent(RefreshAuth::EVENT.into()));
        };
        let RefreshAuth { token } = token?;
        self.chat().count_request(&self.0.participant)?;
        let grant = lease.check(&token)?;
        let renewing = self.chat().renew(&self.0.participant, grant.identity);
        for room in renewing.instrument(self.0.span()).await? {
            self.unsubscribe(socket, &room);
        }
        lease.extend(socket, grant.expires_at);
        Ok(Refreshed {
            expires_at: grant.expires_at,
        })
    }

    fn unsubscribe(&self, socket: &Socket, room: &RoomId) {
        socket.leave(room.to_string());
        self.0.backlogs.unsubscribe(&self.0.backlog, room);
    }

    /// Waits for an event's turn.
    ///
    /// # Errors
    /// [`Error::TokenExpired`] when the connection's token is out of date by then.
    pub async fn come(&self, turn: Turn) -> Result<OnTurn, Error> {
        let turn = turn.come().await;
        self.0
            .lease
            .as_ref()
            .map_or(Ok(()), |lease| lease.check_time())?;
        Ok(turn)
    }

    fn chat(&self) -> &Chat {
        &self.0.chat
    }
}

/// Answers a joiner, then subscribes it, so that what comes live comes after the answer.
fn welcome(reply: Reply, joined: room::Joined) -> bool {
    let socket = reply.socket().clone();
    if !socket.connected() {
        return false;
    }
    let Client {
        backlog, backlogs, ..
    } = &*Client::of(&socket);
    backlogs.to_client(&socket, json_bytes(&joined.messages));
    backlogs.subscribe(backlog, &joined.room_id);
    let room = joined.room_id.to_string();
    reply.ok(Some(event::HISTORY), joined);
    subscribe(&socket, room)
}

fn json_bytes(messages: &[EncodedMessage]) -> usize {
    messages.iter().map(|message| message.json().len()).sum()
}

/// Puts a socket into the Socket.IO room. A socket that ended meanwhile has been taken out of all
/// its rooms already and would stay in this one for ever.
fn subscribe(socket: &Socket, room: String) -> bool {
    socket.join(room.clone());
    if !socket.connected() {
        socket.leave(room);
        return false;
    }
    true
}

impl FromMessageParts<LocalAdapter> for Caller {
    type Error = Infallible;

    fn from_message_parts(
        socket: &Arc<Socket>,
        _: &mut Value,
        _: &Option<i64>,
    ) -> Result<Self, Infallible> {
        Ok(Self(Client::of(socket)))
    }
}

impl FromDisconnectParts<LocalAdapter> for Caller {
    type Error = Infallible;

    fn from_disconnect_parts(
        socket: &Arc<Socket>,
        _: DisconnectReason,
    ) -> Result<Self, Infallible> {
        Ok(Self(Client::of(socket)))
    }
}
