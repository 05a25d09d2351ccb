//! The events, and their order.

use serde_json::{Value, json};

use super::{Receiver, server};
use crate::{
    api::{Backend, WITH_KEY},
    support::{Database, conformance, eventually},
};

conformance!(
    messages_and_changes_arrive_in_order_and_with_their_state,
    rooms_and_members_arrive_as_states,
    changes_of_conversations_arrive_as_states,
    changes_of_calls_arrive_as_states,
);

/// Returns an event's type and data.
fn parts((_, event): &(String, Value)) -> (&str, &Value) {
    (event["type"].as_str().unwrap(), &event["data"])
}

async fn messages_and_changes_arrive_in_order_and_with_their_state(database: Database) {
    let receiver = Receiver::start().await;
    let server = server(database, &[&receiver], &[]).await;
    let ann = server.client("ann").await;
    ann.join("r").await;
    for text in ["one", "two", "three"] {
        ann.send("r", text).await;
    }
    let taken = receiver.until_taken(3).await;
    for (number, event) in (1..).zip(&taken) {
        let (kind, data) = parts(event);
        assert_eq!((kind, &data["seq"]), ("message.created", &json!(number)));
        assert_eq!(
            (&data["roomId"], &data["userId"]),
            (&json!("r"), &json!("ann"))
        );
        assert_eq!(data["id"], event.0);
        assert_eq!(data["timestamp"], event.1["timestamp"]);
    }
    let edit = json!({ "roomId": "r", "seq": 2, "message": "2" });
    ann.ok("editMessage", edit).await;
    let taken = receiver.until_taken(4).await;
    let (kind, data) = parts(&taken[3]);
    assert_eq!(kind, "message.changed");
    assert_eq!(
        (&data["roomId"], &data["revision"]),
        (&json!("r"), &json!(1))
    );
    assert_eq!(data["message"]["message"], "2");
    ann.ok("deleteMessage", json!({ "roomId": "r", "seq": 1 }))
        .await;
    let taken = receiver.until_taken(5).await;
    let (_, data) = parts(&taken[4]);
    assert_eq!(
        (&data["revision"], &data["message"]["message"]),
        (&json!(2), &json!(""))
    );
    let headers = &receiver.requests()[0].headers;
    assert_eq!(headers["content-type"], "application/json");
    assert!(
        headers["user-agent"]
            .to_str()
            .unwrap()
            .starts_with("parlor/")
    );
}

async fn rooms_and_members_arrive_as_states(database: Database) {
    let receiver = Receiver::start().await;
    let server = server(database, &[&receiver], &[]).await;
    let ann = server.client("ann").await;
    let members: Vec<_> = (0..99).map(|number| format!("m{number:02}")).collect();
    let room = json!({ "roomId": "r", "title": "Tea", "access": "members", "members": members });
    ann.ok("createRoom", room).await;
    let taken = receiver.until_taken(101).await;
    let (kind, data) = parts(&taken[0]);
    assert_eq!(kind, "room.changed");
    let expected = json!({
        "roomId": "r", "revision": 1, "room": { "title": "Tea", "access": "members" }
    });
    assert_eq!(*data, expected);
    let added = |user: &str, role: &str| json!({ "roomId": "r", "userId": user, "role": role });
    assert_eq!(parts(&taken[1]), ("member.added", &added("ann", "owner")));
    for (event, user) in taken[2..].iter().zip(&members) {
        assert_eq!(parts(event), ("member.added", &added(user, "member")));
    }
    let of = |user: &str| json!({ "roomId": "r", "userId": user });
    let mut next = 101;
    for (event, payload, kind, data) in [
        (
            "addMember",
            json!({ "roomId": "r", "userId": "m00", "role": "moderator" }),
            "member.added",
            added("m00", "moderator"),
        ),
        ("removeMember", of("m01"), "member.removed", of("m01")),
        (
            "setRoom",
            json!({ "roomId": "r", "title": "" }),
            "room.changed",
            json!({ "roomId": "r", "revision": 4, "room": { "access": "members" } }),
        ),
        (
            "addMember",
            of("m01"),
            "member.added",
            added("m01", "member"),
        ),
    ] {
        ann.ok(event, payload).await;
        let taken = receiver.until_taken(next + 1).await;
        assert_eq!(parts(&taken[next]), (kind, &data));
        next += 1;
    }
    let bob = server.client("m02").await;
    bob.ok("removeMember", of("m02")).await;
    let taken = receiver.until_taken(next + 1).await;
    assert_eq!(parts(&taken[next]), ("member.removed", &of("m02")));
}

