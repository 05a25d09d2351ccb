//! Messages between servers.

use std::time::Duration;

use futures_util::future::join_all;
use parlor::testing::{bus::SILENCE, room::SWEEP_INTERVAL};
use serde_json::json;
use sqlx::{
    PgConnection,
    postgres::{PgListener, PgPool},
};
use tokio::time::{sleep, timeout};

use super::{connect, kill_listeners, member, readiness, send, servers, until_well};
use crate::support::{Database, RawClient, gate::Gate, pgbouncer::PgBouncer};

const SERVERS: usize = 3;
const ROOMS: usize = 4;
const SENDS: usize = 60;
/// The messages of a room: each of its members, one a server, sends as many.
const IN_ROOM: usize = SERVERS * SENDS;

/// The pause after each message of a member, so that disturbances meet many.
pub const PACE: Duration = Duration::from_millis(25);

/// Sends a member's messages, and checks that it gets all of its room, each once and in order.
async fn talk(mut client: RawClient, room: &str, pace: Duration) {
    for number in 0..SENDS {
        let message = json!({ "roomId": room, "message": number.to_string() });
        client.emit("sendMessage", &message).await;
        if !pace.is_zero() {
            client.flush().await;
            sleep(pace).await;
        }
    }
    client.flush().await;
    for expected in 1..=IN_ROOM {
        assert_eq!(client.next("newMessage").await["seq"], expected, "{room}");
    }
}

async fn stored(connection: &mut PgConnection) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM messages")
        .fetch_one(connection)
        .await
        .unwrap()
}

