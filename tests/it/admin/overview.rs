//! The overview: the state of the chat in figures.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

use super::{overview, server_on, until};
use crate::{
    api::{Backend, KEY, WITH_KEY},
    nodes::{engine::Engine, lossy::Lossy},
    support::{Database, FLOODED, Server, gate::Gate},
};

const SECRET: &str = "a secret of more than 32 bytes, for tests";

fn token(claims: &Value) -> String {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    encode(&Header::default(), claims, &key).unwrap()
}

/// Returns the figures of the server that was asked.
fn own(overview: &Value) -> &Value {
    &overview["nodes"][0]["figures"]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overview_has_the_figures_of_a_server() {
    for (database, kind) in [
        (Database::sqlite(), "sqlite"),
        (Database::postgres().await, "postgres"),
    ] {
        let before = Utc::now();
        let (server, admin) = server_on(database, &[]).await;
        let [ann, bob] = [server.client("ann").await, server.client("bob").await];
        for (client, room) in [(&ann, "r"), (&bob, "r"), (&ann, "alone")] {
            client.join(room).await;
        }
        for text in ["one", "two"] {
            ann.send("r", text).await;
        }
        let rooms = json!([
            { "roomId": "r", "members": 2, "lastSeq": 2 },
            { "roomId": "alone", "members": 1, "lastSeq": 0 },
        ]);
        let found = until(&admin, "the rooms", |found| found["rooms"] == rooms).await;
        assert_eq!(found["nodeCount"], 1);
        assert_eq!(found["nodes"][0]["isSilent"], false);
        let figures = own(&found);
        assert_eq!(figures["version"], env!("CARGO_PKG_VERSION"));
        let started: DateTime<Utc> = serde_json::from_value(figures["startedAt"].clone()).unwrap();
        assert!(before <= started && started <= Utc::now());
        for (name, expected) in [
            ("connections", json!(2)),
            ("streams", json!(0)),
            ("members", json!(3)),
            ("rooms", json!(2)),
            ("messages", json!(2)),
            ("queue", json!({ "entries": 0, "bytes": 0 })),
            ("isStoring", json!(true)),
            ("isBusWell", json!(true)),
        ] {
            assert_eq!(figures[name], expected, "{name}");
        }
        assert!(figures["pool"]["max"].as_u64() >= Some(1), "{figures}");
        let totals = json!({ "connections": 2, "streams": 0, "members": 3, "queueEntries": 0 });
        assert_eq!(found["totals"], totals);
        assert_eq!(found["database"], json!({ "kind": kind, "isWell": true }));
        assert_eq!(found["webhooks"], json!([]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_service_for_all_rooms_sees_the_overview() {
    let flags = [&format!("--jwt-secret={SECRET}")[..], WITH_KEY];
    let server = Server::on(Database::sqlite(), &flags).await;
    let exp = Utc::now().timestamp() + 60;
    let sees = async |credentials: &str| {
        let backend = Backend::with(&server, credentials);
        backend.get("/overview", &[]).await.status
    };
    for (status, claims) in [
        (200, json!({ "role": "service" })),
        (403, json!({ "role": "service", "rooms": ["r"] })),
        (403, json!({ "role": "operator" })),
        (403, json!({})),
    ] {
        let mut all = json!({ "sub": "ann", "exp": exp });
        all.as_object_mut()
            .unwrap()
            .extend(claims.as_object().unwrap().clone());
        assert_eq!(sees(&token(&all)).await, status, "{all}");
    }
    assert_eq!(sees(KEY).await, 200);
    assert_eq!(sees("another key of more than 32 characters").await, 401);
}

async fn two_tell_of_each_other(engine: &Engine) {
    let database = engine.database().await;
    let flags = engine.flags(&[WITH_KEY]);
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let shared = database.shared();
    let servers = [
        Server::on(database, &flags).await,
        Server::on(shared, &flags).await,
    ];
    let [first, second] = &servers;
    let ann = first.client("ann").await;
    ann.join("r").await;
    let bob = second.client("bob").await;
    bob.join("r").await;
    bob.join("there").await;
    bob.send("there", "hello").await;
    let rooms = json!([
        { "roomId": "r", "members": 2, "lastSeq": 0 },
        { "roomId": "there", "members": 1, "lastSeq": 1 },
    ]);
    let mut asked = HashSet::new();
    for server in &servers {
        let admin = Backend::of(server);
        let found = until(&admin, "both servers", |found| found["rooms"] == rooms).await;
        assert_eq!(found["nodeCount"], 2, "{found}");
        let nodes = found["nodes"].as_array().unwrap();
        assert!(nodes.iter().all(|node| node["isSilent"] == false));
        assert!(nodes.iter().all(|node| node["figures"]["connections"] == 1));
        let totals = json!({ "connections": 2, "streams": 0, "members": 3, "queueEntries": 0 });
        assert_eq!(found["totals"], totals);
        asked.insert(nodes[0]["id"].to_string());
    }
    assert_eq!(asked.len(), 2, "each names itself first");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_server_tells_of_all_servers() {
    two_tell_of_each_other(&Engine::postgres().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_server_tells_of_all_servers_by_redis() {
    two_tell_of_each_other(&Engine::redis()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_answer_is_listed_as_silent() {
    let database = Database::postgres().await;
    let shared = database.shared();
    let (server, admin) = server_on(database, &[]).await;
    let mute = Server::around_bus(shared, &[WITH_KEY], |bus| Lossy::around(bus, None)).await;
    server.client("ann").await.join("r").await;
    mute.client("bob").await.join("elsewhere").await;
    let found = until(&admin, "the mute server", |found| found["nodeCount"] == 2).await;
    let silent = &found["nodes"][1];
    assert_eq!(silent["isSilent"], true, "{found}");
    assert_eq!(silent["figures"], Value::Null);
    let begun = Instant::now();
    overview(&admin).await;
    assert!(begun.elapsed() < Duration::from_secs(4));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overview_of_long_names_fits_64_kb() {
    let database = Database::postgres().await;
    let shared = database.shared();
    let (first, admin) = server_on(database, &[FLOODED]).await;
    let second = Server::on(shared, &[WITH_KEY, FLOODED]).await;
    let servers = [&first, &second];
    join_all((0..60).map(async |number: usize| {
        let client = servers[number % 2].client(&format!("user {number}")).await;
        for copy in 0..2 {
            let name = format!("{number:02}{copy}{}", r#"\"""#.repeat(41));
            client.join(&name).await;
        }
    }))
    .await;
    let found = until(&admin, "the rooms", |found| {
        found["totals"]["members"] == 120 && found["rooms"].as_array().unwrap().len() == 50
    })
    .await;
    let bytes = found.to_string().len();
    assert!(bytes < 64 * 1024, "{bytes} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_at_once_share_an_overview() {
    let (_server, admin) = server_on(Database::sqlite(), &[]).await;
    let first = overview(&admin).await;
    let more = join_all((0..40).map(|_| overview(&admin))).await;
    let times: HashSet<_> = more.iter().map(|one| one["at"].to_string()).collect();
    assert!(times.len() <= 4, "{times:?} after {}", first["at"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overview_tells_that_the_database_is_away() {
    let mut gate = Gate::shut_at_first();
    let database = Database::postgres().await.through(&gate);
    gate.open();
    let (_server, admin) = server_on(database, &[]).await;
    until(&admin, "a database", |found| {
        found["database"]["isWell"] == true
    })
    .await;
    gate.shut().await;
    let found = until(&admin, "no database", |found| {
        found["database"]["isWell"] == false
    })
    .await;
    assert_eq!(found["nodes"][0]["isSilent"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overview_has_no_secret() {
    let hidden = [
        KEY,
        SECRET,
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "path-secret",
        "query-secret",
        "said in private",
        "eyJ",
    ];
    let flags = [
        &format!("--jwt-secret={SECRET}")[..],
        WITH_KEY,
        "--webhooks=https://receiver.invalid/path-secret?token=query-secret",
        "--webhook-secret=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    ];
    let database = Database::postgres().await;
    let password = database.url().to_owned();
    let server = Server::on(database, &flags).await;
    let admin = Backend::of(&server);
    admin.send("r", "ann", "said in private").await;
    let failed = |found: &Value| found["webhooks"][0]["lastError"].is_string();
    let found = until(&admin, "a webhook that failed", failed).await;
    let receiver = &found["webhooks"][0];
    assert_eq!(receiver["url"], "https://receiver.invalid");
    assert_eq!(receiver["isOff"], false);
    assert_eq!(
        (&receiver["rooms"], &receiver["events"]),
        (&json!(1), &json!(1))
    );
    let text = found.to_string();
    for secret in hidden.into_iter().chain([&password[..]]) {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}