async fn changes_of_calls_arrive_as_states(database: Database) {
    let receiver = Receiver::start().await;
    let server = server(database, &[&receiver], &[]).await;
    let ann = server.client("ann").await;
    ann.join("r").await;
    let step = json!({ "roomId": "r", "callId": "c", "partyId": "p", "media": "audio" });
    let started = ann.ok("startCall", step.clone()).await;
    let taken = receiver.until_taken(1).await;
    let data = json!({ "roomId": "r", "revision": 1, "call": started["call"] });
    assert_eq!(parts(&taken[0]), ("call.changed", &data));
    let ended = ann.ok("leaveCall", step).await;
    let taken = receiver.until_taken(3).await;
    assert_eq!(parts(&taken[1]).0, "message.created", "the call's message");
    let data = json!({ "roomId": "r", "revision": 2, "call": ended["call"] });
    assert_eq!(parts(&taken[2]), ("call.changed", &data));
}

async fn changes_of_conversations_arrive_as_states(database: Database) {
    let receiver = Receiver::start().await;
    let flags = [
        WITH_KEY,
        "--jwt-secret=a secret of more than 32 bytes, for tests",
        "--conversations=r",
    ];
    let server = server(database, &[&receiver], &flags).await;
    let backend = Backend::of(&server);
    let told = async |count: usize| {
        let taken = receiver.until_taken(count).await;
        let (kind, data) = parts(&taken[count - 1]);
        assert_eq!(kind, "conversation.changed");
        assert_eq!(data["roomId"], "r");
        assert_eq!(data["revision"], data["conversation"]["version"]);
        data["conversation"].clone()
    };
    backend.send("r", "ann", "help").await;
    let opened = told(2).await;
    assert_eq!(
        (&opened["state"], &opened["changedBy"]),
        (&json!("open"), &json!("ann"))
    );
    let claim = json!({ "roomId": "r", "userId": "op" });
    let claimed = backend.ok("POST", "/conversations/claim", claim).await;
    assert_eq!(told(3).await, claimed["conversation"]);
    let close = json!({ "roomId": "r" });
    let closed = backend.ok("POST", "/conversations/close", close).await;
    assert_eq!(told(4).await, closed["conversation"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn users_who_come_and_go_are_told_once_for_all_their_clients() {
    let receiver = Receiver::start().await;
    let flags = ["--presence-grace-ms=0"];
    let server = server(Database::sqlite(), &[&receiver], &flags).await;
    let clients = [server.client("ann").await, server.client("ann").await];
    let told = async |count: usize| {
        eventually("the users", async || receiver.users().len() >= count).await;
        receiver.users()
    };
    let first = told(1).await.remove(0);
    assert_eq!(first["type"], "user.connected");
    assert_eq!(first["data"]["userId"], "ann");
    let bob = server.client("bob").await;
    assert_eq!(told(2).await[1]["data"]["userId"], "bob");
    bob.disconnect().await;
    for client in clients {
        client.disconnect().await;
    }
    let mut gone = told(4).await.split_off(2);
    gone.sort_by_key(|event| event["data"]["userId"].to_string());
    for (event, user) in gone.iter().zip(["ann", "bob"]) {
        assert_eq!(event["type"], "user.disconnected");
        let data = json!({ "userId": user, "server": first["data"]["server"] });
        assert_eq!(event["data"], data);
    }
    assert_eq!(told(4).await.len(), 4);
}
