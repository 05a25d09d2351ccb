//! Searching messages.

use futures_util::FutureExt;

use crate::{
    chat::Query,
    contract::{FoundMessages, SearchMessages},
    error::Error,
    realtime::{
        call::{Call, Handler},
        overflow,
    },
};

/// Returns the handler of an event of this file.
pub fn handler(event: &str) -> Option<Handler> {
    (event == SearchMessages::EVENT).then_some(|call| call.answer(search_messages).boxed())
}

/// Searches, while later events are handled.
async fn search_messages(mut call: Call) -> Result<FoundMessages, Error> {
    let query: SearchMessages = call.request().await?;
    call.end_turn();
    let client = call.client.clone();
    overflow::check(&client, call.socket())?;
    let limit = query.limit();
    let asked = Query {
        text: &query.query,
        room: query.room_id,
        before: query.before_seq,
        limit,
    };
    let (messages, has_more) = client.chat.search(&client.participant, asked).await?;
    overflow::count_answer(&client, call.socket(), &messages);
    Ok(FoundMessages { messages, has_more })
}
