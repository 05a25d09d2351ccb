//! Exports, erasure, and the end of old messages.

use chrono::{TimeDelta, Utc};
use parlor::{
    model::{RoomId, Seq},
    store::{Keep, Page},
};
use serde_json::{Value, json};

use crate::support::{
    Client, Database, Process, Server, conformance, log::append_old, within_deadline,
};

const DAY: i64 = 24 * 60;

conformance!(
    old_messages_are_removed_in_order_and_nothing_else,
    the_end_of_a_room_leaves_its_numbers,
);

fn room(name: &str) -> RoomId {
    name.try_into().unwrap()
}

/// Returns messages of these ages in days, oldest first.
fn aged(days: impl IntoIterator<Item = i64>) -> impl Iterator<Item = (i64, &'static str, String)> {
    days.into_iter()
        .map(|days| (days * DAY, "ann", format!("{days} days old")))
}

async fn old_messages_are_removed_in_order_and_nothing_else(database: Database) {
    append_old(&database, "a", aged((0..25).rev())).await;
    append_old(&database, "b", aged([40, 30, 20])).await;
    append_old(&database, "c", aged([3, 2, 1])).await;
    let store = database.store().await;
    let archive = store.archive().unwrap();
    let rooms = archive.rooms(None, 10).await.unwrap();
    assert_eq!(rooms, ["a", "b", "c"].map(room));
    assert_eq!(
        archive.rooms(Some(&rooms[0]), 1).await.unwrap(),
        [room("b")]
    );
    let before = Utc::now() - TimeDelta::days(10) - TimeDelta::hours(1);
    let mut removed = vec![];
    while removed.last() != Some(&0) {
        removed.push(archive.expire(&rooms, before, 4).await.unwrap());
    }
    assert_eq!(removed.iter().sum::<usize>(), 14 + 3, "{removed:?}");
    assert!(removed.iter().all(|count| *count <= 4), "{removed:?}");
    let oldest = archive.oldest(&rooms).await.unwrap();
    let seq = |number: i64| Seq::try_from(number).unwrap();
    assert_eq!(oldest, [(room("a"), seq(15)), (room("c"), seq(1))].into());
}

