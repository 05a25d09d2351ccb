//! Creating rooms, and changing their settings and members.

use futures_util::FutureExt;

use crate::{
    contract::{
        AddMember, CreateRoom, GetMembers, MemberChanged, MembersPage, RemoveMember, RoomCreated,
        RoomSet, SetRoom,
    },
    error::Error,
    realtime::call::{Call, Handler},
};

/// Returns the handler of an event of this file.
pub fn handler(event: &str) -> Option<Handler> {
    Some(match event {
        CreateRoom::EVENT => |call| call.answer(create_room).boxed(),
        SetRoom::EVENT => |call| call.answer(set_room).boxed(),
        AddMember::EVENT => |call| call.answer(add_member).boxed(),
        RemoveMember::EVENT => |call| call.answer(remove_member).boxed(),
        GetMembers::EVENT => |call| call.answer(get_members).boxed(),
        _ => return None,
    })
}

async fn create_room(mut call: Call) -> Result<RoomCreated, Error> {
    let create: CreateRoom = call.request().await?;
    let client = &call.client;
    let (room_id, (settings, members)) = (create.room_id.clone(), create.parts());
    let creating = client
        .chat
        .create_room(&client.participant, room_id, settings, None, members);
    let room = creating.await?;
    Ok(RoomCreated { room })
}

async fn set_room(mut call: Call) -> Result<RoomSet, Error> {
    let set: SetRoom = call.request().await?;
    let (client, settings) = (&call.client, set.settings());
    let setting = client
        .chat
        .set_room(&client.participant, set.room_id, settings);
    Ok(setting.await?.into())
}

async fn add_member(mut call: Call) -> Result<MemberChanged, Error> {
    let AddMember {
        room_id,
        user_id,
        role,
    } = call.request().await?;
    let (client, role) = (&call.client, role.unwrap_or_default());
    let adding = client
        .chat
        .add_member(&client.participant, room_id, user_id, role);
    let changed = adding.await?;
    Ok(MemberChanged { changed })
}

async fn remove_member(mut call: Call) -> Result<MemberChanged, Error> {
    let RemoveMember { room_id, user_id } = call.request().await?;
    let client = &call.client;
    let removing = client
        .chat
        .remove_member(&client.participant, room_id, user_id);
    let changed = removing.await?;
    Ok(MemberChanged { changed })
}

/// Reads a page of the members, while later events are handled.
async fn get_members(mut call: Call) -> Result<MembersPage, Error> {
    let query: GetMembers = call.request().await?;
    call.end_turn();
    let (client, room) = (&call.client, &query.room_id);
    let after = query.cursor.as_ref();
    let reading = client
        .chat
        .room_members(&client.participant, room, after, query.limit());
    let (members, cursor) = reading.await?;
    Ok(MembersPage { members, cursor })
}
