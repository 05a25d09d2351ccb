//! Joining and leaving rooms.

use std::sync::Arc;

use futures_util::FutureExt;
use tracing::Instrument;

use crate::{
    error::Error,
    realtime::{
        call::{Call, Handler},
        client::Client,
        overflow,
        protocol::{JoinRoom, LeaveRoom, Left},
        reply::Reply,
    },
    room::{Joined, Known},
};

/// Returns the handler of an event of this file.
pub fn handler(event: &str) -> Option<Handler> {
    Some(match event {
        JoinRoom::EVENT => |call| join_room(call).boxed(),
        LeaveRoom::EVENT => |call| call.answer(leave_room).boxed(),
        _ => return None,
    })
}

/// Joins a room, and queues the client's early sends.
async fn join_room(mut call: Call) {
    let reply = call.reply.clone();
    let joined = match call.request().await {
        Ok(join) => enter(&call.client, reply.clone(), join).await,
        Err(error) => Err(error),
    };
    match joined {
        Ok(()) => call.client.early.end(),
        Err(error) => reply.error(&error),
    }
}

/// Joins a room and queues the early sends to it. On success the room's task has answered by
/// `reply`.
///
/// # Errors
///
/// As [`Chat::join`](crate::chat::Chat::join), and [`Error::RateLimited`] for a client with too large
/// a backlog.
pub async fn enter(client: &Arc<Client>, reply: Reply, join: JoinRoom) -> Result<(), Error> {
    overflow::check(client, reply.socket())?;
    let (claim, limit) = (join.claim(), join.limit());
    let known = Known {
        last_seq: join.last_seq,
        last_revision: join.last_revision,
    };
    if join.last_revision.is_some() {
        // Before the join reads the user's position, so that no later one is missed.
        client.chat.identify(&client.participant, claim.clone())?;
        client.hear_own(reply.socket());
    }
    let (joiner, span) = (client.clone(), client.span(reply.socket()));
    let joining = client.chat.join(
        &client.participant,
        join.room_id.clone(),
        claim,
        known,
        limit,
        move |joined| welcome(&joiner, &reply, joined),
    );
    joining.instrument(span).await?;
    client
        .early
        .joined(&join.room_id, |send| super::messages::queue(client, send));
    Ok(())
}

/// Answers a joiner, then subscribes it, so that live packets come after the answer.
fn welcome(client: &Client, reply: &Reply, joined: Joined) -> bool {
    let socket = reply.socket();
    if !socket.connected() {
        return false;
    }
    overflow::count_answer(client, socket, &joined.messages);
    overflow::count_answer(
        client,
        socket,
        joined.changes.as_deref().unwrap_or_default(),
    );
    client.list(socket);
    reply.joined(&joined);
    client.subscribe(socket, &joined.room_id)
}

/// Leaves a room.
async fn leave_room(mut call: Call) -> Result<Left, Error> {
    let LeaveRoom { room_id } = call.request().await?;
    let client = &call.client;
    let leaving = client.chat.leave(&client.participant, &room_id);
    leaving.instrument(client.span(call.socket())).await?;
    client.unsubscribe(call.socket(), &room_id);
    Ok(Left { room_id })
}
