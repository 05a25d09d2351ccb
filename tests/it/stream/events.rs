//! The events of streams, and their resumption.

use serde_json::json;

use parlor::{
    model::{Body, Draft},
    store::MessageStore,
};

use super::{Stream, open, send_many, server, token};
use crate::{
    api::{Backend, KEY, WITH_KEY},
    support::{Database, Process, Server, eventually},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_tells_what_a_socket_hears_and_is_no_member() {
    let (server, backend) = server(&[]).await;
    let old = backend.send("r", "ann", "before").await;
    let mut stream = open(&backend, "r", None).await;
    let ready = stream.event("ready").await;
    assert_eq!(ready.id.as_deref(), Some("1.0"));
    assert_eq!(
        ready.data,
        json!({ "roomId": "r", "lastSeq": 1, "lastRevision": 0, "members": [], "memberCount": 0 })
    );
    let auth = json!({ "token": token("bob", 60, &[]) }).to_string();
    let mut bob = crate::support::RawClient::attempt(server.address(), &auth)
        .await
        .unwrap();
    let joined = bob.call("joinRoom", json!({ "roomId": "r" })).await;
    assert_eq!(joined["memberCount"], 1, "a stream is no member");
    let presence = stream.event("presence").await;
    assert_eq!(presence.id, None);
    assert_eq!(
        presence.data,
        json!({ "roomId": "r", "joined": ["bob"], "left": [], "memberCount": 1 })
    );
    let sent = backend
        .send("r", "ann", "line\nbreaks\r and \u{2028}")
        .await;
    let told = stream.event("newMessage").await;
    assert_eq!((told.id.as_deref(), &told.data), (Some("2.0"), &sent));
    let edit = json!({ "roomId": "r", "userId": "ann", "seq": old["seq"], "message": "after" });
    let edited = backend.ok("PATCH", "/messages", edit).await;
    let told = stream.event("messageChanged").await;
    assert_eq!(told.id.as_deref(), Some("2.1"));
    assert_eq!(
        told.data,
        json!({ "roomId": "r", "revision": 1, "previous": 0, "message": edited["message"] })
    );
    backend
        .ok("POST", "/rooms", json!({ "roomId": "r", "title": "Room" }))
        .await;
    let told = stream.event("roomChanged").await;
    assert_eq!(told.id.as_deref(), Some("2.2"));
    assert_eq!(told.data["room"]["title"], "Room");
    // The room ends with its last socket and its last stream.
    drop((stream, bob));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_from_any_place() {
    let (_server, backend) = server(&[]).await;
    for text in ["one", "two", "three"] {
        backend.send("r", "ann", text).await;
    }
    for (seq, text) in [(1, "a"), (3, "b"), (1, "c")] {
        let edit = json!({ "roomId": "r", "userId": "ann", "seq": seq, "message": text });
        backend.ok("PATCH", "/messages", edit).await;
    }
    backend
        .ok("POST", "/rooms", json!({ "roomId": "r", "title": "x" }))
        .await;
    for (last, expected) in [
        ("0.0", vec!["1.0", "2.0", "3.0", "3.2", "3.3", "3.4", "3.4"]),
        ("2.1", vec!["3.1", "3.2", "3.3", "3.4", "3.4"]),
        ("3.2", vec!["3.3", "3.4", "3.4"]),
        ("3.4", vec!["3.4"]),
    ] {
        let mut stream = open(&backend, "r", Some(last)).await;
        let mut ids = vec![];
        loop {
            let event = stream.next().await.unwrap();
            ids.push(event.id.unwrap());
            if event.name == "ready" {
                break;
            }
            if event.name != "newMessage" {
                assert!(event.data["previous"].as_i64() < event.data["revision"].as_i64());
            }
        }
        assert_eq!(ids, expected, "{last}");
        // By the query as well.
        let query = [("roomId", "r"), ("lastEventId", last)];
        let mut stream = Stream::open(&backend, "/events", &query, None)
            .await
            .unwrap();
        assert_eq!(
            stream.next().await.unwrap().id.as_deref(),
            Some(expected[0])
        );
    }
    let refused = Stream::open(&backend, "/events", &[("roomId", "r")], Some("x")).await;
    assert_eq!(refused.err().unwrap().refusal(), (400, "INVALID_PAYLOAD"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_with_more_than_the_log_is_told_to_start_anew() {
    let (_server, backend) = server(&[]).await;
    let sent = backend.send("r", "ann", "one").await;
    for last in ["2.0", "1.1", "7.7"] {
        let mut stream = open(&backend, "r", Some(last)).await;
        let history = stream.event("history").await;
        assert_eq!(history.id.as_deref(), Some("1.0"));
        assert_eq!(history.data["reset"], true);
        assert_eq!(history.data["messages"], json!([sent]));
        stream.event("ready").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_far_behind_gets_every_message_in_order() {
    const MESSAGES: usize = 5_000;
    let (_server, backend) =
        server(&["--messages-per-second=0", "--api-requests-per-second=0"]).await;
    send_many(&backend, "r", MESSAGES, "hello").await;
    let mut stream = open(&backend, "r", Some("0.0")).await;
    for seq in 1..=MESSAGES {
        let event = stream.event("newMessage").await;
        assert_eq!(event.data["seq"], seq);
    }
    stream.event("ready").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_is_too_slow_is_cut_and_loses_nothing() {
    const MESSAGES: usize = 2_500;
    let text = "x".repeat(8_000);
    let (_server, backend) =
        server(&["--messages-per-second=0", "--api-requests-per-second=0"]).await;
    let mut stream = open(&backend, "r", None).await;
    let mut last = stream.event("ready").await.id.unwrap();
    send_many(&backend, "r", MESSAGES, &text).await;
    let (mut seq, mut cuts) = (0, 0);
    while seq < MESSAGES {
        let Some(event) = stream.next().await else {
            cuts += 1;
            stream = open(&backend, "r", Some(&last)).await;
            continue;
        };
        if event.name == "newMessage" {
            seq += 1;
            assert_eq!(event.data["seq"], seq);
        }
        last = event.id.unwrap();
    }
    assert!(cuts >= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_activity_of_a_users_rooms_is_told() {
    let (_server, backend) = server(&[]).await;
    for room in ["team-1", "other"] {
        let follow = json!({ "roomId": room, "userId": "ann" });
        backend.ok("PUT", "/follows", follow).await;
    }
    let ann = Backend::with(&_server, &token("ann", 60, &["team-*"]));
    let mut own = Stream::open(&ann, "/activity", &[], None).await.unwrap();
    let query = [("userId", "ann")];
    let mut served = Stream::open(&backend, "/activity", &query, None)
        .await
        .unwrap();
    backend.send("other", "bob", "hello").await;
    let told = served.event("roomActivity").await;
    assert_eq!((told.id, &told.data["roomId"]), (None, &json!("other")));
    let sent = backend.send("team-1", "bob", "hello").await;
    for stream in [&mut own, &mut served] {
        let told = stream.event("roomActivity").await.data;
        assert_eq!(
            (&told["roomId"], &told["unread"]),
            (&json!("team-1"), &json!(1))
        );
        assert_eq!(told["lastMessage"], sent);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_ends_with_its_last_stream() {
    let rooms = |server: &Server| server.active_rooms();
    let (server, backend) = server(&[]).await;
    let mut streams = [
        open(&backend, "r", None).await,
        open(&backend, "r", Some("0.0")).await,
    ];
    for stream in &mut streams {
        stream.event("ready").await;
    }
    assert_eq!(rooms(&server), 1);
    drop(streams);
    eventually("the room's end", async || rooms(&server) == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_hears_another_server_and_its_members() {
    let database = Database::postgres().await;
    let shared = database.shared();
    let flags = [WITH_KEY];
    let [first, second] = [
        Server::on(database, &flags).await,
        Server::on(shared, &flags).await,
    ];
    let mut stream = open(&Backend::of(&first), "r", None).await;
    stream.event("ready").await;
    let bob = second.client("bob").await;
    bob.join("r").await;
    assert_eq!(
        stream.event("presence").await.data["joined"],
        json!(["bob"])
    );
    bob.send("r", "hello").await;
    assert_eq!(stream.event("newMessage").await.data["message"], "hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_with_the_server() {
    let (server, backend) = server(&[]).await;
    let mut stream = open(&backend, "r", None).await;
    stream.event("ready").await;
    let begun = std::time::Instant::now();
    let stopping = server.stop();
    let (rest, (_, stopped)) = tokio::join!(stream.rest(), stopping);
    assert_eq!(rest, []);
    stopped.unwrap();
    assert!(begun.elapsed() < std::time::Duration::from_secs(10));
}

/// Returns the resident memory of a process, in MiB.
#[cfg(target_os = "linux")]
fn memory(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.unwrap().trim().trim_end_matches(" kB");
    kib.parse::<u64>().unwrap() / 1024
}

async fn fill(store: &dyn MessageStore, messages: usize) {
    let text = "x".repeat(200);
    let draft = || {
        let body = Body::parse(&text, text.len()).unwrap();
        let (room, user) = ("r".try_into().unwrap(), "ann".try_into().unwrap());
        Draft::new(room, user, None, body, None)
    };
    for _ in 0..messages / 500 {
        let drafts: Vec<_> = (0..500).map(|_| draft()).collect();
        store.append(&drafts).await.unwrap();
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs alone"]
async fn a_reader_very_far_behind_takes_no_more_memory_than_another() {
    const MESSAGES: usize = 100_000;
    const BOUND_MIB: u64 = 48;
    let database = Database::sqlite();
    fill(&*database.store().await, MESSAGES).await;
    let process = Process::with(&database, &[WITH_KEY]).await;
    let backend = Backend::at(&format!("http://{}", process.address), KEY);
    let mut stream = open(&backend, "r", Some("0.0")).await;
    let (mut before, mut most) = (0, 0);
    for seq in 1..=MESSAGES {
        let event = stream.event("newMessage").await;
        assert_eq!(event.data["seq"], seq);
        if seq % 1_000 == 0 {
            let now = memory(&process);
            before = if before == 0 { now } else { before };
            most = most.max(now);
        }
    }
    stream.event("ready").await;
    println!("{before} MiB after 1,000 messages, {most} MiB at most");
    assert!(most < before + BOUND_MIB, "{before} MiB, then {most} MiB");
}
