//! Conversations of operators with customers.

use futures_util::FutureExt;

use crate::{
    contract::{
        ClaimConversation, CloseConversation, ConversationsPage, Cursor, Empty, HandedOver,
        ListConversations, ReleaseConversation, TransferConversation, WatchConversations,
    },
    error::Error,
    model::{Handover, RoomId},
    realtime::{
        call::{Call, Handler},
        overflow,
    },
};

/// Returns the handler of an event of this file.
pub fn handler(event: &str) -> Option<Handler> {
    Some(match event {
        ClaimConversation::EVENT => |call| call.answer(claim).boxed(),
        ReleaseConversation::EVENT => |call| call.answer(release).boxed(),
        TransferConversation::EVENT => |call| call.answer(transfer).boxed(),
        CloseConversation::EVENT => |call| call.answer(close).boxed(),
        ListConversations::EVENT => |call| call.answer(list).boxed(),
        WatchConversations::EVENT => |call| call.answer(watch).boxed(),
        _ => return None,
    })
}

async fn claim(mut call: Call) -> Result<HandedOver, Error> {
    let claim: ClaimConversation = call.request().await?;
    let handover = claim.handover();
    hand_over(&call, claim.room_id, handover).await
}

async fn release(mut call: Call) -> Result<HandedOver, Error> {
    let release: ReleaseConversation = call.request().await?;
    let handover = release.handover();
    hand_over(&call, release.room_id, handover).await
}

async fn transfer(mut call: Call) -> Result<HandedOver, Error> {
    let transfer: TransferConversation = call.request().await?;
    let handover = transfer.handover();
    hand_over(&call, transfer.room_id, handover).await
}

async fn close(mut call: Call) -> Result<HandedOver, Error> {
    let close: CloseConversation = call.request().await?;
    let handover = close.handover();
    hand_over(&call, close.room_id, handover).await
}

async fn hand_over(call: &Call, room: RoomId, handover: Handover) -> Result<HandedOver, Error> {
    let client = &call.client;
    let changing = client.chat.hand_over(&client.participant, room, handover);
    Ok(changing.await?.into())
}

/// Reads a page of the list, while later events are handled.
async fn list(mut call: Call) -> Result<ConversationsPage, Error> {
    let query: ListConversations = call.request().await?;
    call.end_turn();
    let client = call.client.clone();
    overflow::check(&client, call.socket())?;
    let (state, limit) = (query.state(), query.limit());
    let after = query.cursor.map(|cursor| cursor.0);
    let listing =
        client
            .chat
            .conversations(&client.participant, state, query.operator_id, after, limit);
    let (conversations, next) = listing.await?;
    let page = ConversationsPage::new(conversations, next.map(Cursor));
    let listed = page.conversations.iter();
    let messages = listed.filter_map(|conversation| conversation.last_message.as_ref());
    overflow::count_answer(&client, call.socket(), messages);
    Ok(page)
}

/// Begins or ends the news of all conversations.
async fn watch(mut call: Call) -> Result<Empty, Error> {
    let WatchConversations { on } = call.request().await?;
    let client = &call.client;
    client.chat.watch_conversations(&client.participant)?;
    client.hear_conversations(call.socket(), on);
    Ok(Empty {})
}
