//! Whatever comes in whatever order, every client and the database agree.

use futures_util::future::join_all;
use proptest::{prelude::*, test_runner::Config};
use serde_json::{Value, json};

use super::{FLAGS, ROOM, users};
use crate::support::{Client, Database, Server};

/// A step of a client: the client, the kind, the call, the party.
type Act = (usize, u8, usize, usize);

/// The clients: three users, one of them with two tabs.
const USERS: [&str; 4] = ["ann", "bob", "bob", "cid"];

async fn act(client: &Client, (_, kind, call, party): Act) -> Value {
    let (call, party) = (format!("c{call}"), format!("p{party}"));
    let step = json!({ "roomId": ROOM, "callId": call, "partyId": party, "media": "audio" });
    match kind {
        0 => client.call("startCall", step).await,
        1 | 2 => client.call("joinCall", step).await,
        3 => client.call("rejectCall", step).await,
        4 => client.call("leaveCall", step).await,
        _ => {
            client.call("leaveRoom", json!({ "roomId": ROOM })).await;
            client.join(ROOM).await
        }
    }
}

/// Checks the call that an answer speaks of.
fn check(call: &Value) {
    if call.is_null() {
        return;
    }
    let mut names = users(call);
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count, "a user is in it once: {call}");
    match call["state"].as_str().unwrap() {
        "ringing" => assert_eq!(count, 1, "{call}"),
        "active" => assert!(count >= 1, "{call}"),
        _ => assert!(count == 0 && call["endedReason"].is_string(), "{call}"),
    }
}

/// Returns the call in the database.
async fn stored(database: &Database) -> Value {
    let store = database.store().await;
    let settings = store.rooms().settings(&ROOM.try_into().unwrap()).await;
    let call = settings.unwrap().and_then(|settings| settings.info.call);
    serde_json::to_value(call).unwrap()
}

/// Runs a case: all clients act at once, on two servers.
async fn agree(servers: &[Server; 2], acts: Vec<Act>) {
    let clients = USERS
        .iter()
        .enumerate()
        .map(async |(number, user)| Client::in_room(&servers[number % 2], user).await);
    let clients = join_all(clients).await;
    let acting = clients.iter().enumerate().map(async |(number, client)| {
        for act in acts.iter().filter(|(by, ..)| by % USERS.len() == number) {
            let answer = self::act(client, *act).await;
            check(&answer["call"]);
            check(&answer["error"]["current"]);
        }
    });
    join_all(acting).await;
    let last = stored(&servers[0].database).await;
    check(&last);
    let ended = last.is_null() || last["state"] == "ended";
    let (call, count) = match ended {
        // No case before has used it.
        true => (format!("last {}", fastrand::u64(..)), 1),
        false => (last["callId"].as_str().unwrap().to_owned(), 2),
    };
    let witness = Client::in_room(&servers[1], "witness").await;
    let told = match ended {
        true => witness.starts(&call, "witness").await,
        false => witness.answers(&call, "witness").await,
    };
    let told = &told["call"];
    assert!(users(told).len() >= count, "{told}");
    // This last change tells each client the state, as of the database.
    for client in &clients {
        let heard = client.call_until(|heard| users(heard).contains(&"witness"));
        assert_eq!(heard.await, *told);
    }
    for client in clients.iter().chain([&witness]) {
        client.ok("leaveRoom", json!({ "roomId": ROOM })).await;
    }
    let over = stored(&servers[0].database).await;
    assert_eq!(over["state"], "ended", "nobody is left: {over}");
}

#[test]
fn every_client_and_the_database_agree_on_the_call_after_whatever_steps() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let servers = runtime.block_on(async {
        let first = Server::on(Database::postgres().await, &FLAGS).await;
        let second = Server::on(first.database.shared(), &FLAGS).await;
        [first, second]
    });
    let act = (0..4_usize, 0..6_u8, 0..3_usize, 0..5_usize);
    let config = Config {
        cases: 24,
        failure_persistence: None,
        ..Config::default()
    };
    proptest!(config, |(acts in proptest::collection::vec(act, 1..60))| {
        runtime.block_on(agree(&servers, acts));
    });
}
