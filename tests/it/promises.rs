//! The promises about messages: order, no gap, no double; with real clients, shown by counts.

use std::{collections::HashSet, net::SocketAddr, sync::Arc};

use futures_util::future::join_all;
use parlor::{
    model::Seq,
    store::{Keep, Page},
};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::support::{Database, FLOODED, Process, RawClient, Server, raw::Packet, within_deadline};

fn seq(message: &Value) -> i64 {
    message["seq"].as_i64().unwrap()
}

fn seqs(answer: &Value) -> Vec<i64> {
    answer["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(seq)
        .collect()
}

async fn join(client: &mut RawClient, room: &str) -> Value {
    let answer = client.call("joinRoom", json!({ "roomId": room })).await;
    assert_eq!(answer["status"], "ok", "{answer}");
    answer
}

/// Sends `count` messages to a room without waiting for acks, in windows that fit into every queue.
async fn pipeline(client: &mut RawClient, room: &str, count: usize) {
    const WINDOW: usize = 1000;
    let mut acked = 0;
    for sent in 0..count {
        client
            .emit(
                "sendMessage",
                &json!({ "roomId": room, "message": sent.to_string() }),
            )
            .await;
        if (sent + 1) % WINDOW == 0 || sent + 1 == count {
            client.flush().await;
            while acked <= sent {
                acked += usize::from(is_ok_ack(client.packet().await));
            }
        }
    }
}

fn is_ok_ack(packet: Packet) -> bool {
    match packet {
        Packet::Ack(_, answer) => {
            assert_eq!(answer["status"], "ok", "{answer}");
            true
        }
        Packet::Event(..) => false,
        Packet::Other(frame) => panic!("{frame:?}"),
    }
}

/// Returns the live messages up to the one numbered `last`.
async fn live_until(client: &mut RawClient, last: i64) -> Vec<i64> {
    let mut got = Vec::new();
    while got.last() != Some(&last) {
        match client.packet().await {
            Packet::Event(name, message) if name == "newMessage" => got.push(seq(&message)),
            Packet::Other(frame) => panic!("{frame:?}"),
            _ => {}
        }
    }
    got
}

async fn log(database: &Database, room: &str) -> Vec<parlor::model::Message> {
    let page = Page {
        after: Seq::ZERO,
        before: Seq::END,
        limit: 1_000_000,
        keep: Keep::Oldest,
    };
    database
        .store()
        .await
        .read(&room.try_into().unwrap(), page)
        .await
        .unwrap()
}

/// Asserts that the room's log has `expected` messages, without a gap and without a double.
async fn assert_whole(database: &Database, room: &str, expected: usize) {
    let messages = log(database, room).await;
    assert!(
        messages
            .iter()
            .map(|message| message.seq.get())
            .eq(1..=expected as i64)
    );
    let ids: HashSet<_> = messages.iter().map(|message| message.id).collect();
    assert_eq!(ids.len(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_sends_are_stored_in_the_order_sent() {
    const SENDS: usize = 1000;
    for server in Server::on_each_kind_with(&[FLOODED]).await {
        let mut ann = server.raw("ann").await;
        let joined = ann.emit("joinRoom", &json!({ "roomId": "r" })).await;
        for sent in 0..SENDS {
            ann.emit(
                "sendMessage",
                &json!({ "roomId": "r", "message": sent.to_string() }),
            )
            .await;
        }
        ann.flush().await;
        let mut answers = 0;
        while answers <= SENDS {
            answers += usize::from(is_ok_ack(ann.packet().await));
        }
        assert_eq!(
            joined, 0,
            "the join was sent first, and nobody waited for it either"
        );
        let texts = log(&server.database, "r").await;
        let texts = texts.iter().map(|message| message.body.as_str().to_owned());
        assert!(texts.eq((0..SENDS).map(|sent| sent.to_string())));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn joiners_under_fire_get_history_then_live_messages_without_gap_or_double() {
    const SENDERS: usize = 4;
    const EACH: usize = 1500;
    const JOINERS: usize = 20;
    /// Rounds of fire before the first joiner, and beyond the last one.
    const LEAD: usize = 3;
    const LAST: i64 = (SENDERS * EACH) as i64;
    for server in Server::on_each_kind_with(&[FLOODED]).await {
        let (address, joined) = (server.address(), Arc::new(Semaphore::new(LEAD * SENDERS)));
        let senders = (0..SENDERS)
            .map(|_| tokio::spawn(fire(address, JOINERS, EACH / JOINERS, joined.clone())));
        let joiners = (0..JOINERS).map(|number| {
            let (after, joined) = ((number * SENDERS * EACH / JOINERS) as i64, joined.clone());
            tokio::spawn(async move {
                let mut joiner = join_under_fire(address, after).await;
                joined.add_permits(SENDERS);
                joiner.assert_live_until(LAST).await;
                joiner.newest
            })
        });
        let (senders, joiners) = (senders.collect::<Vec<_>>(), joiners.collect::<Vec<_>>());
        join_all(senders).await.into_iter().for_each(Result::unwrap);
        let begun_at: Vec<i64> = join_all(joiners)
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect();
        let amid_fire = begun_at
            .iter()
            .filter(|begun| (1..LAST).contains(*begun))
            .count();
        assert!(
            amid_fire >= JOINERS - LEAD - 1,
            "nearly all joined amid the fire: {begun_at:?}"
        );
        assert_whole(&server.database, "r", LAST as usize).await;
    }
}

/// Sends in rounds, each of which takes a permit, so that the fire lasts until all have joined.
async fn fire(address: SocketAddr, rounds: usize, round: usize, permits: Arc<Semaphore>) {
    let mut sender = RawClient::connect(address, "sender").await;
    join(&mut sender, "r").await;
    for _ in 0..rounds {
        within_deadline("a joiner", permits.acquire())
            .await
            .unwrap()
            .forget();
        pipeline(&mut sender, "r", round).await;
    }
}

/// A joiner amid the fire.
struct Joiner {
    client: RawClient,
    /// The `seq` of the newest message in the answer.
    newest: i64,
}

impl Joiner {
    async fn assert_live_until(&mut self, last: i64) {
        if self.newest < last {
            let live = live_until(&mut self.client, last).await;
            assert!(
                live.iter().copied().eq(self.newest + 1..=last),
                "live after {}: {live:?}",
                self.newest
            );
        }
    }
}

/// Watches the room until message `after`, then joins as another user.
async fn join_under_fire(address: SocketAddr, after: i64) -> Joiner {
    let mut joiner = RawClient::connect(address, "joiner").await;
    let mut watcher = RawClient::connect(address, "watcher").await;
    if seqs(&join(&mut watcher, "r").await)
        .last()
        .is_none_or(|newest| *newest < after)
    {
        while !matches!(watcher.packet().await, Packet::Event(name, message) if name == "newMessage" && seq(&message) >= after)
        {
        }
    }
    drop(watcher);
    let joined = join(&mut joiner, "r").await;
    let (history, newest) = (seqs(&joined), joined["lastSeq"].as_i64().unwrap());
    let first = newest - history.len() as i64 + 1;
    assert!(
        history.iter().copied().eq(first..=newest),
        "history up to {newest}: {history:?}"
    );
    Joiner {
        client: joiner,
        newest,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_send_from_two_sockets_at_once_is_stored_and_delivered_once() {
    const SENDS: usize = 300;
    for server in Server::on_each_kind().await {
        let mut watcher = server.raw("bob").await;
        join(&mut watcher, "r").await;
        let tabs = [server.raw("ann").await, server.raw("ann").await];
        let answers = join_all(tabs.map(|tab| tokio::spawn(send_named(tab, SENDS)))).await;
        let [one, other] = answers.try_into().unwrap();
        for (one, other) in one.unwrap().into_iter().zip(other.unwrap()) {
            assert_eq!(one["message"], other["message"]);
            assert_ne!(
                one["duplicate"], other["duplicate"],
                "one of the two stored it"
            );
        }
        assert_whole(&server.database, "r", SENDS).await;
        assert!(
            live_until(&mut watcher, SENDS as i64)
                .await
                .into_iter()
                .eq(1..=SENDS as i64)
        );
    }
}

/// Sends messages named 0, 1, 2, …, and returns their acks in this order.
async fn send_named(mut client: RawClient, count: usize) -> Vec<Value> {
    join(&mut client, "r").await;
    let mut ids = Vec::new();
    for number in 0..count {
        let payload =
            json!({ "roomId": "r", "message": "hi", "clientMessageId": number.to_string() });
        ids.push(client.emit("sendMessage", &payload).await);
    }
    client.flush().await;
    let mut answers = std::collections::HashMap::new();
    while answers.len() < count {
        if let Packet::Ack(id, answer) = client.packet().await {
            answers.insert(id, answer);
        }
    }
    ids.iter().map(|id| answers.remove(id).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_rooms_at_once_do_not_mix() {
    const SENDS: usize = 300;
    let server = Server::start().await;
    let mut both = server.raw("both").await;
    join(&mut both, "x").await;
    join(&mut both, "y").await;
    let mut only_x = server.raw("only x").await;
    join(&mut only_x, "x").await;
    let senders = ["x", "y"].map(|room| {
        let address = server.address();
        tokio::spawn(async move {
            let mut sender = RawClient::connect(address, room).await;
            join(&mut sender, room).await;
            pipeline(&mut sender, room, SENDS).await;
        })
    });
    join_all(senders).await.into_iter().for_each(Result::unwrap);
    let mut next = std::collections::HashMap::from([("x".to_owned(), 1), ("y".to_owned(), 1)]);
    while next.values().any(|next| *next <= SENDS as i64) {
        if let Packet::Event(name, message) = both.packet().await
            && name == "newMessage"
        {
            let room = message["roomId"].as_str().unwrap().to_owned();
            assert_eq!(message["userId"], room.as_str());
            let expected = next.get_mut(&room).unwrap();
            assert_eq!(seq(&message), *expected);
            *expected += 1;
        }
    }
    let mut got = 0;
    while got < SENDS {
        if let Packet::Event(name, message) = only_x.packet().await
            && name == "newMessage"
        {
            assert_eq!(message["roomId"], "x");
            got += 1;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_on_one_postgres_interleave_without_gap_double_or_deadlock() {
    const SENDS: usize = 600;
    let rooms = ["x", "y"];
    let database = Database::postgres().await;
    let nodes = [
        Process::with(&database, &[FLOODED]).await,
        Process::with(&database, &[FLOODED]).await,
    ];
    let senders = nodes
        .iter()
        .flat_map(|node| rooms.map(|room| tokio::spawn(fire_at(node.address, room, SENDS))));
    join_all(senders.collect::<Vec<_>>())
        .await
        .into_iter()
        .for_each(Result::unwrap);
    for room in rooms {
        assert_whole(&database, room, 2 * SENDS).await;
    }
    for node in &nodes {
        let mut member = RawClient::connect(node.address, "late").await;
        let joined = join(&mut member, "x").await;
        assert_eq!(
            joined["lastSeq"],
            2 * SENDS as i64,
            "a room that starts reads the whole log"
        );
    }
}

async fn fire_at(address: SocketAddr, room: &str, count: usize) {
    let mut sender = RawClient::connect(address, "sender").await;
    join(&mut sender, room).await;
    pipeline(&mut sender, room, count).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_get_another_process_messages_before_the_next_one() {
    const ROUNDS: i64 = 20;
    let database = Database::postgres().await;
    let nodes = [
        Process::start(&database).await,
        Process::start(&database).await,
    ];
    let mut members = [
        RawClient::connect(nodes[0].address, "ann").await,
        RawClient::connect(nodes[1].address, "bob").await,
    ];
    for member in &mut members {
        join(member, "r").await;
    }
    let mut got = [vec![], vec![]];
    for round in 0..ROUNDS {
        let turn = (round % 2) as usize;
        for _ in 0..3 {
            let sent = json!({ "roomId": "r", "message": "hi" });
            members[turn].emit("sendMessage", &sent).await;
        }
        members[turn].flush().await;
        got[turn].extend(live_until(&mut members[turn], 3 * (round + 1)).await);
    }
    assert!(got[1].iter().copied().eq(1..=3 * ROUNDS), "{:?}", got[1]);
    assert!(
        got[0].iter().copied().eq(1..=3 * (ROUNDS - 1)),
        "{:?}",
        got[0]
    );
}
