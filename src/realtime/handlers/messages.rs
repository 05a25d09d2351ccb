//! Sending messages, and reading them again.

use std::slice;

use futures_util::FutureExt;

use crate::{
    chat::{Content, Sent},
    contract::{GetHistory, HistoryPage, SendMessage},
    error::Error,
    model::{EncodedMessage, Stored},
    realtime::{
        call::{Call, Handler},
        client::Client,
        overflow,
    },
};

/// Returns the handler of an event of this file.
pub fn handler(event: &str) -> Option<Handler> {
    Some(match event {
        GetHistory::EVENT => |call| call.answer(get_history).boxed(),
        _ => return None,
    })
}

/// Sends a message. The turn ends once the message has its place before later ones, which may share its
/// commit and its wait for the moderation.
pub async fn send_message(mut call: Call) -> Result<Stored<EncodedMessage>, Error> {
    let settled = match enqueue(&mut call).await {
        Ok(queued) => queued.settled().await,
        Err(error) => Err(error),
    };
    let sent = settled.as_ref().map(|stored| stored.duplicate);
    call.client.metrics.sends.note(sent);
    let stored = settled?;
    let message = slice::from_ref(&stored.message);
    overflow::count_answer(&call.client, call.socket(), message);
    Ok(stored)
}

/// Queues a message. An early one waits for its client's first join.
async fn enqueue(call: &mut Call) -> Result<Sent, Error> {
    let send = call.request().await?;
    let queued = queue(&call.client, &send);
    if !matches!(queued, Err(Error::NotInRoomYet)) {
        call.end_turn();
        return queued;
    }
    let place = call.client.early.push(send)?;
    call.end_turn();
    let client = &call.client;
    let outcome = place.outcome(&client.early, &client.turns, client.chat.stopped());
    Box::pin(outcome).await
}

/// Hands a message to the chat.
pub fn queue(client: &Client, send: &SendMessage) -> Result<Sent, Error> {
    let content = Content {
        text: &send.message,
        client_message_id: send.client_message_id.clone(),
        reply_to: send.reply_to,
        metadata: send.metadata.clone(),
    };
    let author = &client.participant;
    client.chat.send(author, send.room_id.clone(), content)
}

/// Reads a part of a room's log, while later events are handled.
async fn get_history(mut call: Call) -> Result<HistoryPage, Error> {
    let query: GetHistory = call.request().await?;
    let (room, range, limit) = (&query.room_id, query.range()?, query.limit());
    let client = call.client.clone();
    let reading = client
        .chat
        .history(&client.participant, room, range, query.reply_to, limit)?;
    call.end_turn();
    let (messages, has_more) = reading.page().await?;
    overflow::check(&client, call.socket())?;
    overflow::count_answer(&client, call.socket(), &messages);
    Ok(HistoryPage { messages, has_more })
}
