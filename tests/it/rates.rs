//! Rate limits: a user above the rate is told when to retry, loses nothing, and disturbs nobody.
//!
//! Time passes while a test counts, so more events than a burst may be admitted: as many as the
//! sustained rate allows in this time.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use parlor::{
    model::{Message, Seq, UserId},
    store::{Keep, Page},
    testing::{
        auth::TokenClaims,
        engine::EVENT_BYTES,
        realtime::{self, EVENT_BURST},
    },
};
use serde_json::{Value, json};

use crate::support::{
    Database, RawClient, Server,
    engine::{Endpoint, Polling},
    node,
    raw::Packet,
};

/// The default limit of a client's rooms, and the number of tabs of one user with room in the burst
/// to join all of them at once.
const ROOMS: usize = 256;
const TABS: usize = 4;

/// Starts a server with a small burst, and a rate of one message a second.
async fn slow(burst: usize) -> Server {
    Server::on(
        Database::sqlite(),
        &[
            "--messages-per-second=1",
            &format!("--message-burst={burst}"),
        ],
    )
    .await
}

/// A user's allowance since `begun`: the burst, and one message a second.
struct Allowance {
    begun: Instant,
    burst: usize,
}

impl Allowance {
    fn new(burst: usize) -> Self {
        Self {
            begun: Instant::now(),
            burst,
        }
    }

    /// Checks that the whole burst was admitted, and no more than the allowance.
    #[track_caller]
    fn assert_kept(&self, passed: usize) {
        let most = self.burst + self.begun.elapsed().as_secs() as usize + 1;
        assert!(
            (self.burst..=most).contains(&passed),
            "{passed}, not {} to {most}",
            self.burst
        );
    }
}

async fn member(server: &Server, user: &str, room: &str) -> RawClient {
    let mut client = server.raw(user).await;
    assert_ok(&join(&mut client, room).await);
    client
}

async fn join(client: &mut RawClient, room: &str) -> Value {
    client.call("joinRoom", json!({ "roomId": room })).await
}

fn message(room: &str, text: impl ToString) -> Value {
    json!({ "roomId": room, "message": text.to_string() })
}

#[track_caller]
fn assert_ok(answer: &Value) {
    assert_eq!(answer["status"], "ok", "{answer}");
}

/// Emits an event with each of the payloads at once, and returns the answers in order.
async fn all(
    client: &mut RawClient,
    event: &str,
    payloads: impl IntoIterator<Item = Value>,
) -> Vec<Value> {
    let mut ids = vec![];
    for payload in payloads {
        ids.push(client.emit(event, &payload).await);
    }
    client.flush().await;
    let mut answers = HashMap::new();
    while answers.len() < ids.len() {
        match client.packet().await {
            Packet::Ack(id, answer) if ids.contains(&id) => drop(answers.insert(id, answer)),
            Packet::Ack(..) | Packet::Event(..) => {}
            Packet::Other(frame) => panic!("waiting for answers: {frame:?}"),
        }
    }
    ids.iter().map(|id| answers.remove(id).unwrap()).collect()
}

/// Returns the number of `ok` answers; all others must say when to retry.
#[track_caller]
fn passed(answers: &[Value]) -> usize {
    let (passed, refused): (Vec<_>, Vec<_>) =
        answers.iter().partition(|answer| answer["status"] == "ok");
    for answer in refused {
        assert_told_when(&answer["error"]);
    }
    passed.len()
}

/// Checks a refusal at a rate of one a second, and returns its wait.
#[track_caller]
fn assert_told_when(error: &Value) -> Duration {
    assert_eq!(
        (&error["code"], &error["retryable"]),
        (&json!("RATE_LIMITED"), &json!(true)),
        "{error}"
    );
    let wait = error["retryAfterMs"].as_u64().unwrap();
    assert!((1..=1000).contains(&wait), "{error}");
    Duration::from_millis(wait)
}

async fn log(server: &Server, room: &str) -> Vec<Message> {
    let page = Page {
        after: Seq::ZERO,
        before: Seq::END,
        limit: 1_000_000,
        keep: Keep::Oldest,
    };
    server
        .database
        .store()
        .await
        .read(&room.try_into().unwrap(), page)
        .await
        .unwrap()
}

