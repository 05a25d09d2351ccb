//! Numbers and texts in the forms of all kinds of clients, and refusals in words for people.

use parlor::model::{RoomId, UserId};
use reqwest::Client;
use serde_json::{Value, json};

use crate::support::{
    Database, RawClient, Server,
    engine::{Endpoint, Polling, WebSocket},
    raw::Packet,
};

async fn member(server: &Server) -> RawClient {
    let mut client = server.raw("ann").await;
    assert_eq!(
        client.call("joinRoom", json!({ "roomId": "r" })).await["status"],
        "ok"
    );
    client
}

/// Returns the answer to an event, given as its packet's JSON.
async fn answer(client: &mut RawClient, packet: &str) -> Value {
    let id = client.emit_json(packet).await;
    client.flush().await;
    client.until_ack(id).await.1
}

#[track_caller]
fn refusal(answer: &Value) -> &str {
    assert_eq!(answer["error"]["code"], "INVALID_PAYLOAD", "{answer}");
    answer["error"]["message"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_number_is_one_however_it_is_written() {
    let server = Server::start().await;
    let mut ann = member(&server).await;
    for number in 1..=7 {
        let send = json!({ "roomId": "r", "message": number.to_string() });
        assert_eq!(ann.call("sendMessage", send).await["status"], "ok");
    }
    for five in ["5", "5.0", "5e0", "0.5e1", "50E-1"] {
        let joined = answer(
            &mut ann,
            &format!(r#"["joinRoom",{{"roomId":"r","lastSeq":{five},"limit":1.0}}]"#),
        )
        .await;
        assert_eq!(
            (&joined["messages"][0]["seq"], &joined["hasMore"]),
            (&json!(7), &json!(true)),
            "{five}: {joined}"
        );
        for (field, seq) in [("beforeSeq", 4), ("afterSeq", 6)] {
            let page = answer(
                &mut ann,
                &format!(r#"["getHistory",{{"roomId":"r","{field}":{five},"limit":1e0}}]"#),
            )
            .await;
            assert_eq!(page["messages"][0]["seq"], seq, "{field} {five}: {page}");
        }
    }
    for (event, field) in [
        ("joinRoom", "lastSeq"),
        ("joinRoom", "limit"),
        ("getHistory", "beforeSeq"),
        ("getHistory", "afterSeq"),
        ("getHistory", "limit"),
    ] {
        for other in ["5.5", "-1", "-1.0", r#""5""#] {
            let answer = answer(
                &mut ann,
                &format!(r#"["{event}",{{"roomId":"r","{field}":{other}}}]"#),
            )
            .await;
            assert_eq!(
                refusal(&answer),
                format!("{field}: must be a whole number, 0 or larger, not {other}")
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_in_words_that_need_no_knowledge_of_the_server() {
    let server = Server::start().await;
    let mut ann = member(&server).await;
    for (packet, words) in [
        (r#"["joinRoom",{}]"#, "roomId: is required"),
        (
            r#"["joinRoom",{"roomId":5}]"#,
            "roomId: must be a string, not 5",
        ),
        (
            r#"["joinRoom",{"roomId":["r"]}]"#,
            "roomId: must be a string, not an array",
        ),
        (
            r#"["joinRoom",{"roomId":"r","roomId":"r"}]"#,
            "roomId: is given twice",
        ),
        (
            r#"["joinRoom",{"roomId":"r","userId":{}}]"#,
            "userId: must be a string, not an object",
        ),
        (
            r#"["joinRoom",{"roomId":"r","lastSeq":1e300}]"#,
            "lastSeq: is too large",
        ),
        (
            r#"["joinRoom",{"roomId":"r","lastSeq":9223372036854775808}]"#,
            "lastSeq: is too large",
        ),
        (
            r#"["joinRoom",{"roomId":"r","lastSeq":1e400}]"#,
            "lastSeq: number out of range",
        ),
        (
            r#"["sendMessage",{"roomId":"r","message":null}]"#,
            "message: must be a string, not null",
        ),
        (r#"["sendMessage",{"roomId":"r"}]"#, "message: is required"),
        (
            r#"["typing",{"roomId":"r","isTyping":"yes"}]"#,
            r#"isTyping: must be true or false, not "yes""#,
        ),
        (r#"["typing",[]]"#, "the payload must be an object"),
        (r#"["typing"]"#, "a payload is required"),
    ] {
        assert_eq!(refusal(&answer(&mut ann, packet).await), words, "{packet}");
    }
    for (auth, words) in [
        (r#"{"userId":5}"#, "userId: must be a string, not 5"),
        (r#"{"rooms":{}}"#, "rooms: must be an array, not an object"),
        (r#"{"rooms":[{"limit":5}]}"#, "rooms[0].roomId: is required"),
        (
            r#"{"rooms":[{"roomId":"r","lastSeq":-5}]}"#,
            "rooms[0].lastSeq: must be a whole number, 0 or larger, not -5",
        ),
    ] {
        let refusal = RawClient::attempt(server.address(), auth)
            .await
            .err()
            .unwrap();
        let refusal: Value = serde_json::from_str(refusal.strip_prefix("44").unwrap()).unwrap();
        assert_eq!(
            refusal["message"],
            format!("INVALID_PAYLOAD: {words}"),
            "{auth}"
        );
    }
}

const HALF: &str = r"ab\ud83d";

#[tokio::test(flavor = "multi_thread")]
async fn half_an_emoji_in_a_message_is_stored_as_a_browser_would() {
    for server in Server::on_each_kind().await {
        let mut ann = member(&server).await;
        for (text, stored) in [
            (HALF, "ab\u{fffd}"),
            (r"\ude00 ab", "\u{fffd} ab"),
            (r"\ud83d\ude00", "😀"),
            (r"\ud83d\ud83d\ude00", "\u{fffd}😀"),
            (r"\\ud83d", r"\ud83d"),
        ] {
            let sent = answer(
                &mut ann,
                &format!(r#"["sendMessage",{{"roomId":"r","message":"{text}"}}]"#),
            )
            .await;
            assert_eq!(sent["message"]["message"], stored, "{text}");
        }
        let beside = format!(
            r#"["sendMessage",{{"roomId":"r","message":"x","{HALF}":["{HALF}"]}},"{HALF}"]"#
        );
        assert_eq!(answer(&mut ann, &beside).await["status"], "ok");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn half_an_emoji_is_accepted_on_every_transport() {
    let server = Server::start().await;
    let send = format!(r#"421["sendMessage",{{"roomId":"r","message":"{HALF}"}}]"#);
    let join = r#"420["joinRoom",{"roomId":"r","userId":"ann"}]"#;
    for version in [3, 4] {
        let endpoint = Endpoint {
            address: server.address(),
            path: "/socket.io",
            version,
            http: Client::new(),
        };
        let mut socket = WebSocket::open(&endpoint).await;
        let session = Polling::open(&endpoint).await;
        if version == 4 {
            socket.send("40").await;
            assert_eq!(session.post("40").await.0, 200);
        }
        for packet in [join, &send] {
            socket.send(packet).await;
            let payload = if version == 3 {
                format!("{}:{packet}", packet.len())
            } else {
                packet.to_owned()
            };
            assert_eq!(session.post(payload).await.0, 200);
        }
        let mut frames = String::new();
        while !frames.contains("431[") {
            frames += &socket.text().await;
        }
        let mut polled = String::new();
        while !polled.contains("431[") {
            polled += &session.poll().await.1;
        }
        for received in [frames, polled] {
            assert!(
                received.contains("\"message\":\"ab\u{fffd}\""),
                "{received}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn half_an_emoji_in_an_id_is_refused_in_words() {
    let server = Server::start().await;
    let mut ann = member(&server).await;
    for (event, field, rest) in [
        ("joinRoom", "roomId", r#""limit":5"#),
        ("joinRoom", "userId", r#""roomId":"r""#),
        (
            "sendMessage",
            "clientMessageId",
            r#""roomId":"r","message":"x""#,
        ),
    ] {
        let answer = answer(
            &mut ann,
            &format!(r#"["{event}",{{{rest},"{field}":"{HALF}"}}]"#),
        )
        .await;
        let words = refusal(&answer);
        assert!(
            words.starts_with(&format!("{field}: ")) && words.contains("half emoji"),
            "{words}"
        );
    }
    let refusal = RawClient::attempt(server.address(), &format!(r#"{{"userId":"{HALF}"}}"#))
        .await
        .err()
        .unwrap();
    assert!(
        refusal.contains("INVALID_PAYLOAD: userId: ") && refusal.contains("half emoji"),
        "{refusal}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_would_only_look_like_others_are_refused_with_the_reason() {
    let server = Server::start().await;
    let mut ann = member(&server).await;
    for (name, reason) in [
        ("\u{200b}", "U+200B"),
        ("r\u{200b}", "U+200B"),
        ("\u{3164}", "U+3164"),
        ("\u{2800}", "U+2800"),
        ("a\u{202e}b", "U+202E"),
        ("a\u{200d}b", "U+200D"),
        ("a\u{a0}b", "U+00A0"),
        (" r", "space"),
        ("r ", "space"),
        (" ", "space"),
        ("r\u{3000}", "space"),
    ] {
        for field in ["roomId", "userId", "operatorId"] {
            let mut join = json!({ "roomId": "r" });
            join[field] = json!(name);
            let answer = ann.call("joinRoom", join).await;
            let words = refusal(&answer);
            assert!(
                words.starts_with(&format!("{field}: ")) && words.contains(reason),
                "{name:?}: {words}"
            );
        }
        let auth = json!({ "userId": name }).to_string();
        let refusal = RawClient::attempt(server.address(), &auth)
            .await
            .err()
            .unwrap();
        assert!(
            refusal.contains("INVALID_PAYLOAD: userId: ") && refusal.contains(reason),
            "{refusal}"
        );
    }
    for name in [
        "می\u{200c}خواهم",
        "👩\u{200d}💻",
        "❤\u{fe0f}",
        "a b",
        "山田\u{3000}太郎",
        "🏴\u{e0067}\u{e0062}\u{e007f}",
    ] {
        let joined = ann.call("joinRoom", json!({ "roomId": name })).await;
        assert_eq!(
            (&joined["status"], &joined["roomId"]),
            (&json!("ok"), &json!(name))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_nothing_visible_are_refused_and_others_kept_as_they_are() {
    let server = Server::start().await;
    let mut ann = member(&server).await;
    for text in [
        "\u{200b}",
        "\u{3164}\u{3164}",
        "\u{2800}",
        " \u{200d}\n",
        "\u{feff}",
        "\u{202e}",
        "\u{fe0f}",
        "\u{e0041}",
    ] {
        let answer = ann
            .call("sendMessage", json!({ "roomId": "r", "message": text }))
            .await;
        assert!(
            refusal(&answer).starts_with("message: must not be blank"),
            "{text:?}: {answer}"
        );
    }
    for text in [" \u{200b}a ", "\u{202e}abc", "👩\u{200d}💻", "\u{301}"] {
        let sent = ann
            .call("sendMessage", json!({ "roomId": "r", "message": text }))
            .await;
        assert_eq!(sent["message"]["message"], text);
    }
}

/// Their ids were stored by a server that did not refuse them yet.
#[tokio::test(flavor = "multi_thread")]
async fn rows_of_older_servers_with_such_names_are_still_read() {
    assert!(UserId::try_from("bob\u{200b}").is_err() && RoomId::try_from(" r").is_err());
    for database in Database::each_kind().await {
        let server = Server::on(database, &[]).await;
        let mut ann = member(&server).await;
        let named = json!({ "roomId": "r", "message": "hello", "clientMessageId": "name" });
        assert_eq!(ann.call("sendMessage", named).await["status"], "ok");
        let old = "bob\u{200b}\u{fffd} ";
        let update = format!(
            "UPDATE messages SET user_id = '{old}', operator_id = '{old}', client_message_id = '{old}'"
        );
        server.database.execute(&update).await;
        let page = ann.call("getHistory", json!({ "roomId": "r" })).await;
        let message = &page["messages"][0];
        for field in ["userId", "operatorId", "clientMessageId"] {
            assert_eq!(message[field], old, "{page}");
        }
        let rejoined = ann.call("joinRoom", json!({ "roomId": "r" })).await;
        assert_eq!(rejoined["status"], "ok");
        ann.tell("sendMessage", json!({ "roomId": "r", "message": "on" }))
            .await;
        loop {
            match ann.packet().await {
                Packet::Event(name, payload) if name == "newMessage" && payload["seq"] == 2 => {
                    break;
                }
                Packet::Other(frame) => panic!("{frame}"),
                _ => {}
            }
        }
    }
}

/// Polls until a packet contains this text; returns all packets up to it.
async fn until(session: &Polling, part: &str) -> String {
    let mut received = String::new();
    while !received.contains(part) {
        received += &session.poll().await.1;
    }
    received
}

#[tokio::test(flavor = "multi_thread")]
async fn events_with_escaped_or_invalid_names_are_answered_by_polling() {
    let server = Server::start().await;
    for version in [3, 4] {
        let endpoint = Endpoint {
            address: server.address(),
            path: "/socket.io",
            version,
            http: Client::new(),
        };
        let session = Polling::open(&endpoint).await;
        if version == 4 {
            assert_eq!(session.post("40").await.0, 200);
        }
        let packets = [
            r#"421 ["nope",{}]"#,
            r#"422["a\nb"]"#,
            "423[5]",
            r#"424["j\u006finRoom",{"roomId":"r","userId":"ann"}]"#,
            r#"425["gr\u00f6\u00dfe"]"#,
        ];
        for packet in packets {
            let payload = if version == 3 {
                format!("{}:{packet}", packet.len())
            } else {
                packet.to_owned()
            };
            assert_eq!(session.post(payload).await.0, 200, "{packet}");
        }
        let received = until(&session, "435[").await;
        for answer in [
            "431[",
            "there is no event \\\"nope\\\"",
            "432[",
            "433[",
            "\\\"5\\\"",
            "434[{\"status\":\"ok\"",
            "größe",
        ] {
            assert!(received.contains(answer), "{answer}: {received}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_client_is_refused_with_a_text_and_its_namespaces_query_is_ignored() {
    let secret = "--jwt-secret=a secret of more than 32 bytes, for tests";
    let server = Server::on(Database::sqlite(), &[secret]).await;
    let endpoint = Endpoint {
        address: server.address(),
        path: "/socket.io",
        version: 3,
        http: Client::new(),
    };
    let refused = Polling::open(&endpoint).await;
    let received = until(&refused, "44").await;
    assert!(
        received.contains(r#"44"UNAUTHORIZED: a token is required""#),
        "{received}"
    );

    let server = Server::start().await;
    let endpoint = Endpoint {
        address: server.address(),
        ..endpoint
    };
    let session = Polling::open(&endpoint).await;
    assert_eq!(session.post("14:40/nope?x=1&y,").await.0, 200);
    let received = until(&session, "44").await;
    assert!(
        received.contains(r#"44/nope,"Invalid namespace""#),
        "{received}"
    );
}
