//! The number of series, and what they must not tell.

use std::{collections::BTreeSet, ops::Range};

use futures_util::future::join_all;
use serde_json::json;

use crate::support::{Database, FLOODED, RawClient, Server, figures::SCRAPED};

/// The most series of a server.
const MAX_SERIES: usize = 300;

/// Rooms with names of their own.
const ROOMS: usize = 10_000;
/// Users with names of their own.
const USERS: usize = 100;
/// Joins and sends of a client in flight.
const WINDOW: usize = 50;

/// Lets a client use rooms of its own, and stays in them.
async fn use_rooms(mut client: RawClient, rooms: Range<usize>) -> RawClient {
    for rooms in Vec::from_iter(rooms).chunks(WINDOW) {
        let mut last = 0;
        for number in rooms {
            let room = room(*number);
            client.emit("joinRoom", &json!({ "roomId": room })).await;
            let message = json!({ "roomId": room, "message": format!("secret text {number}") });
            last = client.emit("sendMessage", &message).await;
        }
        client.flush().await;
        let (_, answer) = client.until_ack(last).await;
        assert_eq!(answer["status"], "ok", "{answer}");
    }
    client
}

fn room(number: usize) -> String {
    format!("secret-room-{number}")
}

/// Uses as much of the contract as one client can.
async fn use_everything(client: &mut RawClient) {
    for (event, payload) in [
        ("joinRoom", json!({ "roomId": "secret-room-0" })),
        (
            "sendMessage",
            json!({ "roomId": "secret-room-0", "message": "secret text", "clientMessageId": "secret-id" }),
        ),
        (
            "sendMessage",
            json!({ "roomId": "secret-room-0", "message": "secret text", "clientMessageId": "secret-id" }),
        ),
        (
            "typing",
            json!({ "roomId": "secret-room-0", "isTyping": true }),
        ),
        (
            "setReaction",
            json!({ "roomId": "secret-room-0", "seq": 1, "reaction": "👍", "on": true }),
        ),
        (
            "setPinned",
            json!({ "roomId": "secret-room-0", "seq": 1, "on": true }),
        ),
        (
            "editMessage",
            json!({ "roomId": "secret-room-0", "seq": 1, "message": "secret edit" }),
        ),
        (
            "deleteMessage",
            json!({ "roomId": "secret-room-0", "seq": 1 }),
        ),
        ("getHistory", json!({ "roomId": "secret-room-0" })),
        (
            "getChanges",
            json!({ "roomId": "secret-room-0", "afterRevision": 0 }),
        ),
        ("markRead", json!({ "roomId": "secret-room-0", "seq": 1 })),
        ("followRoom", json!({ "roomId": "secret-room-0" })),
        ("listRooms", json!({})),
        ("watchRooms", json!({ "on": true })),
        (
            "createRoom",
            json!({ "roomId": "secret-created", "title": "secret title" }),
        ),
        ("searchMessages", json!({ "query": "secret" })),
        ("noSuchEvent-secret", json!({})),
        ("joinRoom", json!({ "roomId": 1 })),
        (
            "sendMessage",
            json!({ "roomId": "secret-room-0", "message": "" }),
        ),
    ] {
        client.call(event, payload).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_rooms_nor_users_nor_time_add_a_series_or_stand_in_one() {
    let flags = [
        SCRAPED,
        FLOODED,
        "--requests-per-second=0",
        "--events-per-second=0",
        "--max-rooms-per-socket=100000",
    ];
    let server = Server::on(Database::postgres().await, &flags).await;
    let before = server.figures().await;
    let mut ann = server.raw("secret-user-ann").await;
    use_everything(&mut ann).await;
    let clients = (0..USERS).map(async |number| {
        let client = server.raw(&format!("secret-user-{number}")).await;
        let rooms = ROOMS / USERS;
        use_rooms(client, number * rooms..(number + 1) * rooms).await
    });
    let _members = join_all(clients).await;
    let after = server.figures().await;
    assert!(after.get("parlor_rooms") >= ROOMS as f64);
    assert!(after.get(r#"parlor_sends_total{result="ok"}"#) >= ROOMS as f64);
    assert_eq!(
        before.series().collect::<BTreeSet<_>>(),
        after.series().collect::<BTreeSet<_>>()
    );
    let count = after.series().count();
    assert!(count <= MAX_SERIES, "{count} series");
    let peer = server.address().port().to_string();
    for told in [
        "secret",
        "127.0.0.1",
        peer.as_str(),
        "postgres://",
        "socket.io",
    ] {
        assert!(!after.text.contains(told), "{told} in {}", after.text);
    }
}