async fn the_end_of_a_room_leaves_its_numbers(database: Database) {
    append_old(&database, "r", aged([30, 20])).await;
    let server = Server::on(database, &["--retention-days=10"]).await;
    let (ann, bob) = (server.client("ann").await, server.client("bob").await);
    let joined = loop {
        let joined = ann.join("r").await;
        if joined["messages"] == json!([]) {
            break joined;
        }
        ann.ok("leaveRoom", json!({ "roomId": "r" })).await;
    };
    assert_eq!(joined["hasMore"], false);
    // One who has been there before comes back.
    let back = bob
        .ok(
            "joinRoom",
            json!({ "roomId": "r", "lastSeq": 2, "lastRevision": 0 }),
        )
        .await;
    assert_eq!(
        (&back["messages"], &back["hasMore"]),
        (&json!([]), &json!(false))
    );
    assert_eq!(ann.send("r", "hello").await["seq"], 3);
    for client in [&ann, &bob] {
        assert_eq!(client.next("newMessage").await["seq"], 3);
    }
    let page = bob
        .ok("getHistory", json!({ "roomId": "r", "beforeSeq": 3 }))
        .await;
    assert_eq!(
        (&page["messages"], &page["hasMore"]),
        (&json!([]), &json!(false))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_removes_what_is_too_old_with_reactions_and_replies() {
    for database in Database::each_kind().await {
        append_old(&database, "r", aged([30, 20, 5, 0])).await;
        let server = Server::on(database.shared(), &[]).await;
        let ann = server.client("ann").await;
        ann.join("r").await;
        for seq in 1..=4 {
            let react = json!({ "roomId": "r", "seq": seq, "reaction": "x", "on": true });
            ann.ok("setReaction", react).await;
        }
        server.stop().await.1.unwrap();
        let server = Server::on(database.shared(), &["--retention-days=10"]).await;
        let store = database.store().await;
        let all = Page {
            after: Seq::ZERO,
            before: Seq::END,
            limit: 10,
            keep: Keep::Oldest,
        };
        let left = async || store.read(&room("r"), all).await.unwrap();
        crate::support::eventually("the end of old messages", async || left().await.len() == 2)
            .await;
        let seqs: Vec<_> = left()
            .await
            .iter()
            .map(|message| message.seq.get())
            .collect();
        assert_eq!(seqs, [3, 4]);
        let (ann, r) = ("ann".try_into().unwrap(), room("r"));
        let reacted = store.archive().unwrap().reacted(&ann, &r, 10).await;
        assert_eq!(reacted.unwrap().len(), 2);
        let ann = server.client("ann").await;
        let joined = ann.join("r").await;
        assert_eq!(joined["messages"].as_array().unwrap().len(), 2);
        let page = ann
            .ok("getHistory", json!({ "roomId": "r", "beforeSeq": 3 }))
            .await;
        assert_eq!(
            (&page["messages"], &page["hasMore"]),
            (&json!([]), &json!(false))
        );
        let changes = ann
            .ok("getChanges", json!({ "roomId": "r", "afterRevision": 0 }))
            .await;
        assert_eq!(changes["changes"].as_array().unwrap().len(), 2);
    }
}

/// Runs a command of the program, and returns its output.
async fn parlor(database: &Database, arguments: &[&str]) -> String {
    let mut command = Process::command();
    command.env("DATABASE_URL", database.url()).args(arguments);
    let output = within_deadline("the command", command.output())
        .await
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    assert!(output.status.success(), "{}", text(output.stderr));
    text(output.stdout)
}

async fn export(database: &Database, what: &[&str]) -> Vec<Value> {
    let lines = parlor(database, &[&["export"], what].concat()).await;
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Lets two users talk, react and read.
async fn talk(ann: &Client, bob: &Client) {
    for room in ["r", "s"] {
        ann.join(room).await;
        bob.join(room).await;
        ann.send(room, "a secret of ann").await;
        bob.send(room, "a word of bob").await;
        let react = json!({ "roomId": room, "seq": 2, "reaction": "👍", "on": true });
        ann.ok("setReaction", react.clone()).await;
        bob.ok("setReaction", react).await;
        for client in [ann, bob] {
            client
                .ok("markRead", json!({ "roomId": room, "seq": 2 }))
                .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_has_all_of_a_room_or_of_a_user() {
    for server in Server::on_each_kind().await {
        let (ann, bob) = (server.client("ann").await, server.client("bob").await);
        talk(&ann, &bob).await;
        let history = ann.ok("getHistory", json!({ "roomId": "r" })).await;
        let of_room = export(&server.database, &["--room", "r"]).await;
        let messages: Vec<_> = of_room
            .iter()
            .filter_map(|line| line.get("message"))
            .collect();
        assert_eq!(json!(messages), history["messages"]);
        let members = of_room.iter().filter_map(|line| line.get("membership"));
        let members: Vec<_> = members
            .map(|one| (&one["userId"], &one["readSeq"]))
            .collect();
        assert_eq!(
            members,
            [(&json!("ann"), &json!(2)), (&json!("bob"), &json!(2))]
        );
        let of_ann = export(&server.database, &["--user", "ann"]).await;
        let of = |kind: &str| {
            of_ann
                .iter()
                .filter_map(|line| line.get(kind).cloned())
                .collect::<Vec<_>>()
        };
        assert_eq!(of("message").len(), 2);
        assert!(
            of("message")
                .iter()
                .all(|message| message["userId"] == "ann")
        );
        let reaction =
            |room| json!({ "roomId": room, "seq": 2, "userId": "ann", "reaction": "👍" });
        assert_eq!(of("reaction"), [reaction("r"), reaction("s")]);
        assert_eq!(of("membership").len(), 2);
        assert_eq!(of_ann.len(), 6);
        assert_eq!(
            export(&server.database, &["--user", "nobody"]).await,
            [] as [Value; 0]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_user_leaves_nothing_that_was_said_and_everybody_sees_that() {
    let server = Server::on(Database::postgres().await, &[]).await;
    let (ann, bob) = (server.client("ann").await, server.client("bob").await);
    talk(&ann, &bob).await;
    bob.received().await;
    let said = parlor(&server.database, &["erase", "--user", "ann"]).await;
    assert_eq!(
        said,
        "erased 2 messages, 2 reactions and 2 memberships of \"ann\"\n"
    );
    // The running server finds it by itself.
    let mut deleted = vec![];
    while deleted.len() < 2 {
        let told = bob.next("messageChanged").await;
        if told["message"]["userId"] == "ann" {
            assert_eq!(told["message"]["message"], "");
            deleted.push(told["roomId"].clone());
        }
    }
    for room in ["r", "s"] {
        let page = bob.ok("getHistory", json!({ "roomId": room })).await;
        assert_eq!(page["messages"][1]["message"], "a word of bob");
        assert_eq!(
            page["messages"][1]["reactions"],
            json!([{ "reaction": "👍", "count": 1, "userIds": ["bob"] }])
        );
    }
    let left = export(&server.database, &["--user", "ann"]).await;
    let texts: Vec<_> = left
        .iter()
        .map(|line| &line["message"]["message"])
        .collect();
    assert_eq!(
        texts,
        [&json!(""), &json!("")],
        "the places of the messages"
    );
    let again = parlor(&server.database, &["erase", "--user", "ann"]).await;
    assert_eq!(
        again,
        "erased 0 messages, 0 reactions and 0 memberships of \"ann\"\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_user_is_gone_from_a_file_too() {
    let server = Server::on(Database::sqlite(), &[]).await;
    let (ann, bob) = (server.client("ann").await, server.client("bob").await);
    talk(&ann, &bob).await;
    let (database, stopped) = server.stop().await;
    stopped.unwrap();
    parlor(&database, &["erase", "--user", "ann"]).await;
    let server = Server::on(database, &[]).await;
    let joined = server.client("bob").await.join("r").await;
    let texts = joined["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| &message["message"]);
    assert_eq!(
        texts.collect::<Vec<_>>(),
        [&json!(""), &json!("a word of bob")]
    );
}
