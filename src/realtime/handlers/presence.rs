//! Signals of users' activity.

use futures_util::FutureExt;

use crate::{
    contract::Empty,
    error::Error,
    realtime::{
        call::{Call, Handler},
        protocol::Typing,
    },
};

/// Returns the handler of an event of this file.
pub fn handler(event: &str) -> Option<Handler> {
    Some(match event {
        Typing::EVENT => |call| call.answer(typing).boxed(),
        _ => return None,
    })
}

/// Tells the other users in a room of the user's typing. A client with a full queue never gets it.
async fn typing(mut call: Call) -> Result<Empty, Error> {
    let Typing { room_id, is_typing } = call.request().await?;
    let client = &call.client;
    client
        .chat
        .typing(&client.participant, &room_id, is_typing)?;
    Ok(Empty {})
}
