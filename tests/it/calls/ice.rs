//! The servers of calls, for their parties, and the way to a LiveKit server.

use serde_json::{Value, json};

use super::{ROOM, code};
use crate::support::{Client, Database, Server};

/// The requests of a user in a minute.
const REQUESTS: usize = 10;

const TURN: [&str; 3] = [
    "--stun-urls=stun:stun.example",
    "--turn-urls=turn:turn.example",
    "--turn-secret=the-secret-of-the-tests",
];

async fn ice_servers(client: &Client, call: &str) -> Value {
    let ask = json!({ "roomId": ROOM, "callId": call });
    client.call("getIceServers", ask).await
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_party_is_told_the_servers_and_of_its_own_call() {
    for database in Database::each_kind().await {
        let server = Server::on(database, &TURN).await;
        let ann = Client::in_room(&server, "ann").await;
        let bob = Client::in_room(&server, "bob").await;
        let outside = server.client("eve").await;
        outside.join("elsewhere").await;
        assert_eq!(code(&ice_servers(&outside, "c1").await), "NOT_IN_ROOM");
        assert_eq!(code(&ice_servers(&ann, "c1").await), "FORBIDDEN");
        ann.starts("c1", "ann").await;
        let told = ice_servers(&ann, "c1").await;
        assert_eq!(
            told["iceServers"][0],
            json!({ "urls": ["stun:stun.example"] })
        );
        let turn = &told["iceServers"][1];
        assert_eq!(turn["urls"], json!(["turn:turn.example"]));
        assert!(turn["username"].is_string() && turn["credential"].is_string());
        assert!(told["expiresAt"].is_string(), "{told}");
        assert_eq!(code(&ice_servers(&ann, "c2").await), "FORBIDDEN");
        assert_eq!(
            code(&ice_servers(&bob, "c1").await),
            "FORBIDDEN",
            "it rings"
        );
        bob.answers("c1", "bob").await;
        assert_eq!(code(&ice_servers(&bob, "c1").await), "ok");
        bob.hangs_up("c1", "bob").await;
        assert_eq!(code(&ice_servers(&bob, "c1").await), "FORBIDDEN");
        ann.ok("leaveRoom", json!({ "roomId": ROOM })).await;
        assert_eq!(code(&ice_servers(&ann, "c1").await), "NOT_IN_ROOM");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_asks_ten_times_a_minute_and_without_servers_gets_none() {
    let server = Server::start().await;
    let ann = Client::in_room(&server, "ann").await;
    let other = Client::in_room(&server, "ann").await;
    ann.starts("c1", "ann").await;
    for _ in 0..REQUESTS {
        let told = ice_servers(&other, "c1").await;
        assert_eq!(code(&told), "FORBIDDEN", "the other tab is no party");
    }
    for _ in 0..REQUESTS {
        let told = ice_servers(&ann, "c1").await;
        assert_eq!(told, json!({ "status": "ok", "iceServers": [] }));
    }
    let refused = ice_servers(&ann, "c1").await;
    assert_eq!(code(&refused), "RATE_LIMITED");
    let wait = refused["error"]["retryAfterMs"].as_u64().unwrap();
    assert!((1_000..=6_000).contains(&wait), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn parties_are_told_the_way_to_a_livekit_server_and_nobody_else_is() {
    let flags = [
        "--livekit-url=wss://livekit.example",
        "--livekit-api-key=key",
        "--livekit-api-secret=a secret of more than 32 bytes, for tests",
        "--call-max-parties=50",
    ];
    let server = Server::on(Database::sqlite(), &flags).await;
    let ann = Client::in_room(&server, "ann").await;
    let bob = Client::in_room(&server, "bob").await;
    let started = ann.starts("c1", "party a").await;
    assert_eq!(started["livekit"]["url"], "wss://livekit.example");
    let joined = bob.answers("c1", "party b").await;
    let claims = |answer: &Value| {
        let token = answer["livekit"]["token"].as_str().unwrap();
        jsonwebtoken::dangerous::insecure_decode::<Value>(token)
            .unwrap()
            .claims
    };
    let (ours, theirs) = (claims(&started), claims(&joined));
    assert_eq!(
        (&ours["sub"], &ours["name"]),
        (&json!("party a"), &json!("ann"))
    );
    assert_eq!(
        (&theirs["sub"], &theirs["name"]),
        (&json!("party b"), &json!("bob"))
    );
    assert_eq!(ours["video"]["room"], theirs["video"]["room"]);
    let other = Client::in_room(&server, "bob").await;
    let late = other.answers("c1", "party c").await;
    assert_eq!(code(&late), "CONFLICT");
    assert!(!late.to_string().contains("token"), "{late}");
}
