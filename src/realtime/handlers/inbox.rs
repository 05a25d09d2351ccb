//! Read marks, followed rooms, and the list of a user's rooms.

use futures_util::FutureExt;

use crate::{
    contract::{
        Cursor, Empty, FollowRoom, GetReads, ListRooms, MarkRead, Position, ReadsPage, Room,
        RoomsPage, UnfollowRoom, WatchRooms,
    },
    error::Error,
    realtime::{
        call::{Call, Handler},
        overflow,
    },
};

/// Returns the handler of an event of this file.
pub fn handler(event: &str) -> Option<Handler> {
    Some(match event {
        MarkRead::EVENT => |call| call.answer(mark_read).boxed(),
        GetReads::EVENT => |call| call.answer(get_reads).boxed(),
        FollowRoom::EVENT => |call| call.answer(follow_room).boxed(),
        UnfollowRoom::EVENT => |call| call.answer(unfollow_room).boxed(),
        ListRooms::EVENT => |call| call.answer(list_rooms).boxed(),
        WatchRooms::EVENT => |call| call.answer(watch_rooms).boxed(),
        _ => return None,
    })
}

/// Marks a room as read. The turn ends once the mark is queued, so later ones may share its
/// statement.
async fn mark_read(mut call: Call) -> Result<Position, Error> {
    let MarkRead { room_id, seq } = call.request().await?;
    let client = call.client.clone();
    let queued = client.chat.mark_read(&client.participant, room_id, seq);
    let queued = queued.await?;
    client.hear_own(call.socket());
    call.end_turn();
    let read_seq = queued.settled().await?;
    Ok(Position { read_seq })
}

/// Reads the positions of a room's readers, while later events are handled.
async fn get_reads(mut call: Call) -> Result<ReadsPage, Error> {
    let GetReads { room_id } = call.request().await?;
    call.end_turn();
    let client = &call.client;
    let (reads, has_more) = client.chat.reads(&client.participant, &room_id).await?;
    Ok(ReadsPage { reads, has_more })
}

async fn follow_room(mut call: Call) -> Result<Room, Error> {
    let FollowRoom { room_id, muted } = call.request().await?;
    let client = &call.client;
    let following = client.chat.follow(&client.participant, &room_id, muted);
    following.await?;
    Ok(Room { room_id })
}

async fn unfollow_room(mut call: Call) -> Result<Room, Error> {
    let UnfollowRoom { room_id } = call.request().await?;
    let client = &call.client;
    client.chat.unfollow(&client.participant, &room_id).await?;
    Ok(Room { room_id })
}

/// Reads a page of the list, while later events are handled.
async fn list_rooms(mut call: Call) -> Result<RoomsPage, Error> {
    let query: ListRooms = call.request().await?;
    call.end_turn();
    let client = call.client.clone();
    overflow::check(&client, call.socket())?;
    let after = query.cursor.as_ref().map(|cursor| &cursor.0);
    let listing = client
        .chat
        .list_rooms(&client.participant, after, query.limit());
    let (rooms, next) = listing.await?;
    let messages = rooms.iter().filter_map(|room| room.last_message.as_ref());
    overflow::count_answer(&client, call.socket(), messages);
    let cursor = next.map(Cursor);
    Ok(RoomsPage { rooms, cursor })
}

/// Begins or ends the news of the followed rooms. They may come before the answer, which comes once
/// none can be missed.
async fn watch_rooms(mut call: Call) -> Result<Empty, Error> {
    let WatchRooms { on } = call.request().await?;
    let client = &call.client;
    let user = client.chat.identify(&client.participant, None)?;
    client.hear_activity(call.socket(), &user, on);
    let watching = client.chat.watch_rooms(&client.participant, on).await;
    if watching.is_err() && !client.participant.is_watching() {
        client.hear_activity(call.socket(), &user, false);
    }
    watching.map(|()| Empty {})
}
