//! The servers that find and relay the ways of calls.

use futures_util::FutureExt;

use crate::{
    contract::{GetIceServers, IceServersFound},
    error::Error,
    realtime::call::{Call, Handler},
};

/// Returns the handler of an event of this file.
pub fn handler(event: &str) -> Option<Handler> {
    Some(match event {
        GetIceServers::EVENT => |call| call.answer(get_ice_servers).boxed(),
        _ => return None,
    })
}

async fn get_ice_servers(mut call: Call) -> Result<IceServersFound, Error> {
    let GetIceServers { room_id, call_id } = call.request().await?;
    let client = &call.client;
    let asking = client
        .chat
        .ice_servers(&client.participant, &room_id, &call_id);
    asking.await
}
