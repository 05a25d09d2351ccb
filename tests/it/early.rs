//! Sends before the first join, and rooms in the handshake.

use std::time::{Duration, Instant};

use parlor::testing::realtime::{JOIN_WAIT, MAX_EARLY_SENDS};
use reqwest::Client;
use serde_json::{Value, json};

use crate::support::{
    Database, RawClient, Server,
    engine::{Endpoint, Polling},
    node,
    raw::Packet,
};

fn join(room: &str) -> Value {
    json!({ "roomId": room })
}

fn say(room: &str, text: &str) -> Value {
    json!({ "roomId": room, "message": text })
}

fn texts(answer: &Value) -> Vec<&str> {
    let messages = answer["messages"].as_array().expect("messages");
    messages
        .iter()
        .map(|message| message["message"].as_str().unwrap())
        .collect()
}

/// Returns the answers with these ids, in the order of the ids; drops any other packets.
async fn answers(client: &mut RawClient, ids: &[u64]) -> Vec<Value> {
    let mut answers = vec![Value::Null; ids.len()];
    while answers.iter().any(Value::is_null) {
        match client.packet().await {
            Packet::Ack(id, answer) => {
                if let Some(index) = ids.iter().position(|known| *known == id) {
                    answers[index] = answer;
                }
            }
            Packet::Event(..) => {}
            Packet::Other(frame) => panic!("waiting for answers: {frame}"),
        }
    }
    answers
}

