//! Clients' own events.

use futures_util::FutureExt;

use crate::{
    contract::Empty,
    error::Error,
    realtime::{
        call::{Call, Handler},
        protocol::SendSignal,
    },
};

/// Returns the handler of an event of this file.
pub fn handler(event: &str) -> Option<Handler> {
    Some(match event {
        SendSignal::EVENT => |call| call.answer(signal).boxed(),
        _ => return None,
    })
}

/// Relays an event to others in the room.
async fn signal(mut call: Call) -> Result<Empty, Error> {
    let signal = relay(&mut call).await;
    call.client.metrics.note_signal(signal.as_ref());
    signal
}

async fn relay(call: &mut Call) -> Result<Empty, Error> {
    let SendSignal {
        room_id,
        event,
        data,
        to,
    } = call.request().await?;
    let client = &call.client;
    let sender = &client.participant;
    client.chat.signal(sender, &room_id, event, data, to)?;
    Ok(Empty {})
}