/// Lets a member in each room on each server talk while `disturb` runs.
pub async fn everybody_gets_everything(
    flags: &[&str],
    pace: Duration,
    mut disturb: impl AsyncFnMut(&mut PgConnection),
) {
    let servers = servers(Database::postgres().await, SERVERS, flags).await;
    let mut admin = connect(&servers[0].database).await;
    let mut talks = vec![];
    for room in 0..ROOMS {
        for (number, server) in servers.iter().enumerate() {
            let room = room.to_string();
            let client = member(server, &format!("{number} in {room}"), &room).await;
            talks.push(async move { talk(client, &room, pace).await });
        }
    }
    let disturbing = async {
        loop {
            disturb(&mut admin).await;
        }
    };
    tokio::select! {
        _ = join_all(talks) => {}
        () = disturbing => {}
    }
    let expected = i64::try_from(ROOMS * IN_ROOM).unwrap();
    assert_eq!(
        stored(&mut connect(&servers[0].database).await).await,
        expected
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_member_on_any_server_gets_every_message_once_and_in_order() {
    everybody_gets_everything(&[], Duration::ZERO, async |_| std::future::pending().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_while_listeners_are_killed() {
    let kill = async |admin: &mut PgConnection| {
        kill_listeners(admin).await;
        sleep(Duration::from_millis(100)).await;
    };
    everybody_gets_everything(&[], PACE, kill).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_arrive_while_the_bus_is_away_and_after_it_has_come_back() {
    let mut gate = Gate::shut_at_first();
    let database = Database::postgres().await;
    let notify = format!("--database-notify-url={}", gate.url(database.url()));
    let servers = servers(database, 2, &[&notify]).await;
    assert_eq!(readiness(&servers[0]).await, "ready\nbus: degraded\n");
    let mut ann = member(&servers[0], "ann", "r").await;
    let mut bob = member(&servers[1], "bob", "r").await;
    talk_in_turn(&mut ann, &mut bob, 0).await;
    gate.open();
    until_well(&servers[0]).await;
    until_well(&servers[1]).await;
    talk_in_turn(&mut ann, &mut bob, 2).await;
    gate.shut().await;
    talk_in_turn(&mut ann, &mut bob, 4).await;
}

/// Sends a message of each member to the room `r` after `seq`, and waits until both have it.
pub async fn talk_in_turn(ann: &mut RawClient, bob: &mut RawClient, seq: usize) {
    for (seq, sender) in [(seq + 1, 0), (seq + 2, 1)] {
        let members = [&mut *ann, &mut *bob];
        let message = json!({ "roomId": "r", "message": seq.to_string() });
        members[sender].emit("sendMessage", &message).await;
        members[sender].flush().await;
        for member in members {
            assert_eq!(member.next("newMessage").await["seq"], seq);
        }
    }
}

/// The pooler would take `LISTEN`, and deliver the notifications to other clients.
#[tokio::test(flavor = "multi_thread")]
async fn behind_a_transaction_pooler_messages_arrive_by_the_sweep_or_by_a_url_around_it() {
    let pooler = PgBouncer::start("transaction", "default_pool_size = 5");
    let database = Database::postgres().await;
    let around = format!("--database-notify-url={}", database.url());
    for flags in [vec![], vec![around.as_str()]] {
        let servers = servers(database.shared().behind(&pooler), 2, &flags).await;
        if flags.is_empty() {
            assert_eq!(readiness(&servers[0]).await, "ready\nbus: degraded\n");
        } else {
            until_well(&servers[1]).await;
        }
        let mut ann = member(&servers[0], "ann", "r").await;
        let mut bob = member(&servers[1], "bob", "r").await;
        for _ in 0..3 {
            send(&mut ann, "r", "hello").await;
            assert_eq!(bob.next("newMessage").await["message"], "hello");
        }
        if flags.is_empty() {
            assert_eq!(count_listeners(&mut connect(&database).await).await, 0);
        }
    }
}

async fn count_listeners(connection: &mut PgConnection) -> i64 {
    let count = "SELECT count(*) FROM pg_stat_activity \
                 WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    sqlx::query_scalar(count)
        .fetch_one(connection)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_servers_notify_nothing_and_write_nothing() {
    let servers = servers(Database::postgres().await, 2, &[]).await;
    let mut ann = member(&servers[0], "ann", "r").await;
    let mut bob = member(&servers[1], "bob", "r").await;
    for server in &servers {
        until_well(server).await;
    }
    send(&mut ann, "r", "hello").await;
    bob.next("newMessage").await;
    let pool = PgPool::connect(servers[0].database.url()).await.unwrap();
    let mut listener = PgListener::connect_with(&pool).await.unwrap();
    listener.listen("parlor").await.unwrap();
    // Each write to a row gives it another `xmin`.
    let written = async || -> i64 {
        let all = "SELECT (SELECT count(*) FROM messages) + \
                   (SELECT sum(xmin::text::bigint)::bigint FROM rooms) + \
                   (SELECT sum(xmin::text::bigint)::bigint FROM servers) + \
                   (SELECT sum(xmin::text::bigint)::bigint FROM rosters)";
        sqlx::query_scalar(all).fetch_one(&pool).await.unwrap()
    };
    // Notifications of the last message may still come.
    while timeout(Duration::from_secs(1), listener.recv())
        .await
        .is_ok()
    {}
    let before = written().await;
    let idle = timeout(SILENCE.max(SWEEP_INTERVAL) + SILENCE / 5, listener.recv()).await;
    assert!(idle.is_err(), "{idle:?}");
    assert_eq!(written().await, before);
    send(&mut ann, "r", "hello").await;
    timeout(Duration::from_secs(10), listener.recv())
        .await
        .expect("a notification of a message")
        .unwrap();
}

/// A restore takes the newest messages away, and nobody writes afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_goes_back_is_noticed_on_all_servers() {
    let servers = servers(Database::postgres().await, 2, &[]).await;
    let mut ann = member(&servers[0], "ann", "r").await;
    let mut bob = member(&servers[1], "bob", "r").await;
    for text in ["1", "2", "lost"] {
        send(&mut ann, "r", text).await;
        bob.next("newMessage").await;
    }
    for restore in [
        "DELETE FROM messages WHERE seq > 2",
        "UPDATE rooms SET last_seq = 2",
    ] {
        servers[0].database.execute(restore).await;
    }
    for client in [&mut ann, &mut bob] {
        let told = client.next("history").await;
        assert_eq!(
            (&told["reset"], &told["lastSeq"]),
            (&json!(true), &json!(2))
        );
    }
    send(&mut bob, "r", "3").await;
    assert_eq!(ann.next("newMessage").await["seq"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn typing_is_seen_on_other_servers_by_all_but_the_typist() {
    typing_passes(&[]).await;
}

/// Checks that typing passes between servers with some settings.
pub async fn typing_passes(flags: &[&str]) {
    let servers = servers(Database::postgres().await, 2, flags).await;
    for server in &servers {
        until_well(server).await;
    }
    let mut ann = member(&servers[0], "ann", "r").await;
    let mut tab = member(&servers[1], "ann", "r").await;
    let mut bob = member(&servers[1], "bob", "r").await;
    for is_typing in [true, false] {
        let typing = json!({ "roomId": "r", "isTyping": is_typing });
        assert_eq!(ann.call("typing", typing.clone()).await["status"], "ok");
        let seen = bob.next("typing").await;
        assert_eq!(
            seen,
            json!({ "roomId": "r", "userId": "ann", "isTyping": is_typing })
        );
    }
    // Ann's other tab would have seen hers before bob's.
    let typing = json!({ "roomId": "r", "isTyping": true });
    bob.call("typing", typing).await;
    assert_eq!(tab.next("typing").await["userId"], "bob");
    assert_eq!(ann.next("typing").await["userId"], "bob");
}
