//! Every limit at its edge.

use serde_json::{Value, json};

use super::{answers, assert_refused, guest, raw_member};
use crate::support::{Database, RawClient, Server};

/// Returns identifiers, and whether each is within the limits: 1 to 128 bytes of UTF-8, no control
/// characters. `texts` has the further rules for names.
fn identifiers() -> Vec<(String, bool)> {
    let fitting = [
        "a",
        "a b",
        "'\"\\;--",
        "é",
        "🦀",
        "a/b?c#d",
        "null",
        "__proto__",
    ]
    .map(str::to_owned);
    let full = ["a".repeat(128), "é".repeat(64), "🦀".repeat(32)];
    let controls = ["\0", "a\0b", "a\nb", "\t", "\u{1b}", "\u{7f}", "\u{85}"].map(str::to_owned);
    let long = [
        "a".repeat(129),
        format!("a{}", "é".repeat(64)),
        format!("{}a", "🦀".repeat(32)),
        "é".repeat(128),
    ];
    let bad = [String::new()]
        .into_iter()
        .chain(controls)
        .chain(long)
        .chain(["a".repeat(100_000)]);
    let good = fitting.into_iter().chain(full).map(|good| (good, true));
    good.chain(bad.map(|bad| (bad, false))).collect()
}

#[track_caller]
fn assert_fits(answer: &Value, fits: bool, field: &str, value: &str) {
    if fits {
        assert_eq!(answer["status"], "ok", "{field} {value:?}: {answer}");
    } else {
        let message = assert_refused(answer, "INVALID_PAYLOAD");
        assert!(message.contains(field), "{field} {value:?}: {message}");
    }
}

async fn send(client: &mut RawClient, text: &str) -> Value {
    client
        .call("sendMessage", json!({ "roomId": "r", "message": text }))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_is_named_within_limits() {
    for server in Server::on_each_kind().await {
        let mut ann = server.raw("ann").await;
        for (room, fits) in identifiers() {
            let joined = ann.call("joinRoom", json!({ "roomId": room })).await;
            assert_fits(&joined, fits, "roomId", &room);
            let sent = ann
                .call("sendMessage", json!({ "roomId": room, "message": "hello" }))
                .await;
            assert_fits(&sent, fits, "roomId", &room);
            for event in ["typing", "getHistory", "leaveRoom"] {
                let answer = ann
                    .call(event, json!({ "roomId": room, "isTyping": true }))
                    .await;
                assert_fits(&answer, fits, "roomId", &room);
            }
            if fits {
                assert_eq!(
                    (&joined["roomId"], &sent["message"]["roomId"]),
                    (&json!(room), &json!(room))
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_named_within_limits() {
    let server = Server::start().await;
    for (user, fits) in identifiers() {
        for field in ["userId", "operatorId"] {
            let mut client = guest(&server).await;
            let joined = client
                .call("joinRoom", json!({ "roomId": "r", field: user }))
                .await;
            assert_fits(&joined, fits, field, &user);
            assert!(!fits || joined["userId"] == user, "{joined}");
        }
        let auth = json!({ "userId": user }).to_string();
        assert_eq!(
            RawClient::attempt(server.address(), &auth).await.is_ok(),
            fits,
            "{user:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_named_within_limits() {
    for server in Server::on_each_kind().await {
        let mut ann = raw_member(&server, "ann", "r").await;
        let send = |name| json!({ "roomId": "r", "message": "hello", "clientMessageId": name });
        let sends = identifiers()
            .into_iter()
            .map(|(name, _)| json!(["sendMessage", send(name)]).to_string());
        let sent = answers(&mut ann, &sends.collect::<Vec<_>>()).await;
        for ((name, fits), sent) in identifiers().into_iter().zip(sent) {
            assert_fits(&sent, fits, "clientMessageId", &name);
            assert!(
                !fits || sent["message"]["clientMessageId"] == name,
                "{sent}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_may_have_8192_bytes() {
    for server in Server::on_each_kind().await {
        let mut ann = raw_member(&server, "ann", "r").await;
        for unit in ["a", "é", "🦀", "\u{1}", "\"", "\n🦀 \t"] {
            let full = unit.repeat(8192 / unit.len());
            let full = format!("{full}{}", "x".repeat(8192 - full.len()));
            let sent = send(&mut ann, &full).await;
            assert_eq!(sent["message"]["message"], full, "{unit:?}");
            let over = send(&mut ann, &format!("{full}x")).await;
            let message = assert_refused(&over, "MESSAGE_TOO_LARGE");
            assert!(message.contains("8192"), "{message}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_far_over_the_limit_is_answered() {
    let server = Server::start().await;
    let mut ann = raw_member(&server, "ann", "r").await;
    assert_refused(
        &send(&mut ann, &"x".repeat(900_000)).await,
        "MESSAGE_TOO_LARGE",
    );
    assert_eq!(send(&mut ann, "hello").await["status"], "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blank_message_is_refused() {
    let server = Server::start().await;
    let mut ann = raw_member(&server, "ann", "r").await;
    for blank in [
        "",
        " ",
        "   ",
        "\n",
        "\r\n\t",
        "\u{a0}",
        "\u{3000}\u{2003}\u{2028}",
        "\u{b}\u{c}\u{85}",
    ] {
        let answer = send(&mut ann, blank).await;
        assert!(
            assert_refused(&answer, "INVALID_PAYLOAD").contains("message"),
            "{blank:?}"
        );
    }
    for (shown, seq) in [".", " . ", "\u{1}"].into_iter().zip(1..) {
        assert_eq!(
            send(&mut ann, shown).await["message"]["seq"],
            seq,
            "{shown:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_with_a_nul_is_refused() {
    for server in Server::on_each_kind().await {
        let mut ann = raw_member(&server, "ann", "r").await;
        for text in ["\0", "a\0", "\0a", "a\0b"] {
            let answer = send(&mut ann, text).await;
            assert!(
                assert_refused(&answer, "INVALID_PAYLOAD").contains("message"),
                "{text:?}"
            );
        }
        assert_eq!(send(&mut ann, "ab").await["message"]["seq"], 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lower_limit_of_bytes_can_be_set() {
    let server = Server::on(Database::sqlite(), &["--max-message-bytes=5"]).await;
    let mut ann = raw_member(&server, "ann", "r").await;
    assert_eq!(send(&mut ann, "ééx").await["status"], "ok");
    assert_refused(&send(&mut ann, "ééé").await, "MESSAGE_TOO_LARGE");
}

/// More bytes of JSON than the default limit of a packet.
#[tokio::test(flavor = "multi_thread")]
async fn a_higher_limit_of_bytes_can_be_set() {
    const BYTES: usize = 300_000;
    let server = Server::on(
        Database::sqlite(),
        &[&format!("--max-message-bytes={BYTES}")],
    )
    .await;
    let mut ann = raw_member(&server, "ann", "r").await;
    let full = "\u{1}".repeat(BYTES);
    assert_eq!(send(&mut ann, &full).await["message"]["message"], full);
    assert_refused(
        &send(&mut ann, &"x".repeat(BYTES + 1)).await,
        "MESSAGE_TOO_LARGE",
    );
}
