//! Packets that no client sends, or not in such numbers.

use serde_json::json;

use super::siege::{MAX_PAYLOAD, Siege, wait_until_settled};
use crate::support::{RawClient, engine::Polling, raw::Packet};

/// The most rooms of one connection.
const MAX_ROOMS: usize = 256;

#[tokio::test(flavor = "multi_thread")]
async fn packets_that_no_client_sends() {
    let mut siege = Siege::begin(&[]).await;
    let deep = |count| format!("{}{}", "[".repeat(count), "]".repeat(count));
    let packets = [
        r#"42["error"]"#.to_owned(),
        r#"42["error",{}]"#.into(),
        r#"421["connect",{}]"#.into(),
        r#"421["disconnect",{}]"#.into(),
        r#"421["disconnecting",{}]"#.into(),
        r#"421["newListener",{}]"#.into(),
        r#"421["__proto__",{"__proto__":{}}]"#.into(),
        r#"42{"toString":"x"}"#.into(),
        r#"42["joinRoom",{"toString":"x","hasOwnProperty":1}]"#.into(),
        r#"42[{"toString":"x"}]"#.into(),
        r#"42[null]"#.into(),
        r#"42[[],[]]"#.into(),
        r#"4299999999999999999999["joinRoom",{}]"#.into(),
        r#"42-1["joinRoom",{}]"#.into(),
        "4399999999999999999999[]".into(),
        r#"43"#.into(),
        r#"40"#.into(),
        r#"40{"userId":"other"}"#.into(),
        r#"40/"#.into(),
        format!("40/{},{{}}", "n".repeat(100_000)),
        r#"41/nowhere,"#.into(),
        r#"42/nowhere,["joinRoom",{}]"#.into(),
        r#"44"#.into(),
        r#"46"#.into(),
        r#"459999999999-["joinRoom",{"_placeholder":true,"num":0}]"#.into(),
        r#"4518446744073709551616-["joinRoom",{}]"#.into(),
        r#"450-["joinRoom",{"_placeholder":true,"num":0}]"#.into(),
        format!(r#"421["joinRoom",{}]"#, deep(400_000)),
        format!(r#"421["joinRoom",{{"roomId":{}}}]"#, deep(400_000)),
        format!(r#"42["{}",{{}}]"#, "e".repeat(900_000)),
        format!(r#"421["joinRoom",{{"roomId":"{}"}}]"#, "r".repeat(900_000)),
        format!("4{}", "2".repeat(900_000)),
        "\u{0}".into(),
        "2".into(),
        "5".into(),
        "6".into(),
        "b".into(),
        "bAAAA".into(),
        "0{}".into(),
        "9".into(),
        "\u{1e}\u{1e}".into(),
        String::new(),
    ];
    for packet in &packets {
        let mut socket = siege.socket().await;
        socket.send(packet).await;
        wait_until_settled(&mut socket).await;
        siege.chat().await;
        let session = Polling::open(&siege.endpoint(4)).await;
        assert_eq!(session.post(r#"40{"userId":"eve"}"#).await.0, 200);
        session.post(packet.clone()).await;
        siege.chat().await;
    }
    siege.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_placeholders() {
    let mut siege = Siege::begin(&[]).await;
    for number in [
        "-1",
        "1",
        "10",
        "1e9",
        "0.5",
        "null",
        r#""splice""#,
        r#"{"num":0}"#,
        "18446744073709551616",
    ] {
        let mut socket = siege.socket().await;
        socket
            .send(format!(
                r#"451-1["joinRoom",{{"_placeholder":true,"num":{number}}}]"#
            ))
            .await;
        socket.send_bytes([1, 2, 3]).await;
        wait_until_settled(&mut socket).await;
        siege.chat().await;
    }
    siege.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn text_in_invalid_utf_8() {
    let mut siege = Siege::begin(&[]).await;
    let mut socket = siege.socket().await;
    socket
        .send_invalid_text(b"42[\"joinRoom\",{\"roomId\":\"\xff\xfe\"}]")
        .await;
    assert!(socket.is_closed().await);
    let session = Polling::open(&siege.endpoint(4)).await;
    assert_eq!(session.post(b"40\xff".to_vec()).await.0, 400);
    siege.chat().await;
    for payload in [
        "2:4\u{1F980}",
        "99999999999:40",
        "-1:40",
        "1:",
        ":",
        "\u{1F980}",
        "0:0:0:",
    ] {
        Polling::open(&siege.endpoint(3)).await.post(payload).await;
    }
    siege.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_acks_that_nobody_waits_for() {
    let mut siege = Siege::begin(&[]).await;
    let mut socket = siege.socket().await;
    for number in 0..10_000 {
        if socket.try_send(format!("43{number}[]")).await.is_err() {
            break;
        }
        if number % 1_000 == 0 {
            siege.chat().await;
        }
    }
    wait_until_settled(&mut socket).await;
    siege.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attachments_that_are_announced_and_never_come() {
    let mut siege = Siege::begin(&[]).await;
    let placeholders: Vec<_> = (0..10)
        .map(|number| format!(r#"{{"_placeholder":true,"num":{number}}}"#))
        .collect();
    let packet = format!(r#"4510-["joinRoom",{}]"#, placeholders.join(","));
    let mut sockets = vec![];
    for _ in 0..100 {
        let mut socket = siege.socket().await;
        socket.send(packet.as_str()).await;
        // Nine of ten, a megabyte altogether; beyond the limit the connection ends.
        for _ in 0..9 {
            socket.try_send_bytes(vec![0; MAX_PAYLOAD / 10]).await.ok();
        }
        sockets.push(socket);
        siege.chat().await;
    }
    siege.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_joins_of_new_rooms() {
    let mut siege = Siege::begin(&["--events-per-second=0"]).await;
    let mut eve = RawClient::connect(siege.process.address, "eve").await;
    let mut joined = 0;
    for batch in 0..100 {
        let mut last = 0;
        for number in 0..1_000 {
            last = eve
                .emit(
                    "joinRoom",
                    &json!({ "roomId": format!("{batch}/{number}") }),
                )
                .await;
        }
        eve.flush().await;
        let (before, _) = eve.until_ack(last).await;
        joined += before
            .iter()
            .filter(|packet| matches!(packet, Packet::Ack(_, ack) if ack["status"] == "ok"))
            .count();
        siege.chat().await;
    }
    assert_eq!(joined, MAX_ROOMS);
    siege.end().await;
}
