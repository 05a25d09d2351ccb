//! Changing messages, and reading what has changed.

use std::slice;

use futures_util::FutureExt;

use crate::{
    chat::{Changing, Version},
    contract::{ChangesPage, DeleteMessage, EditMessage, GetChanges, SetPinned, SetReaction},
    error::Error,
    model::{Action, Changed, EncodedMessage, RoomId, Seq},
    realtime::{
        call::{Call, Handler},
        overflow,
    },
};

/// Returns the handler of an event of this file.
pub fn handler(event: &str) -> Option<Handler> {
    Some(match event {
        EditMessage::EVENT => |call| call.answer(edit_message).boxed(),
        DeleteMessage::EVENT => |call| call.answer(delete_message).boxed(),
        SetReaction::EVENT => |call| call.answer(set_reaction).boxed(),
        SetPinned::EVENT => |call| call.answer(set_pinned).boxed(),
        GetChanges::EVENT => |call| call.answer(get_changes).boxed(),
        _ => return None,
    })
}

async fn edit_message(mut call: Call) -> Result<Changed<EncodedMessage>, Error> {
    let edit: EditMessage = call.request().await?;
    let version = Version {
        text: &edit.message,
        metadata: edit.metadata,
        if_revision: edit.if_revision,
    };
    let client = &call.client;
    let queued = client
        .chat
        .edit(&client.participant, edit.room_id, edit.seq, version);
    let queued = queued.await;
    settle(call, queued).await
}

async fn delete_message(mut call: Call) -> Result<Changed<EncodedMessage>, Error> {
    let DeleteMessage { room_id, seq } = call.request().await?;
    change(call, room_id, seq, Action::Delete).await
}

async fn set_reaction(mut call: Call) -> Result<Changed<EncodedMessage>, Error> {
    let SetReaction {
        room_id,
        seq,
        reaction,
        on,
    } = call.request().await?;
    change(call, room_id, seq, Action::React { reaction, on }).await
}

async fn set_pinned(mut call: Call) -> Result<Changed<EncodedMessage>, Error> {
    let SetPinned { room_id, seq, on } = call.request().await?;
    change(call, room_id, seq, Action::Pin { on }).await
}

async fn change(
    call: Call,
    room: RoomId,
    seq: Seq,
    action: Action,
) -> Result<Changed<EncodedMessage>, Error> {
    let client = &call.client;
    let queued = client.chat.change(&client.participant, room, seq, action);
    let queued = queued.await;
    settle(call, queued).await
}

/// Ends the turn once the change is queued, and waits for its commit.
async fn settle(
    mut call: Call,
    queued: Result<Changing, Error>,
) -> Result<Changed<EncodedMessage>, Error> {
    call.end_turn();
    let changed = queued?.settled().await?;
    let message = slice::from_ref(&changed.message);
    overflow::count_answer(&call.client, call.socket(), message);
    Ok(changed)
}

/// Reads changes, while later events are handled.
async fn get_changes(mut call: Call) -> Result<ChangesPage, Error> {
    let query: GetChanges = call.request().await?;
    let client = call.client.clone();
    let reading = client.chat.changes(
        &client.participant,
        &query.room_id,
        query.after_revision,
        query.limit(),
    )?;
    call.end_turn();
    let read = reading.page().await?;
    overflow::check(&client, call.socket())?;
    overflow::count_answer(&client, call.socket(), &read.changes);
    Ok(read.into())
}
