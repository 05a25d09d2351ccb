//! The bounds of signals, their rate, and their order.

use std::time::Instant;

use parlor::model::{MAX_METADATA_DEPTH, MAX_SIGNAL_DATA_BYTES};
use serde_json::{Value, json};

use super::{all, member, signal};
use crate::support::{
    DEADLINE, Database, RawClient, Server,
    figures::{SCRAPED, Since},
};

/// The burst of a connection.
const BURST: usize = 200;

const UNLIMITED: &str = "--signals-per-second=0";

async fn sent(client: &mut RawClient, fields: &str) -> Value {
    let signal = format!(r#"["signal",{{"roomId":"r",{fields}}}]"#);
    let id = client.emit_json(&signal).await;
    client.flush().await;
    client.until_ack(id).await.1
}

fn sized(bytes: usize) -> String {
    let data = format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes - 8));
    assert_eq!(data.len(), bytes);
    data
}

#[tokio::test(flavor = "multi_thread")]
async fn data_is_an_object_within_bounds_kept_as_it_was_sent() {
    let server = Server::start().await;
    let (mut ann, mut bob) = (
        member(&server, "ann", "r").await,
        member(&server, "bob", "r").await,
    );
    let deep = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
    for data in [
        sized(MAX_SIGNAL_DATA_BYTES),
        deep(MAX_METADATA_DEPTH),
        "{}".into(),
        r#"{"b": 1.0,"a":[1e2,{"é":null}]}"#.into(),
    ] {
        let answer = sent(&mut ann, &format!(r#""type":"t","data":{data}"#)).await;
        assert_eq!(answer["status"], "ok", "{answer}");
        let told = loop {
            let frame = bob.frame().await;
            if frame.starts_with(r#"42["signal""#) {
                break frame;
            }
        };
        assert!(told.contains(&data), "{told}");
    }
    for (data, why) in [
        (
            sized(MAX_SIGNAL_DATA_BYTES + 1),
            "data: must be at most 16384 bytes",
        ),
        (
            deep(MAX_METADATA_DEPTH + 1),
            "data: must be at most 32 objects",
        ),
        ("[]".into(), "data: must be an object"),
        ("null".into(), "data: must be an object"),
        (r#""text""#.into(), "data: must be an object"),
    ] {
        let answer = sent(&mut ann, &format!(r#""type":"t","data":{data}"#)).await;
        assert_eq!(answer["error"]["code"], "INVALID_PAYLOAD", "{answer}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.starts_with(why), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_type_follows_the_rules_of_identifiers_and_a_receiver_is_named() {
    let server = Server::start().await;
    let mut ann = member(&server, "ann", "r").await;
    let long = "x".repeat(129);
    for (fields, why) in [
        (r#""data":{}"#.to_owned(), "type: is required"),
        (r#""type":"","data":{}"#.into(), "type: must be 1 to 128"),
        (
            format!(r#""type":"{long}","data":{{}}"#),
            "type: must be 1 to 128",
        ),
        (
            r#""type":"a\nb","data":{}"#.into(),
            "type: must be without control",
        ),
        (r#""type":"t""#.into(), "data: is required"),
        (
            r#""type":"t","data":{},"to":5"#.into(),
            "to: must be a userId or",
        ),
        (
            r#""type":"t","data":{},"to":"""#.into(),
            "to: must be 1 to 128",
        ),
        (
            r#""type":"t","data":{},"to":{}"#.into(),
            "to.partyId: is required",
        ),
    ] {
        let answer = sent(&mut ann, &fields).await;
        assert_eq!(answer["error"]["code"], "INVALID_PAYLOAD", "{answer}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.starts_with(why), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_arrive_in_the_order_sent_with_messages_and_acks_in_between() {
    let server = Server::start().await;
    let (mut ann, mut bob) = (
        member(&server, "ann", "r").await,
        member(&server, "bob", "r").await,
    );
    for number in 0..BURST {
        let mut payload = signal(json!({ "number": number }));
        if number % 2 == 1 {
            payload["to"] = "bob".into();
        }
        ann.emit("signal", &payload).await;
        if number % 10 == 0 {
            let message = json!({ "roomId": "r", "message": number.to_string() });
            ann.emit("sendMessage", &message).await;
        }
    }
    ann.flush().await;
    for number in 0..BURST {
        assert_eq!(bob.next("signal").await["data"]["number"], number);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_right_after_a_join_is_relayed_and_one_before_it_refused() {
    let server = Server::start().await;
    let mut bob = member(&server, "bob", "r").await;
    let mut ann = server.raw("ann").await;
    let early = ann.emit("signal", &signal(json!({ "early": true }))).await;
    ann.emit("joinRoom", &json!({ "roomId": "r" })).await;
    let next = ann.emit("signal", &signal(json!({ "early": false }))).await;
    ann.flush().await;
    let (_, refused) = ann.until_ack(early).await;
    assert_eq!(refused["error"]["code"], "NOT_IN_ROOM", "{refused}");
    let (_, answer) = ann.until_ack(next).await;
    assert_eq!(answer["status"], "ok", "{answer}");
    assert_eq!(bob.next("signal").await["data"], json!({ "early": false }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_has_a_burst_of_its_own_and_is_told_when_to_go_on() {
    let server = Server::on(Database::sqlite(), &["--signals-per-second=1"]).await;
    let mut tabs = [
        member(&server, "ann", "r").await,
        member(&server, "ann", "r").await,
    ];
    for tab in &mut tabs {
        let begun = Instant::now();
        let answers = all(tab, (0..BURST + 50).map(|_| signal(json!({})))).await;
        let passed = answers.iter().filter(|answer| answer["status"] == "ok");
        let passed = passed.count();
        let most = BURST + begun.elapsed().as_secs() as usize + 1;
        assert!((BURST..=most).contains(&passed), "{passed}");
        let refused = &answers.last().unwrap()["error"];
        assert_eq!(refused["code"], "RATE_LIMITED", "{refused}");
        let wait = refused["retryAfterMs"].as_u64().unwrap();
        assert!((1..=1_000).contains(&wait), "{wait}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_senders_at_once_cut_no_reader_that_reads() {
    const SENDERS: usize = 40;
    let server = Server::on(Database::sqlite(), &[SCRAPED]).await;
    let since = Since::now(server.metrics_address()).await;
    let mut reader = member(&server, "bob", "r").await;
    let mut senders = vec![];
    for number in 0..SENDERS {
        senders.push(member(&server, &format!("ann {number}"), "r").await);
    }
    let floods = senders.into_iter().map(|mut sender| {
        tokio::spawn(async move {
            let payload = json!({ "roomId": "r", "type": "t", "data": {}, "to": "bob" });
            let answers = all(&mut sender, (0..BURST).map(|_| payload.clone())).await;
            let code = |answer: &Value| answer["error"]["code"].clone();
            let refused = answers.iter().filter(|answer| answer["status"] != "ok");
            let refused: Vec<_> = refused.map(code).collect();
            assert!(
                refused.iter().all(|code| code == "UNAVAILABLE"),
                "{refused:?}"
            );
            BURST - refused.len()
        })
    });
    let mut relayed = 0;
    for flood in floods.collect::<Vec<_>>() {
        relayed += flood.await.unwrap();
    }
    for _ in 0..relayed {
        reader.next("signal").await;
    }
    println!("{relayed} of {} relayed", SENDERS * BURST);
    assert_eq!(since.grown("parlor_cut_clients_total").await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_does_not_read_loses_its_connection_and_no_other_one_does() {
    let server = Server::on(Database::sqlite(), &[SCRAPED, UNLIMITED]).await;
    let since = Since::now(server.metrics_address()).await;
    let (mut ann, mut bob) = (
        member(&server, "ann", "r").await,
        member(&server, "bob", "r").await,
    );
    let _silent = member(&server, "eve", "r").await;
    let deadline = Instant::now() + DEADLINE;
    let mut number = 0;
    while since.grown("parlor_cut_clients_total").await == 0.0 {
        assert!(Instant::now() < deadline, "the connection goes on");
        for _ in 0..100 {
            let data = json!({ "number": number, "text": "x".repeat(16_000) });
            ann.emit("signal", &signal(data)).await;
            ann.flush().await;
            assert_eq!(bob.next("signal").await["data"]["number"], number);
            number += 1;
        }
    }
    assert_eq!(since.grown("parlor_cut_clients_total").await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_are_counted_by_their_results() {
    let server = Server::on(Database::sqlite(), &[SCRAPED]).await;
    let since = Since::now(server.metrics_address()).await;
    let mut ann = member(&server, "ann", "r").await;
    all(&mut ann, (0..3).map(|_| signal(json!({})))).await;
    all(&mut ann, [json!({ "roomId": "r" })]).await;
    all(
        &mut ann,
        [json!({ "roomId": "s", "type": "t", "data": {} })],
    )
    .await;
    since
        .until(&[
            (r#"parlor_signals_total{result="ok"}"#, 3.0),
            (r#"parlor_signals_total{result="INVALID_PAYLOAD"}"#, 1.0),
            (r#"parlor_signals_total{result="NOT_IN_ROOM"}"#, 1.0),
        ])
        .await;
}
