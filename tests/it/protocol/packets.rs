//! <https://socket.io/docs/v4/socket-io-protocol/#packet-encoding>

use super::{Stack, connected, everywhere};
use crate::support::engine::{Endpoint, Frame, Polling, WebSocket};

const BINARY: &str = r#"{"_placeholder":true,"num":0}"#;
const SECOND: &str = r#"{"_placeholder":true,"num":1}"#;

/// <https://socket.io/docs/v4/socket-io-protocol/#sending-and-receiving-data>
#[tokio::test(flavor = "multi_thread")]
async fn an_event_arrives_with_all_its_arguments() {
    let mut socket = connected(&Stack::start().await.socket_io).await;
    for arguments in [
        "",
        ",1",
        r#",1,"2",{"3":[true]}"#,
        ",null,[],{}",
        r#","€ 😀\"\\""#,
        ",-1.5,[[[0]]]",
    ] {
        socket.send(format!(r#"42["message"{arguments}]"#)).await;
        assert_eq!(
            socket.text().await,
            format!(r#"42["message-back"{arguments}]"#)
        );
    }
}

/// <https://socket.io/docs/v4/socket-io-protocol/#acknowledgement>
#[tokio::test(flavor = "multi_thread")]
async fn an_ack_has_the_events_identifier_and_namespace() {
    let mut socket = connected(&Stack::start().await.socket_io).await;
    socket.send("40/custom,").await;
    assert!(socket.text().await.starts_with("40/custom,"));
    assert_eq!(socket.text().await, r#"42/custom,["auth",{}]"#);
    for (event, ack) in [
        (r#"420["message-with-ack"]"#, "430[]"),
        (
            r#"42456["message-with-ack",1,"2",{"3":[false]}]"#,
            r#"43456[1,"2",{"3":[false]}]"#,
        ),
        (
            r#"429007199254740991["message-with-ack",1]"#,
            "439007199254740991[1]",
        ),
        (r#"42/custom,7["message-with-ack",1]"#, "43/custom,7[1]"),
    ] {
        socket.send(event).await;
        assert_eq!(socket.text().await, ack);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attachments_come_back_after_their_packet() {
    let mut socket = connected(&Stack::start().await.socket_io).await;
    socket.send("40/custom,").await;
    assert!(socket.text().await.starts_with("40/custom,"));
    assert_eq!(socket.text().await, r#"42/custom,["auth",{}]"#);
    for (sent, got, arguments) in [
        (
            r#"452-["message""#,
            r#"452-["message-back""#,
            format!(",{BINARY},{SECOND}]"),
        ),
        (
            r#"452-["message""#,
            r#"452-["message-back""#,
            format!(r#",{{"a":[1,{BINARY}]}},"text",{SECOND}]"#),
        ),
        (
            r#"452-/custom,["message""#,
            r#"452-/custom,["message-back""#,
            format!(",{BINARY},{SECOND}]"),
        ),
        (
            r#"452-789["message-with-ack","#,
            "462-789[",
            format!("{BINARY},{SECOND}]"),
        ),
        (
            r#"452-/custom,0["message-with-ack","#,
            "462-/custom,0[",
            format!("{BINARY},{SECOND}]"),
        ),
    ] {
        socket.send(format!("{sent}{arguments}")).await;
        socket.send_bytes([1, 2, 3]).await;
        socket.send_bytes([]).await;
        assert_eq!(socket.text().await, format!("{got}{arguments}"));
        assert_eq!(socket.frame().await, [1, 2, 3].into());
        assert_eq!(socket.frame().await, [].into());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attachments_come_back_by_polling() {
    let session = Polling::open(&Stack::start().await.socket_io).await;
    session.post("40").await;
    let event = format!("451-[\"message\",{BINARY}]\x1ebAQIDBA==");
    let mut packets = String::new();
    while !packets.ends_with(r#"42["auth",{}]"#) {
        packets += &session.poll().await.1;
    }
    assert_eq!(session.post(event.clone()).await, (200, "ok".into()));
    assert_eq!(
        session.poll().await,
        (200, event.replace("message", "message-back"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packet_that_cannot_be_read_closes_the_connection() {
    let ([_, stack, chat], _server) = everywhere().await;
    for packet in [
        "4",
        "4abc",
        "47",
        "42",
        "42[]",
        "42{}",
        "42[1]",
        r#"42"message""#,
        r#"42["message""#,
        r#"42abc["message-with-ack",1]"#,
        "43[1]",
        r#"44{"message":"no"}"#,
        r#"45["message"]"#,
        r#"45-["message"]"#,
        r#"45x-["message"]"#,
    ] {
        for endpoint in [&stack, &chat] {
            let mut socket = entered(endpoint).await;
            socket.send(packet).await;
            assert!(closes(&mut socket).await, "{packet}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attachments_that_do_not_fit_their_packet_close_the_connection() {
    let ([_, stack, chat], _server) = everywhere().await;
    let one = format!(r#"451-["message",{BINARY}]"#);
    let many = format!(r#"4511-["message",{BINARY}]"#);
    for (what, frames) in [
        ("none was announced", vec![Frame::from([1, 2, 3])]),
        (
            "text instead",
            vec![one.as_str().into(), r#"42["message",1]"#.into()],
        ),
        (
            "more than were announced",
            vec![one.as_str().into(), [1].into(), [2].into()],
        ),
        ("more than the limit", vec![many.as_str().into()]),
    ] {
        for endpoint in [&stack, &chat] {
            let mut socket = entered(endpoint).await;
            for frame in &frames {
                match frame {
                    Frame::Binary(bytes) => socket.send_bytes(bytes.clone()).await,
                    Frame::Text(text) => socket.send(text).await,
                    Frame::Closed => socket.close().await,
                }
            }
            assert!(closes(&mut socket).await, "{what}");
        }
    }
}

/// Opens a WebSocket in the main namespace of any of the servers.
async fn entered(endpoint: &Endpoint) -> WebSocket {
    let mut socket = WebSocket::open(endpoint).await;
    socket.send("40").await;
    assert!(socket.text().await.starts_with("40"));
    socket
}

/// Returns true if the server closes the connection, after any number of answers.
async fn closes(socket: &mut WebSocket) -> bool {
    loop {
        match socket.frame().await {
            Frame::Closed => return true,
            Frame::Text(text)
                if text == "1" || text.starts_with("42") || text.starts_with("45") => {}
            Frame::Binary(_) => {}
            Frame::Text(_) => return false,
        }
    }
}
