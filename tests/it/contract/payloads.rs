//! Bad input: every kind of JSON for every field, and for the payload itself.

use serde_json::json;

use super::{JOINED, answers, assert_ok, assert_refused, raw_member};
use crate::support::{RawClient, Server};

const VALUES: [&str; 15] = [
    "null",
    "true",
    "false",
    "5",
    "1.5",
    "-1",
    "1e300",
    "1e400",
    r#""text""#,
    r#""""#,
    "[]",
    r#"["text"]"#,
    "[[5],{}]",
    "{}",
    r#"{"text":"text"}"#,
];

const TEXT: &[&str] = &[r#""text""#];
const OPTIONAL_TEXT: &[&str] = &["null", r#""text""#];
const TITLE: &[&str] = &["null", r#""text""#, r#""""#];
const OBJECT: &[&str] = &["null", "{}", r#"{"text":"text"}"#];
const DATA: &[&str] = &["{}", r#"{"text":"text"}"#];
const OPTIONAL_NUMBER: &[&str] = &["null", "5"];
const NUMBER: &[&str] = &["5"];
const OPTIONAL_FLAG: &[&str] = &["null", "true", "false"];
const FLAG: &[&str] = &["true", "false"];

/// Each event's fields, with the rest of a good payload, and the [`VALUES`] that fit. Everything
/// with a name is called `text`.
const FIELDS: [(&str, &str, &str, &[&str]); 35] = [
    ("joinRoom", "roomId", r#""limit":5"#, TEXT),
    ("joinRoom", "userId", r#""roomId":"text""#, OPTIONAL_TEXT),
    (
        "joinRoom",
        "operatorId",
        r#""roomId":"text","userId":"text""#,
        OPTIONAL_TEXT,
    ),
    ("joinRoom", "lastSeq", r#""roomId":"text""#, OPTIONAL_NUMBER),
    ("joinRoom", "limit", r#""roomId":"text""#, OPTIONAL_NUMBER),
    ("leaveRoom", "roomId", r#""unknown":5"#, TEXT),
    ("sendMessage", "roomId", r#""message":"text""#, TEXT),
    ("sendMessage", "message", r#""roomId":"text""#, TEXT),
    (
        "sendMessage",
        "clientMessageId",
        r#""roomId":"text","message":"text""#,
        OPTIONAL_TEXT,
    ),
    ("getHistory", "roomId", r#""limit":5"#, TEXT),
    (
        "getHistory",
        "beforeSeq",
        r#""roomId":"text""#,
        OPTIONAL_NUMBER,
    ),
    (
        "getHistory",
        "afterSeq",
        r#""roomId":"text""#,
        OPTIONAL_NUMBER,
    ),
    ("getHistory", "limit", r#""roomId":"text""#, OPTIONAL_NUMBER),
    ("typing", "roomId", r#""isTyping":true"#, TEXT),
    ("typing", "isTyping", r#""roomId":"text""#, FLAG),
    ("signal", "roomId", r#""type":"text","data":{}"#, TEXT),
    ("signal", "type", r#""roomId":"text","data":{}"#, TEXT),
    ("signal", "data", r#""roomId":"text","type":"text""#, DATA),
    (
        "signal",
        "to",
        r#""roomId":"text","type":"text","data":{}"#,
        OPTIONAL_TEXT,
    ),
    ("markRead", "roomId", r#""seq":5"#, TEXT),
    ("markRead", "seq", r#""roomId":"text""#, NUMBER),
    ("getReads", "roomId", r#""seq":5"#, TEXT),
    ("followRoom", "roomId", r#""muted":true"#, TEXT),
    ("followRoom", "muted", r#""roomId":"text""#, OPTIONAL_FLAG),
    ("unfollowRoom", "roomId", r#""muted":true"#, TEXT),
    ("listRooms", "limit", r#""roomId":"text""#, OPTIONAL_NUMBER),
    ("listRooms", "cursor", r#""limit":5"#, &["null"]),
    ("watchRooms", "on", r#""roomId":"text""#, FLAG),
    ("setRoom", "title", r#""roomId":"own""#, TITLE),
    ("setRoom", "metadata", r#""roomId":"own""#, OBJECT),
    ("setRoom", "access", r#""roomId":"own""#, &["null"]),
    (
        "addMember",
        "role",
        r#""roomId":"own","userId":"bob""#,
        &["null"],
    ),
    ("getMembers", "roomId", r#""limit":5"#, TEXT),
    ("getMembers", "limit", r#""roomId":"text""#, OPTIONAL_NUMBER),
    ("getMembers", "cursor", r#""roomId":"text""#, OPTIONAL_TEXT),
];

const EVENTS: [&str; 10] = [
    "joinRoom",
    "leaveRoom",
    "sendMessage",
    "getHistory",
    "typing",
    "signal",
    "markRead",
    "getReads",
    "followRoom",
    "unfollowRoom",
];

/// One payload that is good for every event.
const GOOD: &str = r#"{"roomId":"text","message":"text","isTyping":true,"type":"text","data":{},"seq":5,"on":true}"#;

fn deep(open: &str, close: &str) -> String {
    format!("{}{}", open.repeat(1000), close.repeat(1000))
}

fn values() -> Vec<String> {
    let deep = [
        deep("[", "]"),
        format!("{}5{}", r#"{"a":"#.repeat(1000), "}".repeat(1000)),
    ];
    VALUES.into_iter().map(str::to_owned).chain(deep).collect()
}

async fn assert_usable(mut client: RawClient) {
    assert_ok(
        &client.call("joinRoom", json!({ "roomId": "text" })).await,
        &JOINED,
    );
    let send = json!({ "roomId": "text", "message": "text" });
    assert_ok(
        &client.call("sendMessage", send).await,
        &["message", "duplicate"],
    );
}

/// Returns a member of a room who owns another one.
async fn owner(server: &Server) -> RawClient {
    let mut client = raw_member(server, "text", "text").await;
    let own = json!({ "roomId": "own" });
    client.call("createRoom", own).await;
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_json_in_every_field_is_answered() {
    let server = Server::start().await;
    for (event, field, rest, fitting) in FIELDS {
        let mut client = owner(&server).await;
        let values = values();
        let call = |value| format!(r#"["{event}",{{{rest},"{field}":{value}}}]"#);
        let calls: Vec<_> = values.iter().map(call).collect();
        for (value, answer) in values.iter().zip(answers(&mut client, &calls).await) {
            if fitting.contains(&value.as_str()) {
                assert_eq!(answer["status"], "ok", "{event} {field} {value}: {answer}");
            } else {
                let message = assert_refused(&answer, "INVALID_PAYLOAD");
                assert!(
                    message.contains(field),
                    "{event} {field} {value}: {message}"
                );
                assert!(message.len() < 500, "{message}");
            }
        }
        assert_usable(client).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_optional_field_may_be_left_out() {
    let server = Server::start().await;
    for (event, field, rest, fitting) in FIELDS {
        let mut client = owner(&server).await;
        let [answer] = &answers(&mut client, &[format!(r#"["{event}",{{{rest}}}]"#)]).await[..]
        else {
            panic!()
        };
        if fitting.contains(&"null") {
            assert_eq!(answer["status"], "ok", "{event} {field}: {answer}");
        } else {
            let message = assert_refused(answer, "INVALID_PAYLOAD");
            assert!(message.contains(field), "{event} {field}: {message}");
        }
        assert_usable(client).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_json_as_a_payload_is_answered() {
    let server = Server::start().await;
    let mut client = raw_member(&server, "text", "text").await;
    for event in EVENTS {
        let mut calls: Vec<_> = values()
            .iter()
            .map(|value| format!(r#"["{event}",{value}]"#))
            .collect();
        calls.push(format!(r#"["{event}"]"#));
        calls.push(format!(r#"["{event}",[{GOOD}]]"#));
        calls.push(format!(r#"["{event}",null,{GOOD}]"#));
        for (call, answer) in calls.iter().zip(answers(&mut client, &calls).await) {
            let message = assert_refused(&answer, "INVALID_PAYLOAD");
            assert!(message.len() < 500, "{call}: {message}");
        }
    }
    assert_usable(client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn further_arguments_and_fields_are_ignored() {
    let server = Server::start().await;
    for event in EVENTS {
        let mut client = raw_member(&server, "text", "text").await;
        let nested = deep("[", "]");
        let unknown = format!(
            r#"["{event}",{{"unknown":{nested},"other":1e400,{}]"#,
            &GOOD[1..]
        );
        let spaced = format!("[ \"{event}\" , {GOOD} ] ");
        let more = format!(r#"["{event}",{GOOD},5,"text",{nested}]"#);
        let calls = if event == "leaveRoom" {
            vec![unknown]
        } else {
            vec![unknown, more, spaced]
        };
        for answer in answers(&mut client, &calls).await {
            assert_eq!(answer["status"], "ok", "{event}: {answer}");
        }
        assert_usable(client).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_given_twice_is_refused() {
    let server = Server::start().await;
    let mut client = raw_member(&server, "text", "text").await;
    let calls = EVENTS.map(|event| format!(r#"["{event}",{{"roomId":"other",{}]"#, &GOOD[1..]));
    for answer in answers(&mut client, &calls).await {
        let message = assert_refused(&answer, "INVALID_PAYLOAD");
        assert!(message.contains("roomId"), "{message}");
    }
    assert_usable(client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_out_of_range_are_refused() {
    let server = Server::start().await;
    let mut client = raw_member(&server, "text", "text").await;
    for (event, field) in [
        ("joinRoom", "lastSeq"),
        ("getHistory", "beforeSeq"),
        ("getHistory", "afterSeq"),
    ] {
        let values = [
            "9223372036854775808",
            "18446744073709551616",
            "-9223372036854775809",
            "-0.5",
            "0.5",
        ];
        let calls =
            values.map(|value| format!(r#"["{event}",{{"roomId":"text","{field}":{value}}}]"#));
        for answer in answers(&mut client, &calls).await {
            let message = assert_refused(&answer, "INVALID_PAYLOAD");
            assert!(message.contains(field), "{message}");
        }
    }
    assert_usable(client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_are_no_text() {
    let server = Server::start().await;
    let mut client = owner(&server).await;
    let bytes = r#"{"_placeholder":true,"num":0}"#;
    // A placeholder is an object, as metadata and data are.
    let fields = FIELDS
        .iter()
        .filter(|(_, field, ..)| !["metadata", "data"].contains(field));
    for (event, field, rest, _) in fields {
        let id = client
            .emit_binary(
                &format!(r#"["{event}",{{{rest},"{field}":{bytes}}}]"#),
                b"text",
            )
            .await;
        let (_, answer) = client.until_ack(id).await;
        let message = assert_refused(&answer, "INVALID_PAYLOAD");
        assert!(message.contains(field), "{event} {field}: {message}");
    }
    for (event, code) in EVENTS
        .map(|event| (event, "INVALID_PAYLOAD"))
        .into_iter()
        .chain([("nope", "UNKNOWN_EVENT")])
    {
        let id = client
            .emit_binary(&format!(r#"["{event}",{bytes}]"#), b"text")
            .await;
        let (_, answer) = client.until_ack(id).await;
        assert_refused(&answer, code);
    }
    assert_usable(client).await;
}