fn texts<'a>(messages: impl IntoIterator<Item = &'a Message>) -> Vec<String> {
    messages
        .into_iter()
        .map(|message| message.body.as_str().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_above_the_rate_is_told_when_to_retry_and_only_acked_messages_are_stored() {
    let server = slow(5).await;
    let mut ann = member(&server, "ann", "r").await;
    let allowance = Allowance::new(5);
    let answers = all(
        &mut ann,
        "sendMessage",
        (0..50).map(|number| message("r", number)),
    )
    .await;
    allowance.assert_kept(passed(&answers));

    let refused = loop {
        let answer = ann
            .call("sendMessage", message("r", "once too often"))
            .await;
        if answer["status"] == "error" {
            break answer;
        }
    };
    tokio::time::sleep(assert_told_when(&refused["error"])).await;
    assert_ok(&ann.call("sendMessage", message("r", "in time")).await);

    let log = texts(&log(&server, "r").await);
    let acked = answers.iter().filter(|answer| answer["status"] == "ok");
    let acked: Vec<_> = acked
        .map(|answer| answer["message"]["message"].as_str().unwrap())
        .collect();
    assert_eq!(log[..acked.len()], acked);
    assert!(
        log[acked.len()..log.len() - 1]
            .iter()
            .all(|text| text == "once too often"),
        "{log:?}"
    );
    assert_eq!(log[log.len() - 1], "in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_send_without_an_ack_id_is_reported_by_an_event() {
    let server = slow(1).await;
    let mut ann = member(&server, "ann", "r").await;
    // One a second is admitted; the others are too many.
    for number in 0..100 {
        ann.tell("sendMessage", message("r", number)).await;
    }
    let failure = ann.next("error").await;
    assert_eq!(failure["event"], "sendMessage");
    assert_told_when(&failure["error"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_has_one_allowance_for_all_connections_and_rooms_and_reconnecting_does_not_refill_it()
 {
    let server = slow(20).await;
    let allowance = Allowance::new(20);
    let mut got_through = 0;
    for room in ["x", "y", "x", "y", "z"] {
        let mut tab = member(&server, "ann", room).await;
        got_through += passed(&all(&mut tab, "sendMessage", vec![message(room, "hi"); 10]).await);
    }
    allowance.assert_kept(got_through);

    let mut bob = member(&server, "bob", "x").await;
    let answers = all(&mut bob, "sendMessage", vec![message("x", "hi"); 20]).await;
    assert_eq!(passed(&answers), 20, "nobody pays for another");
}

/// Such a client's first events come before the server knows its user.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_named_only_on_joining_has_the_same_allowance() {
    let server = slow(5).await;
    let allowance = Allowance::new(5);
    let mut got_through = 0;
    for _ in 0..3 {
        let mut ann = RawClient::attempt(server.address(), "").await.unwrap();
        ann.emit("joinRoom", &json!({ "roomId": "r", "userId": "ann" }))
            .await;
        got_through += passed(&all(&mut ann, "sendMessage", vec![message("r", "hi"); 10]).await);
    }
    allowance.assert_kept(got_through);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_send_counts_like_any_other() {
    let server = slow(5).await;
    let mut ann = member(&server, "ann", "r").await;
    let allowance = Allowance::new(5);
    let send = json!({ "roomId": "r", "message": "hi", "clientMessageId": "1" });
    let answers = all(&mut ann, "sendMessage", vec![send; 20]).await;
    allowance.assert_kept(passed(&answers));
    assert_eq!(
        answers
            .iter()
            .filter(|answer| answer["duplicate"] == false)
            .count(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn typing_is_limited_like_sends_and_counted_separately() {
    let server = slow(5).await;
    let mut ann = member(&server, "ann", "r").await;
    let allowance = Allowance::new(5);
    let typing = json!({ "roomId": "r", "isTyping": true });
    allowance.assert_kept(passed(&all(&mut ann, "typing", vec![typing; 20]).await));
    assert_eq!(
        passed(&all(&mut ann, "sendMessage", vec![message("r", "hi"); 5]).await),
        5
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn joins_and_history_reads_are_limited_and_a_refused_join_has_no_effect() {
    // All rooms of eight connections.
    let server = Server::on(
        Database::sqlite(),
        &["--requests-per-second=1", "--max-rooms-per-socket=16"],
    )
    .await;
    let allowance = Allowance::new(128);
    let mut ann = server.raw("ann").await;
    let rooms = ["a", "b", "c", "d", "e"].map(|room| json!({ "roomId": room }));
    let mut got_through = passed(&all(&mut ann, "joinRoom", rooms.clone()).await);
    assert_eq!(got_through, rooms.len());
    got_through += passed(&all(&mut ann, "getHistory", vec![rooms[0].clone(); 200]).await);
    allowance.assert_kept(got_through);

    let late: Vec<_> = (0..10).map(|number| format!("late {number}")).collect();
    let joined = all(
        &mut ann,
        "joinRoom",
        late.iter().map(|room| json!({ "roomId": room })),
    )
    .await;
    allowance.assert_kept(got_through + passed(&joined));
    let sent = all(
        &mut ann,
        "sendMessage",
        late.iter().map(|room| message(room, "hi")),
    )
    .await;
    for (joined, sent) in joined.iter().zip(sent) {
        assert_eq!(joined["status"], sent["status"]);
        assert!(
            sent["status"] == "ok" || sent["error"]["code"] == "NOT_IN_ROOM",
            "{sent}"
        );
    }
    assert_eq!(
        passed(&all(&mut ann, "leaveRoom", rooms).await),
        5,
        "who may not come in may still go"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn token_refreshes_are_limited() {
    let secret = "a secret of more than 32 bytes, for tests";
    let flags = [
        &format!("--jwt-secret={secret}"),
        "--requests-per-second=1",
        "--max-rooms-per-socket=1",
    ];
    let server = Server::on(Database::sqlite(), &flags).await;
    let ann = UserId::try_from("ann").unwrap();
    let token = TokenClaims {
        sub: &ann,
        exp: i32::MAX.into(),
        role: None,
        rooms: &[],
        iss: None,
        aud: None,
    };
    let token = json!({ "token": token.sign(secret).unwrap() });
    let mut client = RawClient::attempt(server.address(), &token.to_string())
        .await
        .unwrap();
    let allowance = Allowance::new(8);
    allowance.assert_kept(passed(
        &all(&mut client, "refreshAuth", vec![token; 20]).await,
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn tabs_rejoining_all_their_rooms_at_once_are_admitted_by_default() {
    let server = Server::start().await;
    let tabs = (0..TABS).map(async |_| {
        let mut tab = server.raw("ann").await;
        all(
            &mut tab,
            "joinRoom",
            (0..ROOMS).map(|room| json!({ "roomId": room.to_string() })),
        )
        .await
    });
    for answers in join_all(tabs).await {
        assert_eq!(passed(&answers), ROOMS);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_the_client_module_is_stored_in_order_at_a_low_rate() {
    let flags = ["--messages-per-second=40", "--message-burst=10"];
    let server = Server::on(Database::sqlite(), &flags).await;
    node::run("parlor_client_paced.mjs", &[&server.url(), "websocket"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_above_the_event_rate_is_read_more_slowly_and_each_event_is_answered() {
    let server = Server::on(Database::sqlite(), &["--events-per-second=100"]).await;
    let mut eve = server.raw("eve").await;
    let begun = Instant::now();
    for answer in all(
        &mut eve,
        "unknown",
        vec![json!({}); EVENT_BURST.get() as usize + 400],
    )
    .await
    {
        assert_eq!(answer["error"]["code"], "UNKNOWN_EVENT", "{answer}");
    }
    // Four seconds' worth, less the events in the same read as the last one within the limit.
    assert!(
        begun.elapsed() > Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
}

/// Starts a server with a limit of `rate` events a second, and connects a client by long-polling.
async fn polling(rate: usize) -> (Server, Polling) {
    let server = Server::on(
        Database::sqlite(),
        &[&format!("--events-per-second={rate}")],
    )
    .await;
    let endpoint = Endpoint {
        address: server.address(),
        path: realtime::PATH,
        version: 4,
        http: Default::default(),
    };
    let session = Polling::open(&endpoint).await;
    session.post(r#"40{"userId":"eve"}"#).await;
    assert!(session.poll().await.1.contains("40{"));
    (server, session)
}

/// Polls until `events` events are answered, and returns the number of refused ones.
async fn refused(session: &Polling, events: usize) -> usize {
    let mut answers = String::new();
    while answers.matches(r#""status":"error""#).count() < events {
        answers += &session.poll().await.1;
    }
    let refused = answers.matches("RATE_LIMITED").count();
    assert_eq!(
        (refused, events - refused),
        (
            answers.matches("retryAfterMs").count(),
            answers.matches("UNKNOWN").count()
        )
    );
    refused
}

#[tokio::test(flavor = "multi_thread")]
async fn events_beyond_the_limit_are_refused_by_long_polling() {
    const RATE: usize = 50;
    const EVENTS: usize = 6_000;
    let begun = Instant::now();
    let (_server, session) = polling(RATE).await;
    let events: Vec<_> = (0..EVENTS)
        .map(|number| format!(r#"42{number}["unknown",{{}}]"#))
        .collect();
    assert_eq!(session.post(events.join("\u{1e}")).await.0, 200);
    let refused = refused(&session, EVENTS).await;
    let most = EVENT_BURST.get() as usize + RATE * (begun.elapsed().as_secs() as usize + 1);
    assert!(
        refused >= EVENTS - most,
        "{refused} refused, {most} within the limit"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_event_counts_as_several() {
    const RATE: usize = 50;
    const EVENTS: usize = 30;
    const BYTES: usize = 900_000;
    let begun = Instant::now();
    let (_server, session) = polling(RATE).await;
    for number in 0..EVENTS {
        assert_eq!(
            session
                .post(format!(r#"42{number}["unknown","{}"]"#, "x".repeat(BYTES)))
                .await
                .0,
            200
        );
    }
    let refused = refused(&session, EVENTS).await;
    let within_limit = EVENT_BURST.get() as usize + RATE * (begun.elapsed().as_secs() as usize + 1);
    let most = within_limit / (BYTES / EVENT_BYTES);
    assert!(
        refused >= EVENTS - most,
        "{refused} refused, {most} within the limit"
    );
}

/// Sends as fast as possible until `stop` is set; returns the number of sends, and the acked texts.
async fn flood(mut eve: RawClient, stop: Arc<AtomicBool>) -> (usize, Vec<String>) {
    const WINDOW: usize = 1_000;
    let (mut sent, mut acked) = (0, vec![]);
    while !stop.load(Ordering::Relaxed) || sent < 5 * WINDOW {
        let answers = all(
            &mut eve,
            "sendMessage",
            (sent..sent + WINDOW).map(|number| message("r", number)),
        )
        .await;
        sent += WINDOW;
        let stored = answers
            .iter()
            .filter_map(|answer| answer["message"]["message"].as_str().map(str::to_owned));
        let before = acked.len();
        acked.extend(stored);
        assert_eq!(passed(&answers), acked.len() - before);
    }
    (sent, acked)
}

/// Sends message after message, each awaited by another client; returns all messages received by
/// it.
async fn chat(
    mut speaker: RawClient,
    mut listener: RawClient,
    user: &str,
    room: &str,
) -> Vec<Value> {
    const MESSAGES: usize = 50;
    let mut heard = vec![];
    for number in 0..MESSAGES {
        assert_ok(&speaker.call("sendMessage", message(room, number)).await);
        loop {
            let next = listener.next("newMessage").await;
            let come = next["userId"] == user;
            heard.push(next);
            if come {
                break;
            }
        }
    }
    heard
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_answered_and_not_stored_and_others_chat_on_beside_it() {
    let server = slow(60).await;
    let eve = member(&server, "eve", "r").await;
    let [ann, bob] = [
        member(&server, "ann", "r").await,
        member(&server, "bob", "r").await,
    ];
    let [carol, dave] = [
        member(&server, "carol", "other").await,
        member(&server, "dave", "other").await,
    ];
    let (allowance, stop) = (Allowance::new(60), Arc::new(AtomicBool::new(false)));
    let flooding = tokio::spawn(flood(eve, stop.clone()));
    let chats = [
        tokio::spawn(chat(ann, bob, "ann", "r")),
        tokio::spawn(chat(carol, dave, "carol", "other")),
    ];
    let heard: Vec<_> = join_all(chats)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    stop.store(true, Ordering::Relaxed);
    let (sent, acked) = flooding.await.unwrap();
    allowance.assert_kept(acked.len());
    assert!(
        sent >= 50 * acked.len(),
        "{sent} sent, {} acked",
        acked.len()
    );

    let log = log(&server, "r").await;
    let by = |user: &str| {
        texts(
            log.iter()
                .filter(|message| message.user_id.as_str() == user),
        )
    };
    assert_eq!(by("eve"), acked);
    for (heard, user) in heard.iter().zip(["ann", "carol"]) {
        let seqs = heard.iter().map(|message| message["seq"].as_i64().unwrap());
        assert!(seqs.eq(1..=heard.len() as i64), "{user}'s room has a gap");
        let said = heard.iter().filter(|message| message["userId"] == user);
        assert!(
            said.map(|message| message["message"].clone())
                .eq((0..50).map(|number| json!(number.to_string())))
        );
    }
}
