//! Rooms that somebody created: their settings, their members, and the end of a membership.

mod nodes;
mod removal;
mod store;
mod wire;

use serde_json::{Value, json};

use crate::support::Client;

/// Creates a room for members only.
async fn create(owner: &Client, room: &str, members: &[&str]) -> Value {
    let create =
        json!({ "roomId": room, "title": "Plans", "access": "members", "members": members });
    owner.ok("createRoom", create).await["room"].clone()
}

fn member(room: &str, user: &str) -> Value {
    json!({ "roomId": room, "userId": user })
}
