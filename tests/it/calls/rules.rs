//! The steps of a call, and the refusals.

use serde_json::{Value, json};

use super::{FLAGS, ROOM, code, users};
use crate::support::{Client, Server};

#[tokio::test(flavor = "multi_thread")]
async fn a_call_rings_is_joined_and_leaves_a_message_on_each_kind_of_database() {
    for server in Server::on_each_kind().await {
        let ann = Client::in_room(&server, "ann").await;
        let bob = Client::in_room(&server, "bob").await;
        let started = ann.starts("c1", "p1").await;
        assert_eq!(started["call"]["state"], "ringing", "{started}");
        assert_eq!(users(&started), ["ann"]);
        assert!(started["call"].get("to").is_none());
        let rung = bob.call_until(|call| call["state"] == "ringing").await;
        assert_eq!(rung, started["call"]);
        // Somebody who comes late is told, too, and so is a client of a service.
        let cid = server.client("cid").await;
        let joined = cid.join(ROOM).await;
        assert_eq!(joined["room"]["call"], started["call"]);
        assert_eq!(joined["room"]["access"], "open");
        let answered = bob.answers("c1", "p2").await;
        assert_eq!(answered["call"]["state"], "active", "{answered}");
        assert_eq!(users(&answered), ["ann", "bob"]);
        assert!(answered["call"].get("expiresAt").is_none());
        let heard = ann.call_until(|call| call["state"] == "active").await;
        assert_eq!(heard, answered["call"]);
        let alone = bob.hangs_up("c1", "p2").await;
        assert_eq!(
            (users(&alone), alone["expiresAt"].is_string()),
            (vec!["ann"], true)
        );
        let ended = ann.hangs_up("c1", "p1").await;
        assert_eq!(ended["endedReason"], "left");
        assert_eq!(ann.hangs_up("c1", "p1").await, ended, "a repeat");
        let trace = cid.next("newMessage").await;
        assert_eq!(trace["userId"], "ann");
        let text = trace["message"].as_str().unwrap();
        assert!(text.starts_with("Video call, "), "{text}");
        let about = &trace["metadata"]["call"];
        assert_eq!(
            (&about["callId"], &about["outcome"]),
            (&json!("c1"), &json!("left"))
        );
        assert!(about["durationMs"].is_u64(), "{about}");
        let again = cid.join(ROOM).await;
        assert_eq!(again["messages"].as_array().unwrap().len(), 1, "{again}");
        assert_eq!(again["room"]["call"], ended);
        let next = bob.starts("c2", "p2").await;
        assert_eq!(users(&next), ["bob"], "a new one can start");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_tab_that_joins_silences_the_others_and_no_tab_declines_for_it() {
    for server in Server::on_each_kind().await {
        let ann = Client::in_room(&server, "ann").await;
        let (first, second) = (
            Client::in_room(&server, "bob").await,
            Client::in_room(&server, "bob").await,
        );
        ann.starts("c1", "p1").await;
        assert_eq!(users(&first.answers("c1", "tab 1").await), ["ann", "bob"]);
        let heard = second.call_until(|call| call["state"] == "active").await;
        assert_eq!(users(&heard), ["ann", "bob"]);
        let late = second.answers("c1", "tab 2").await;
        assert_eq!(code(&late), "CONFLICT");
        assert_eq!(late["error"]["current"], heard);
        assert_eq!(second.rejects("c1").await, heard, "it goes on");
        assert_eq!(
            first.answers("c1", "tab 1").await["call"],
            heard,
            "a repeat"
        );
        let eve = Client::in_room(&server, "eve").await;
        assert_eq!(code(&eve.answers("c1", "tab 1").await), "FORBIDDEN");
        let leave = json!({ "roomId": ROOM, "callId": "c1", "partyId": "tab 1" });
        assert_eq!(eve.refused("leaveCall", leave).await, "FORBIDDEN");
        assert_eq!(eve.reads_call().await, heard);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_declines_on_all_devices_and_the_call_ends_when_all_have() {
    for server in Server::on_each_kind().await {
        let ann = Client::in_room(&server, "ann").await;
        let bob = Client::in_room(&server, "bob").await;
        let tab = Client::in_room(&server, "bob").await;
        let cid = Client::in_room(&server, "cid").await;
        ann.starts("c1", "p1").await;
        let once = bob.rejects("c1").await;
        assert_eq!(
            (&once["state"], &once["rejectedBy"]),
            (&json!("ringing"), &json!(["bob"]))
        );
        let told = tab.call_until(|call| call.get("rejectedBy").is_some());
        assert_eq!(told.await, once);
        assert_eq!(tab.rejects("c1").await, once);
        assert_eq!(ann.rejects("c1").await, once, "its own");
        let ended = cid.rejects("c1").await;
        assert_eq!(ended["endedReason"], "rejected");
        let (reason, text) = ann.ended_with_message().await;
        assert_eq!((&*reason, &*text), ("rejected", "Declined video call"));
        let to = json!({ "roomId": ROOM, "callId": "c2", "partyId": "p", "media": "audio", "to": "bob" });
        let started = ann.ok("startCall", to).await;
        assert_eq!(started["call"]["to"], json!(["bob"]));
        assert_eq!(cid.rejects("c2").await, started["call"], "it rings bob");
        assert_eq!(bob.rejects("c2").await["endedReason"], "rejected");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_that_cannot_be_are_refused_in_words_and_change_nothing() {
    let server = Server::start().await;
    let ann = Client::in_room(&server, "ann").await;
    let outside = server.client("eve").await;
    outside.join("elsewhere").await;
    for event in ["startCall", "joinCall", "rejectCall", "leaveCall"] {
        let step = json!({ "roomId": ROOM, "callId": "c1", "partyId": "p", "media": "audio" });
        assert_eq!(outside.refused(event, step.clone()).await, "NOT_IN_ROOM");
        if event != "startCall" {
            assert_eq!(ann.refused(event, step.clone()).await, "NOT_FOUND");
        }
        let mut bad = step.clone();
        bad["callId"] = json!("");
        assert_eq!(ann.refused(event, bad).await, "INVALID_PAYLOAD");
    }
    for (field, value) in [
        ("partyId", json!(7)),
        ("partyId", Value::Null),
        ("partyId", json!("x".repeat(129))),
        ("media", json!("smell")),
        ("to", json!(["ann"])),
        ("to", json!([])),
        ("to", json!([7])),
        (
            "to",
            json!((0..11).map(|n| n.to_string()).collect::<Vec<_>>()),
        ),
    ] {
        let mut start = json!({ "roomId": ROOM, "callId": "c1", "partyId": "p", "media": "audio" });
        start[field] = value;
        let answer = ann.call("startCall", start).await;
        assert_eq!(code(&answer), "INVALID_PAYLOAD", "{field}");
        let words = answer["error"]["message"].as_str().unwrap();
        assert!(words.starts_with(&format!("{field}: ")), "{words}");
    }
    assert!(ann.reads_call().await.is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn to_leave_the_room_or_to_be_put_out_of_it_is_to_hang_up() {
    for server in Server::on_each_kind().await {
        let ann = server.client("ann").await;
        let create = json!({ "roomId": ROOM, "members": ["bob", "cid"] });
        ann.ok("createRoom", create).await;
        ann.join(ROOM).await;
        let bob = Client::in_room(&server, "bob").await;
        let cid = Client::in_room(&server, "cid").await;
        ann.starts("c1", "p1").await;
        bob.answers("c1", "p2").await;
        assert_eq!(users(&cid.answers("c1", "p3").await), ["ann", "bob", "cid"]);
        bob.ok("leaveRoom", json!({ "roomId": ROOM })).await;
        let without = ann.call_until(|call| users(call).len() == 2 && users(call)[1] == "cid");
        without.await;
        let remove = json!({ "roomId": ROOM, "userId": "cid" });
        ann.ok("removeMember", remove).await;
        let without = ann.call_until(|call| users(call) == ["ann"]);
        assert_eq!(without.await["state"], "active");
        assert_eq!(code(&cid.answers("c1", "p3").await), "NOT_IN_ROOM");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_becomes_one_for_members_takes_the_others_out_of_its_call() {
    for server in Server::on_each_kind().await {
        let ann = server.client("ann").await;
        ann.ok("createRoom", json!({ "roomId": ROOM, "members": ["bob"] }))
            .await;
        ann.join(ROOM).await;
        let bob = Client::in_room(&server, "bob").await;
        let cid = Client::in_room(&server, "cid").await;
        cid.starts("c1", "p1").await;
        ann.answers("c1", "p2").await;
        bob.answers("c1", "p3").await;
        let close = json!({ "roomId": ROOM, "access": "members" });
        ann.ok("setRoom", close).await;
        assert_eq!(users(&ann.reads_call().await), ["ann", "bob"]);
        cid.next("removed").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_with_more_than_ten_users_is_not_rung_and_a_full_call_takes_nobody() {
    let server = Server::on(crate::support::Database::sqlite(), &FLAGS).await;
    let mut clients = vec![];
    for number in 0..11 {
        clients.push(Client::in_room(&server, &format!("user {number}")).await);
    }
    let started = clients[0].starts("c1", "p0").await;
    assert_eq!(started["call"]["to"], json!([]), "{started}");
    for (number, client) in clients.iter().enumerate().skip(1) {
        let answer = client.answers("c1", &format!("p{number}")).await;
        let expected = if number < 6 { "ok" } else { "CONFLICT" };
        assert_eq!(code(&answer), expected, "{answer}");
    }
    let named = json!({ "roomId": ROOM, "callId": "c2", "partyId": "p", "media": "audio", "to": ["user 3"] });
    assert_eq!(clients[9].refused("startCall", named).await, "CONFLICT");
}

#[tokio::test(flavor = "multi_thread")]
async fn starts_and_ends_are_counted_by_their_reasons() {
    let server = Server::on(
        crate::support::Database::sqlite(),
        &[crate::support::figures::SCRAPED],
    )
    .await;
    let ann = Client::in_room(&server, "ann").await;
    let bob = Client::in_room(&server, "bob").await;
    for call in ["c1", "c2"] {
        ann.starts(call, "p1").await;
        ann.starts(call, "p1").await;
        ann.hangs_up(call, "p1").await;
        ann.hangs_up(call, "p1").await;
    }
    ann.starts("c3", "p1").await;
    bob.rejects("c3").await;
    let figures = server.figures().await;
    assert_eq!(figures.get("parlor_calls_started_total"), 3.0);
    let ended =
        |reason: &str| figures.get(&format!(r#"parlor_calls_ended_total{{reason="{reason}"}}"#));
    let counts = ["cancelled", "rejected", "missed"].map(ended);
    assert_eq!(counts, [2.0, 1.0, 0.0]);
}
