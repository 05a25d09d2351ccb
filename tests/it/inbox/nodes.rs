//! The inbox on several servers.

use serde_json::{Value, json};

use super::device::Device;
use crate::{
    nodes::engine::Engine,
    support::{Client, Server, eventually},
};

async fn two_servers(engine: &Engine) -> [Server; 2] {
    let database = engine.database().await;
    let flags = engine.flags(&[]);
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let shared = database.shared();
    [
        Server::on(database, &flags).await,
        Server::on(shared, &flags).await,
    ]
}

/// Waits for a packet that tells of a user's position.
async fn until_read(client: &Client, user: &str, seq: i64) {
    let expected = json!({ "userId": user, "seq": seq });
    loop {
        let told = client.next("read").await;
        if told["reads"].as_array().unwrap().contains(&expected) {
            return;
        }
    }
}

async fn marks_and_follows_are_heard_on_other_servers(engine: Engine) {
    let servers = two_servers(&engine).await;
    let (ann, bob) = (
        servers[0].client("ann").await,
        servers[1].client("bob").await,
    );
    let join = json!({ "roomId": "r", "lastRevision": 0 });
    for client in [&ann, &bob] {
        client.ok("joinRoom", join.clone()).await;
    }
    bob.send("r", "one").await;
    let laptop = servers[1].client("ann").await;
    laptop.ok("watchRooms", json!({ "on": true })).await;
    ann.ok("followRoom", json!({ "roomId": "r" })).await;
    let told = laptop.next("roomActivity").await;
    assert_eq!((&told["roomId"], &told["unread"]), (&json!("r"), &json!(1)));
    ann.ok("markRead", json!({ "roomId": "r", "seq": 1 })).await;
    until_read(&laptop, "ann", 1).await;
    until_read(&bob, "ann", 1).await;
    while laptop.next("roomActivity").await["unread"] != 0 {}
    bob.send("r", "two").await;
    while laptop.next("roomActivity").await["unread"] != 1 {}
    ann.ok("unfollowRoom", json!({ "roomId": "r" })).await;
    while laptop.next("roomActivity").await["followed"] != false {}
    let joined = laptop.ok("joinRoom", join).await;
    assert_eq!(joined["readSeq"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn marks_and_follows_are_heard_on_other_servers_by_postgres() {
    marks_and_follows_are_heard_on_other_servers(Engine::postgres().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn marks_and_follows_are_heard_on_other_servers_by_redis() {
    marks_and_follows_are_heard_on_other_servers(Engine::redis()).await;
}

/// The bus is away while everything changes; a device on the other server ends with the right list.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_right_again_after_the_bus_was_away() {
    let engine = Engine::postgres().await;
    let servers = two_servers(&engine).await;
    let mut laptop = Device::connect(servers[1].address(), "ann").await;
    let (phone, bob) = (
        servers[0].client("ann").await,
        servers[0].client("bob").await,
    );
    bob.join("r").await;
    bob.join("s").await;
    for number in 0..5 {
        for room in ["r", "s"] {
            bob.send(room, &number.to_string()).await;
            phone.ok("followRoom", json!({ "roomId": room })).await;
            engine.kill_listeners().await;
        }
        phone
            .ok("markRead", json!({ "roomId": "r", "seq": number + 1 }))
            .await;
    }
    phone.ok("unfollowRoom", json!({ "roomId": "s" })).await;
    let expected = Device::connect(servers[0].address(), "ann").await.rooms;
    assert_eq!(expected.keys().collect::<Vec<_>>(), ["r"]);
    assert_eq!(expected["r"]["unread"], 0);
    laptop.until(&expected).await;
}

/// The database is away while a mark waits.
#[tokio::test(flavor = "multi_thread")]
async fn a_mark_waits_for_the_database_and_a_join_does_not() {
    let engine = Engine::postgres().await;
    let [server, _other] = two_servers(&engine).await;
    let (ann, bob) = (server.client("ann").await, server.client("bob").await);
    ann.join("r").await;
    ann.send("r", "one").await;
    let blocked = blocked(&server).await;
    let marking = async { bob.ok("markRead", json!({ "roomId": "r", "seq": 1 })).await };
    let joining = async {
        let joined = bob
            .ok("joinRoom", json!({ "roomId": "r", "lastRevision": 0 }))
            .await;
        assert_eq!(
            joined.get("readSeq"),
            None::<&Value>,
            "the position is not known"
        );
        drop(blocked);
    };
    let (marked, ()) = tokio::join!(marking, joining);
    assert_eq!(marked["readSeq"], 1);
    eventually("the position", async || {
        let joined = bob
            .ok("joinRoom", json!({ "roomId": "r", "lastRevision": 0 }))
            .await;
        joined["readSeq"] == 1
    })
    .await;
}

/// Locks the memberships until the connection is dropped.
async fn blocked(server: &Server) -> sqlx::PgConnection {
    use sqlx::Connection;
    let mut connection = sqlx::PgConnection::connect(server.database.url())
        .await
        .unwrap();
    let lock = "BEGIN; LOCK TABLE memberships IN ACCESS EXCLUSIVE MODE";
    sqlx::raw_sql(lock).execute(&mut connection).await.unwrap();
    connection
}