async fn log(server: &Server, room: &str) -> Value {
    server
        .raw("reader")
        .await
        .call("joinRoom", join(room))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn sends_before_the_first_join_are_stored_once_in_order_and_before_later_ones() {
    for server in Server::on_each_kind().await {
        let mut ann = server.raw("ann").await;
        let mut ids = vec![];
        for number in 0..20 {
            ids.push(
                ann.emit(
                    "sendMessage",
                    &say(["r", "s"][number % 2], &format!("early {number}")),
                )
                .await,
            );
        }
        ann.emit("joinRoom", &join("r")).await;
        ids.push(ann.emit("sendMessage", &say("r", "later")).await);
        ann.emit("joinRoom", &join("s")).await;
        ids.push(ann.emit("sendMessage", &say("s", "later")).await);
        ann.flush().await;
        for answer in answers(&mut ann, &ids).await {
            assert_eq!(
                (&answer["status"], &answer["duplicate"]),
                (&json!("ok"), &json!(false)),
                "{answer}"
            );
        }
        for (room, first) in [("r", 0), ("s", 1)] {
            let early = (0..10).map(|index| format!("early {}", 2 * index + first));
            let expected: Vec<_> = early.chain(["later".to_owned()]).collect();
            assert_eq!(texts(&log(&server, room).await), expected);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_send_of_a_guest_without_a_name_and_without_an_ack_is_stored() {
    let server = Server::start().await;
    let mut guest = RawClient::attempt(server.address(), "").await.unwrap();
    guest.tell("sendMessage", say("r", "hello")).await;
    guest
        .tell("joinRoom", json!({ "roomId": "r", "userId": "ann" }))
        .await;
    let told = guest.next("newMessage").await;
    assert_eq!(
        (&told["message"], &told["userId"]),
        (&json!("hello"), &json!("ann"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_send_by_polling_is_stored() {
    for version in [3, 4] {
        let server = Server::start().await;
        let endpoint = Endpoint {
            address: server.address(),
            path: "/socket.io",
            version,
            http: Client::new(),
        };
        let session = Polling::open(&endpoint).await;
        let send = r#"421["sendMessage",{"roomId":"r","message":"hello"}]"#;
        let join = r#"42["joinRoom",{"roomId":"r","userId":"ann"}]"#;
        let payload = match version {
            3 => format!("{}:{send}{}:{join}", send.len(), join.len()),
            _ => {
                assert_eq!(session.post("40").await.0, 200);
                format!("{send}\u{1e}{join}")
            }
        };
        let mut received = session.poll().await.1;
        assert_eq!(session.post(payload).await.0, 200);
        while !received.contains("431[") {
            received += &session.poll().await.1;
        }
        assert!(received.contains(r#"431[{"status":"ok""#), "{received}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_without_a_join_in_time_is_refused_and_may_be_repeated() {
    let server = Server::start().await;
    let begun = Instant::now();
    let mut ann = server.raw("ann").await;
    let answer = ann.call("sendMessage", say("r", "hello")).await;
    assert!(begun.elapsed() >= JOIN_WAIT, "{answer}");
    let again = Instant::now();
    let after = ann.call("sendMessage", say("r", "hello")).await;
    assert!(again.elapsed() < JOIN_WAIT, "the time for a join is over");
    for answer in [answer, after] {
        assert_eq!(
            (&answer["error"]["code"], &answer["error"]["retryable"]),
            (&json!("NOT_IN_ROOM"), &json!(true))
        );
    }
    for event in ["getHistory", "leaveRoom", "typing"] {
        let answer = ann
            .call(event, json!({ "roomId": "r", "isTyping": true }))
            .await;
        assert_eq!(
            (&answer["error"]["code"], &answer["error"]["retryable"]),
            (&json!("NOT_IN_ROOM"), &json!(false))
        );
    }
    assert_eq!(texts(&ann.call("joinRoom", join("r")).await), [""; 0]);
    assert_eq!(
        ann.call("sendMessage", say("r", "hello")).await["message"]["seq"],
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn once_a_room_is_joined_a_send_to_another_is_refused_at_once_and_waiting_sends_go_on() {
    let server = Server::start().await;
    let mut ann = server.raw("ann").await;
    let early = ann.emit("sendMessage", &say("s", "early")).await;
    ann.emit("joinRoom", &join("r")).await;
    let mistake = ann.emit("sendMessage", &say("s", "a mistake")).await;
    ann.flush().await;
    let (_, answer) = ann.until_ack(mistake).await;
    assert_eq!(
        (&answer["error"]["code"], &answer["error"]["retryable"]),
        (&json!("NOT_IN_ROOM"), &json!(true))
    );
    ann.emit("joinRoom", &join("s")).await;
    ann.flush().await;
    assert_eq!(ann.until_ack(early).await.1["status"], "ok");
    assert_eq!(texts(&log(&server, "s").await), ["early"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_sends_that_wait_for_a_join_is_limited() {
    let server = Server::on(Database::sqlite(), &["--messages-per-second=0"]).await;
    let mut ann = server.raw("ann").await;
    let mut ids = vec![];
    for number in 0..=MAX_EARLY_SENDS {
        ids.push(
            ann.emit("sendMessage", &say("r", &number.to_string()))
                .await,
        );
    }
    ann.flush().await;
    let (before, answer) = ann.until_ack(ids.pop().unwrap()).await;
    assert_eq!(
        (before.len(), &answer["error"]["code"]),
        (0, &json!("NOT_IN_ROOM"))
    );
    ann.emit("joinRoom", &join("r")).await;
    ann.flush().await;
    for (answer, number) in answers(&mut ann, &ids).await.into_iter().zip(0..) {
        let message = &answer["message"];
        assert_eq!(
            (&message["message"], &message["seq"]),
            (&json!(number.to_string()), &json!(number + 1))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_send_whose_connection_ends_is_not_stored() {
    let server = Server::start().await;
    let mut ann = server.raw("ann").await;
    ann.tell("sendMessage", say("r", "hello")).await;
    ann.call("nothing", json!({})).await;
    drop(ann);
    let mut again = server.raw("ann").await;
    assert_eq!(again.call("joinRoom", join("r")).await["lastSeq"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_does_not_wait_for_early_sends() {
    let server = Server::start().await;
    let mut ann = server.raw("ann").await;
    let early = ann.emit("sendMessage", &say("r", "hello")).await;
    ann.call("nothing", json!({})).await;
    let begun = Instant::now();
    let (_database, ended) = server.stop().await;
    ended.unwrap();
    assert!(begun.elapsed() < JOIN_WAIT - Duration::from_secs(1));
    assert_eq!(ann.until_ack(early).await.1["error"]["code"], "UNAVAILABLE");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_in_the_rooms_of_its_handshake_from_the_start() {
    let server = Server::start().await;
    let mut bob = server.raw("bob").await;
    bob.call("joinRoom", join("r")).await;
    for text in ["one", "two", "three"] {
        bob.call("sendMessage", say("r", text)).await;
    }
    let rooms = json!([{ "roomId": "r", "lastSeq": 1, "limit": 1 }, { "roomId": "s" }]);
    let auth = json!({ "userId": "ann", "rooms": rooms }).to_string();
    let mut ann = RawClient::attempt(server.address(), &auth).await.unwrap();
    let sent = ann.emit("sendMessage", &say("s", "at once")).await;
    ann.flush().await;
    let (before, answer) = ann.until_ack(sent).await;
    assert_eq!(
        (&answer["status"], &answer["message"]["seq"]),
        (&json!("ok"), &json!(1))
    );
    let mut histories: Vec<_> = before
        .iter()
        .filter_map(|packet| match packet {
            Packet::Event(name, payload) if name == "history" => Some(payload),
            _ => None,
        })
        .collect();
    histories.sort_by_key(|history| history["roomId"].as_str());
    let [r, s] = histories[..] else {
        panic!("{before:?}")
    };
    assert_eq!(
        (texts(r), &r["lastSeq"], &r["hasMore"]),
        (vec!["three"], &json!(3), &json!(true))
    );
    assert_eq!((texts(s), &s["userId"]), (vec![], &json!("ann")));
    bob.call("sendMessage", say("r", "four")).await;
    while ann.next("newMessage").await["message"] != "four" {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_of_the_handshake_that_cannot_be_joined_is_named_and_the_others_are_joined() {
    let server = Server::on(Database::sqlite(), &["--max-rooms-per-socket=2"]).await;
    let rooms = json!([{ "roomId": "r" }, { "roomId": "s", "userId": "bob" }]);
    let auth = json!({ "userId": "ann", "rooms": rooms }).to_string();
    let mut ann = RawClient::attempt(server.address(), &auth).await.unwrap();
    let failure = ann.next("error").await;
    assert_eq!(
        (&failure["event"], &failure["roomId"]),
        (&json!("joinRoom"), &json!("s"))
    );
    assert_eq!(failure["error"]["code"], "FORBIDDEN");
    assert_eq!(
        ann.call("sendMessage", say("r", "hello")).await["status"],
        "ok"
    );

    let too_many = json!({ "userId": "ann", "rooms": [{ "roomId": "r" }, { "roomId": "s" }, { "roomId": "t" }] });
    let refusal = RawClient::attempt(server.address(), &too_many.to_string())
        .await
        .err()
        .unwrap();
    assert!(
        refusal.contains("INVALID_PAYLOAD: rooms: must be at most 2"),
        "{refusal}"
    );
    for (rooms, field) in [
        (json!("r"), "rooms"),
        (json!([{ "roomId": "" }]), "rooms[0].roomId"),
        (json!([5]), "rooms[0]"),
    ] {
        let auth = json!({ "userId": "ann", "rooms": rooms }).to_string();
        let refusal = RawClient::attempt(server.address(), &auth)
            .await
            .err()
            .unwrap();
        assert!(
            refusal.contains(&format!("INVALID_PAYLOAD: {field}: ")),
            "{refusal}"
        );
    }

    let auth =
        json!({ "rooms": [{ "roomId": "r" }, { "roomId": "s", "userId": "cleo" }] }).to_string();
    let mut guest = RawClient::attempt(server.address(), &auth).await.unwrap();
    assert_eq!(guest.next("history").await["userId"], "cleo");
}

#[tokio::test(flavor = "multi_thread")]
async fn sends_of_the_official_client_after_its_machine_slept_are_stored_once() {
    for transport in ["polling", "websocket", "upgrade"] {
        let server = Server::start().await;
        node::run("early.mjs", &[&server.url(), transport]).await;
    }
}
