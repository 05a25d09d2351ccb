//! Calls.

use std::sync::Arc;

use futures_util::FutureExt;

use crate::{
    contract::{CallEntered, CallStepped, JoinCall, LeaveCall, RejectCall, StartCall},
    error::Error,
    realtime::call::{Call, Handler},
};

/// Returns the handler of an event of this file.
pub fn handler(event: &str) -> Option<Handler> {
    Some(match event {
        StartCall::EVENT => |call| call.answer(start).boxed(),
        JoinCall::EVENT => |call| call.answer(join).boxed(),
        RejectCall::EVENT => |call| call.answer(reject).boxed(),
        LeaveCall::EVENT => |call| call.answer(leave).boxed(),
        _ => return None,
    })
}

async fn start(mut call: Call) -> Result<CallEntered, Error> {
    let start: StartCall = call.request().await?;
    let (client, socket) = (call.client.clone(), Arc::clone(call.socket()));
    let (room, party, new) = (start.room_id.clone(), start.party_id.clone(), start.call());
    let enter = || _ = client.enter_party(&socket, &start.room_id, &start.party_id);
    let starting = client
        .chat
        .start_call(&client.participant, room, party, new, enter);
    Ok(starting.await?.into())
}

async fn join(mut call: Call) -> Result<CallEntered, Error> {
    let join: JoinCall = call.request().await?;
    let (client, socket) = (call.client.clone(), Arc::clone(call.socket()));
    let (room, party) = (join.room_id.clone(), join.party_id.clone());
    let enter = || _ = client.enter_party(&socket, &join.room_id, &join.party_id);
    let joining = client
        .chat
        .join_call(&client.participant, room, join.call_id, party, enter);
    Ok(joining.await?.into())
}

async fn reject(mut call: Call) -> Result<CallStepped, Error> {
    let RejectCall { room_id, call_id } = call.request().await?;
    let client = &call.client;
    let rejecting = client
        .chat
        .reject_call(&client.participant, room_id, call_id);
    Ok(rejecting.await?.into())
}

async fn leave(mut call: Call) -> Result<CallStepped, Error> {
    let leave: LeaveCall = call.request().await?;
    let client = &call.client;
    let (room, party) = (leave.room_id.clone(), leave.party_id.clone());
    let leaving = client
        .chat
        .leave_call(&client.participant, room, leave.call_id, party);
    let left = leaving.await?;
    if left.party(&leave.party_id).is_none() {
        client.leave_party(call.socket(), &leave.room_id, &leave.party_id);
    }
    Ok(left.into())
}
