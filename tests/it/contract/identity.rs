//! The identity of a connection on a server without tokens.

use rust_socketio::TransportType;
use serde_json::{Value, json};

use super::{assert_message, assert_refused, guest, raw_member};
use crate::support::{Client, RawClient, Server};

async fn sent(client: &mut RawClient, room: &str) -> Value {
    let answer = client
        .call("sendMessage", json!({ "roomId": room, "message": "hello" }))
        .await;
    assert_message(&answer["message"]);
    answer["message"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_handshake_names_the_user() {
    let server = Server::start().await;
    let mut ann = raw_member(&server, "ann", "r").await;
    let joined = ann.call("joinRoom", json!({ "roomId": "r" })).await;
    assert_eq!(
        (&joined["userId"], &joined["members"]),
        (&json!("ann"), &json!(["ann"]))
    );
    let message = sent(&mut ann, "r").await;
    assert_eq!(
        (&message["userId"], &message["operatorId"]),
        (&json!("ann"), &Value::Null)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_user_in_the_handshake_the_first_join_names_it() {
    let server = Server::start().await;
    let mut ann = guest(&server).await;
    let joined = ann
        .call("joinRoom", json!({ "roomId": "r", "userId": "ann" }))
        .await;
    assert_eq!(
        (&joined["userId"], &joined["members"]),
        (&json!("ann"), &json!(["ann"]))
    );
    assert_eq!(
        ann.call("joinRoom", json!({ "roomId": "s" })).await["userId"],
        "ann"
    );
    assert_eq!(sent(&mut ann, "s").await["userId"], "ann");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_a_user_cannot_join() {
    let server = Server::start().await;
    for auth in ["", "{}", r#"{"userId":null}"#, r#"{"other":5}"#] {
        let mut nobody = RawClient::attempt(server.address(), auth).await.unwrap();
        for join in [
            json!({ "roomId": "r" }),
            json!({ "roomId": "r", "userId": null, "operatorId": null }),
        ] {
            let answer = nobody.call("joinRoom", join).await;
            let message = assert_refused(&answer, "INVALID_PAYLOAD");
            assert!(message.contains("userId"), "{message}");
        }
        let joined = nobody
            .call("joinRoom", json!({ "roomId": "r", "userId": "ann" }))
            .await;
        assert_eq!(joined["userId"], "ann", "{auth}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clients_user_cannot_change() {
    let server = Server::start().await;
    let mut by_join = guest(&server).await;
    by_join
        .call("joinRoom", json!({ "roomId": "r", "userId": "ann" }))
        .await;
    for mut ann in [by_join, server.raw("ann").await] {
        for room in ["r", "s"] {
            for claim in [
                json!({ "userId": "bob" }),
                json!({ "userId": "Ann" }),
                json!({ "operatorId": "bob" }),
            ] {
                let mut join = claim.clone();
                join["roomId"] = room.into();
                assert_refused(&ann.call("joinRoom", join).await, "FORBIDDEN");
            }
        }
        let joined = ann
            .call("joinRoom", json!({ "roomId": "s", "userId": "ann" }))
            .await;
        assert_eq!(joined["userId"], "ann");
        assert_eq!(sent(&mut ann, "s").await["userId"], "ann");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_with_a_bad_payload_names_no_user() {
    let server = Server::start().await;
    let mut client = guest(&server).await;
    let answer = client
        .call("joinRoom", json!({ "roomId": "", "userId": "ann" }))
        .await;
    assert_refused(&answer, "INVALID_PAYLOAD");
    let joined = client
        .call("joinRoom", json!({ "roomId": "r", "userId": "bob" }))
        .await;
    assert_eq!(joined["userId"], "bob");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_speaks_as_one() {
    for server in Server::on_each_kind().await {
        let mut watching = raw_member(&server, "ann", "r").await;
        let mut operator = guest(&server).await;
        let joined = operator
            .call("joinRoom", json!({ "roomId": "r", "operatorId": "opera" }))
            .await;
        assert_eq!(
            (&joined["userId"], &joined["memberCount"]),
            (&json!("opera"), &json!(2))
        );
        let message = sent(&mut operator, "r").await;
        assert_eq!(
            (&message["userId"], &message["operatorId"]),
            (&json!("opera"), &json!("opera"))
        );
        assert_eq!(watching.next("newMessage").await, message);
        let read = watching.call("getHistory", json!({ "roomId": "r" })).await;
        assert_eq!(read["messages"], json!([message]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_stays_one() {
    let server = Server::start().await;
    let mut operator = guest(&server).await;
    for claim in [
        json!({ "operatorId": "opera" }),
        json!({ "operatorId": "opera" }),
        json!({}),
    ] {
        let mut join = claim;
        join["roomId"] = "r".into();
        assert_eq!(operator.call("joinRoom", join).await["userId"], "opera");
        assert_eq!(sent(&mut operator, "r").await["operatorId"], "opera");
    }
    for other in [
        json!({ "roomId": "r", "operatorId": "other" }),
        json!({ "roomId": "r", "userId": "other" }),
    ] {
        assert_refused(&operator.call("joinRoom", other).await, "FORBIDDEN");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_names_a_user_is_a_plain_user() {
    let server = Server::start().await;
    let mut ann = guest(&server).await;
    let both = json!({ "roomId": "r", "userId": "ann", "operatorId": "ann" });
    assert_eq!(ann.call("joinRoom", both).await["userId"], "ann");
    assert_eq!(sent(&mut ann, "r").await["operatorId"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_does_not_become_an_operator() {
    let server = Server::start().await;
    let mut by_join = guest(&server).await;
    by_join
        .call("joinRoom", json!({ "roomId": "r", "userId": "ann" }))
        .await;
    for mut ann in [by_join, raw_member(&server, "ann", "r").await] {
        let claim = json!({ "roomId": "r", "operatorId": "ann" });
        assert_refused(&ann.call("joinRoom", claim).await, "FORBIDDEN");
        assert_eq!(sent(&mut ann, "r").await["operatorId"], Value::Null);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_with_a_bad_payload_is_refused() {
    let server = Server::start().await;
    let payloads = [
        "true",
        "1.5",
        "-1",
        "1e300",
        r#""text""#,
        r#""""#,
        "[]",
        r#"["ann"]"#,
        r#"[{"userId":"ann"}]"#,
    ];
    let fields = [
        "true",
        "5",
        "1.5",
        "-1",
        "1e300",
        r#""""#,
        "[]",
        r#"["ann"]"#,
        "{}",
        r#"{"a":{"b":[]}}"#,
        r#""a\nb""#,
    ];
    let fields = fields.map(|value| format!(r#"{{"userId":{value}}}"#));
    for auth in payloads
        .into_iter()
        .chain(fields.iter().map(String::as_str))
    {
        let refusal = RawClient::attempt(server.address(), auth)
            .await
            .err()
            .expect(auth);
        let refusal: Value = serde_json::from_str(refusal.strip_prefix("44").expect(auth)).unwrap();
        let message = refusal["message"].as_str().unwrap();
        assert!(
            message.starts_with("INVALID_PAYLOAD: "),
            "{auth}: {message}"
        );
        assert!(
            !auth.starts_with('{') || message.contains("userId"),
            "{auth}: {message}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_client_gets_an_event_of_its_own() {
    let server = Server::start().await;
    for transport in [TransportType::Websocket, TransportType::Polling] {
        let client = Client::attempt(transport, &server.url(), json!({ "userId": "" })).await;
        let (event, message) = client.next_any().await;
        assert_eq!(event, "connect_error");
        assert!(
            message.to_string().contains("INVALID_PAYLOAD: userId"),
            "{message}"
        );
    }
}
