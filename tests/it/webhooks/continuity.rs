//! The places of receivers, over restarts and by hand.

use chrono::{SecondsFormat, TimeDelta, Utc};
use serde_json::json;

use super::{Receiver, parlor_webhooks, server, status, texts};
use crate::support::{
    Database, FLOODED, Process, Server, conformance,
    log::{append, append_old},
    within_deadline,
};

conformance!(
    a_new_receiver_hears_of_what_is_new,
    a_restarted_server_goes_on_where_it_stopped,
    a_receiver_taken_away_and_put_back_gets_what_it_missed,
    past_events_are_sent_again_from_a_time_on,
    what_is_not_there_any_more_is_passed_over,
    a_change_follows_its_message_however_many_are_before_it,
);

async fn a_new_receiver_hears_of_what_is_new(database: Database) {
    append(&database, "r", "ann", &["old", "older"]).await;
    let receiver = Receiver::start().await;
    let server = server(database, &[&receiver], &[]).await;
    let ann = server.client("ann").await;
    ann.join("r").await;
    ann.ok(
        "editMessage",
        json!({ "roomId": "r", "seq": 1, "message": "edited" }),
    )
    .await;
    let taken = receiver.until_taken(1).await;
    assert_eq!(taken[0].1["type"], "message.changed");
    ann.send("r", "new").await;
    let taken = receiver.until_taken(2).await;
    assert_eq!(texts(&taken[1..]), ["new"]);
}

async fn a_restarted_server_goes_on_where_it_stopped(database: Database) {
    let receiver = Receiver::start().await;
    let first = server(database, &[&receiver], &[]).await;
    let ann = first.client("ann").await;
    ann.join("r").await;
    ann.send("r", "one").await;
    receiver.until_taken(1).await;
    let (database, ended) = first.stop().await;
    ended.unwrap();
    append(&database, "r", "ann", &["two", "three"]).await;
    append(&database, "s", "ann", &["four"]).await;
    let second = server(database, &[&receiver], &[]).await;
    let mut taken = receiver.until_taken(4).await;
    taken.sort_by_key(|(_, event)| event["data"]["roomId"].to_string());
    assert_eq!(texts(&taken), ["one", "two", "three", "four"]);
    let (database, _) = second.stop().await;
    let status = status(&database).await;
    assert_eq!((status.rooms, status.events, status.oldest), (0, 0, None));
    assert!(status.results.succeeded.is_some());
    assert_eq!(receiver.requests().len(), 4);
}

async fn a_receiver_taken_away_and_put_back_gets_what_it_missed(database: Database) {
    let (kept, moved) = (Receiver::start().await, Receiver::start().await);
    let (database, _) = server(database, &[&moved], &[]).await.stop().await;
    let without = server(database, &[&kept], &[]).await;
    let ann = without.client("ann").await;
    ann.join("r").await;
    ann.send("r", "missed").await;
    kept.until_taken(1).await;
    let (database, _) = without.stop().await;
    let _back = server(database, &[&moved, &kept], &[]).await;
    assert_eq!(texts(&moved.until_taken(1).await), ["missed"]);
    assert_eq!(kept.requests().len(), 1);
}

async fn past_events_are_sent_again_from_a_time_on(database: Database) {
    let receiver = Receiver::start().await;
    let server = server(database, &[&receiver], &[]).await;
    let old = (1..=6)
        .rev()
        .map(|hours| (hours * 60, "ann", hours.to_string()));
    append_old(&server.database, "r", old).await;
    append_old(&server.database, "s", [(90, "ann", "other".to_owned())]).await;
    let ann = server.client("ann").await;
    for room in ["r", "s"] {
        ann.join(room).await;
        ann.send(room, "now").await;
    }
    ann.ok(
        "setReaction",
        json!({ "roomId": "r", "seq": 1, "reaction": "+1", "on": true }),
    )
    .await;
    let before = receiver.until_taken(10).await.len();
    let from = Utc::now() - TimeDelta::minutes(150);
    let from = from.to_rfc3339_opts(SecondsFormat::Secs, true);
    let replay = ["--replay-from", &from, "--endpoint", &receiver.url()];
    parlor_webhooks(&server.database, &replay).await;
    let taken = receiver.until_taken(before + 6).await;
    let mut again = taken[before..].to_vec();
    again.sort_by_key(|(_, event)| event["data"]["roomId"].to_string());
    assert_eq!(again[3].1["type"], "message.changed");
    again.remove(3);
    assert_eq!(texts(&again), ["2", "1", "now", "other", "now"]);
    for (id, event) in &taken[before..] {
        assert!(
            taken[..before]
                .iter()
                .any(|(known, first)| known == id && first["data"] == event["data"])
        );
    }
    let (database, _) = server.stop().await;
    assert_eq!(receiver.requests().len(), before + 6);
    assert_eq!(status(&database).await.events, 0);
}

async fn a_change_follows_its_message_however_many_are_before_it(database: Database) {
    const MESSAGES: i64 = 120;
    let receiver = Receiver::start().await;
    let (database, _) = server(database, &[&receiver], &[]).await.stop().await;
    let others = Server::on(database, &[FLOODED]).await;
    let ann = others.client("ann").await;
    ann.join("r").await;
    for number in 1..=MESSAGES {
        ann.send("r", "first").await;
        if number % 60 == 0 {
            let edit = json!({ "roomId": "r", "seq": number, "message": "second" });
            ann.ok("editMessage", edit).await;
        }
    }
    let (database, _) = others.stop().await;
    let _server = server(database, &[&receiver], &[]).await;
    let taken = receiver.until_taken(122).await;
    let mut created = 0;
    for (_, event) in &taken {
        let data = &event["data"];
        if event["type"] == "message.created" {
            created += 1;
            assert_eq!(data["seq"], created);
        } else {
            let seq = data["message"]["seq"].as_i64().unwrap();
            assert!(seq <= created, "{seq} after {created}");
        }
    }
    assert_eq!(created, MESSAGES);
}

/// Messages that are too old are removed, and others deleted, before they are delivered.
async fn what_is_not_there_any_more_is_passed_over(database: Database) {
    let receiver = Receiver::start().await;
    let (database, _) = server(database, &[&receiver], &[]).await.stop().await;
    append(&database, "r", "ann", &["one", "two", "three"]).await;
    append(&database, "gone", "ann", &["one"]).await;
    database
        .execute("DELETE FROM messages WHERE room_id = 'gone' OR seq = 2")
        .await;
    let server = server(database, &[&receiver], &[]).await;
    assert_eq!(texts(&receiver.until_taken(2).await), ["one", "three"]);
    let (database, _) = server.stop().await;
    let status = status(&database).await;
    assert_eq!((status.rooms, status.events), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_receiver_is_not_enabled() {
    let database = Database::sqlite();
    let (database, _) = Server::on(database, &[]).await.stop().await;
    for (url, part) in [
        ("https://a.example", "no server has ever sent"),
        ("nonsense", "is no URL"),
    ] {
        let mut command = Process::command();
        command
            .env("DATABASE_URL", database.url())
            .args(["webhooks", "--enable", url]);
        let output = within_deadline("the end", command.output()).await.unwrap();
        let line = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && line.contains(part), "{line}");
        assert_eq!(line.lines().count(), 1, "{line}");
    }
}
