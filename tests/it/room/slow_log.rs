//! A slow log delays the joins that need it, and nothing else.

use std::{sync::mpsc, time::Duration};

use parlor::testing::room::{MAILBOX_BYTES, READ_TIMEOUT, ROOM_BYTES};
use tokio::time::timeout;

use super::*;
use crate::support::log;

/// Much less than the longest read.
const PROMPT: Duration = READ_TIMEOUT.checked_div(2).unwrap();
/// The bytes of a long message, 48 kB as JSON. A room keeps few of these in memory.
const LONG: usize = 8_000;
/// More long messages than a room keeps in memory, but less than half an answer.
const OLD: usize = 9;

/// A house, and its store to hold reads on.
async fn house(database: Database) -> (Arc<House>, Arc<FaultyStore>) {
    let store = FaultyStore::new(database.store().await, &[]);
    let house = House::on(database, store.clone());
    (Arc::new(house), store)
}

async fn promptly<T>(what: &str, future: impl Future<Output = T>) -> T {
    let result = timeout(PROMPT, future).await;
    result.unwrap_or_else(|_| panic!("{what} was held up"))
}

/// Waits until `count` reads are in flight.
async fn until_reading(store: &FaultyStore, count: usize) {
    eventually("the reads", async || store.reading() == count).await;
}

fn join_old(house: &Arc<House>, name: &str) -> tokio::task::JoinHandle<Result<Joined, Error>> {
    let (house, participant) = (house.clone(), house.user(name));
    tokio::spawn(async move { house.joining(&participant, Some(200)).await })
}

fn seqs(joined: &Joined) -> Vec<i64> {
    joined
        .messages
        .iter()
        .map(|message| message.seq.get())
        .collect()
}

fn draft(text: &str) -> Draft {
    let body = Body::parse(text, LONG).unwrap();
    Draft::new(room(), "other".try_into().unwrap(), None, body, None)
}

fn last_presence(house: &House) -> Option<Presence> {
    house.sent.presence.lock().unwrap().last().cloned()
}

#[tokio::test]
async fn a_join_that_reads_old_messages_holds_up_nobody_else_in_the_room() {
    let database = Database::sqlite();
    let long = "\u{1}".repeat(LONG);
    const { assert!(OLD * 6 * LONG > ROOM_BYTES) };
    log::append(&database, room().as_str(), "other", &[long.as_str(); OLD]).await;
    let (house, store) = house(database).await;
    let (ann, cid) = (house.user("ann"), house.user("cid"));
    promptly("the first join", house.joining(&ann, Some(1)))
        .await
        .unwrap();
    let reads = store.reads();

    store.hold_reads(&room());
    let bob = join_old(&house, "bob");
    until_reading(&store, 1).await;
    for _ in 0..OLD {
        promptly("a send", house.send(&ann, &long)).await;
    }
    eventually("live messages", async || house.sent().len() == OLD).await;
    house.chat.typing(&ann, &room(), true).unwrap();
    eventually("a signal", async || {
        house.sent.typing.lock().unwrap().len() == 1
    })
    .await;
    let joined = promptly("a join", house.joining(&cid, Some(1)))
        .await
        .unwrap();
    assert_eq!(joined.member_count, 2);
    let told = async || last_presence(&house).is_some_and(|told| told.member_count == 2);
    eventually("presence", told).await;
    promptly("a leave", house.chat.leave(&cid, &room()))
        .await
        .unwrap();
    let told = async || last_presence(&house).is_some_and(|told| told.member_count == 1);
    eventually("presence", told).await;
    assert!(!bob.is_finished());

    store.release_reads(&room());
    let joined = within_deadline("the old join", bob).await.unwrap().unwrap();
    assert!(seqs(&joined).into_iter().eq(1..=2 * OLD as i64));
    assert_eq!(
        (joined.last_seq.get(), joined.has_more),
        (2 * OLD as i64, false)
    );
    assert_eq!(store.reads(), reads + 1);
}

#[tokio::test]
async fn a_join_whose_old_messages_cannot_be_read_in_time_is_unavailable() {
    let database = Database::sqlite();
    let long = "\u{1}".repeat(LONG);
    log::append(&database, room().as_str(), "other", &[long.as_str(); OLD]).await;
    let (house, store) = house(database).await;
    let ann = house.user("ann");
    promptly("the first join", house.joining(&ann, Some(1)))
        .await
        .unwrap();
    store.hold_reads(&room());
    let refused = within_deadline("the old join", join_old(&house, "bob")).await;
    assert_eq!(refused.unwrap().unwrap_err().code(), "UNAVAILABLE");
    assert_eq!(store.reading(), 0);
    assert_eq!(house.join(&ann).await.member_count, 1);
}

/// More comes during the read than the room holds for the joiner.
#[tokio::test]
async fn a_join_reads_on_when_the_room_has_moved_on_too_far() {
    let database = Database::sqlite();
    let long = "\u{1}".repeat(LONG);
    log::append(&database, room().as_str(), "other", &[long.as_str(); OLD]).await;
    let (house, store) = house(database).await;
    let ann = house.user("ann");
    promptly("the first join", house.joining(&ann, Some(1)))
        .await
        .unwrap();
    let reads = store.reads();
    store.hold_reads(&room());
    let bob = join_old(&house, "bob");
    until_reading(&store, 1).await;
    let many = MAILBOX_BYTES / LONG / 6 + 2;
    for _ in 0..many {
        promptly("a send", house.send(&ann, &long)).await;
    }
    let last = (OLD + many) as i64;
    eventually("live messages", async || house.sent().len() == many).await;
    store.release_reads(&room());
    let joined = within_deadline("the old join", bob).await.unwrap().unwrap();
    let first = last + 1 - joined.messages.len() as i64;
    assert!(seqs(&joined).into_iter().eq(first..=last));
    assert_eq!((joined.last_seq.get(), joined.has_more), (last, true));
    assert_eq!(store.reads(), reads + 2);
}

#[tokio::test]
async fn a_first_read_that_hangs_holds_up_neither_leaving_nor_stopping() {
    let (house, store) = house(Database::sqlite()).await;
    let ann = house.user("ann");
    store.hold_reads(&room());
    let joining = tokio::spawn({
        let (house, ann) = (house.clone(), ann.clone());
        async move { house.joining(&ann, None).await }
    });
    let bob = join_old(&house, "bob");
    until_reading(&store, 1).await;
    promptly("the end", house.chat.disconnect(&ann, Departure::Broken)).await;
    let refused = promptly("a join", joining).await.unwrap();
    assert_eq!(refused.unwrap_err().code(), "UNAVAILABLE");
    promptly("the stop", house.rooms.stop()).await;
    let refused = promptly("a join", bob).await.unwrap();
    assert_eq!(refused.unwrap_err().code(), "UNAVAILABLE");
    assert_eq!(store.reading(), 0);
}

#[tokio::test]
async fn joiners_of_an_unreadable_room_share_one_read_and_are_refused_in_time() {
    let (house, store) = house(Database::sqlite()).await;
    store.hold_reads(&room());
    let joiners: Vec<_> = (0..100)
        .map(|number| join_old(&house, &format!("u{number}")))
        .collect();
    until_reading(&store, 1).await;
    for joiner in within_deadline("the joins", join_all(joiners)).await {
        assert_eq!(joiner.unwrap().unwrap_err().code(), "UNAVAILABLE");
    }
    assert!(store.reads() <= 2, "{}", store.reads());
    store.release_reads(&room());
    house.join(&house.user("ann")).await;
}

#[tokio::test]
async fn messages_stored_during_the_first_read_are_in_the_joiners_answer() {
    let (house, store) = house(Database::sqlite()).await;
    store.hold_reads(&room());
    let bob = join_old(&house, "bob");
    until_reading(&store, 1).await;
    for text in ["1", "2"] {
        let stored = house.store.append(&[draft(text)]).await.unwrap();
        house.rooms.observe(Outcome::from(vec![stored[0].encode()]));
    }
    store.release_reads(&room());
    let joined = within_deadline("the join", bob).await.unwrap().unwrap();
    assert_eq!(
        (texts(&joined), joined.last_seq.get()),
        (vec!["1".into(), "2".into()], 2)
    );
    assert_eq!(house.sent(), ["1", "2"]);
}

#[tokio::test]
async fn messages_that_come_while_the_room_reads_are_delivered_once_in_order() {
    let (house, store) = house(Database::sqlite()).await;
    let ann = house.user("ann");
    house.join(&ann).await;
    store.hold_reads(&room());
    house.rooms.observe(Outcome::Unknown(vec![room()]));
    until_reading(&store, 1).await;
    // These follow the room's newest message and need no read.
    for text in ["1", "2"] {
        promptly("a send", house.send(&ann, text)).await;
    }
    eventually("live messages", async || house.sent().len() == 2).await;
    // The next one leaves a gap, and the read in flight began before it.
    house.store.append(&[draft("3")]).await.unwrap();
    promptly("a send", house.send(&ann, "4")).await;
    let late = join_old(&house, "bob");
    assert_eq!(house.sent(), ["1", "2"]);
    store.release_reads(&room());
    eventually("all messages", async || house.sent().len() >= 4).await;
    let joined = within_deadline("a join", late).await.unwrap().unwrap();
    assert_eq!(texts(&joined), ["1", "2", "3", "4"]);
    house.send(&ann, "5").await;
    eventually("the last message", async || house.sent().len() >= 5).await;
    assert_eq!(house.sent(), ["1", "2", "3", "4", "5"]);
}

#[tokio::test]
async fn a_log_that_goes_back_while_a_joiner_reads_it_is_read_again() {
    let database = Database::sqlite();
    let long = "\u{1}".repeat(LONG);
    log::append(&database, room().as_str(), "other", &[long.as_str(); OLD]).await;
    let (house, store) = house(database).await;
    let ann = house.user("ann");
    promptly("the first join", house.joining(&ann, Some(1)))
        .await
        .unwrap();
    store.hold_reads(&room());
    let bob = join_old(&house, "bob");
    until_reading(&store, 1).await;
    for statement in [
        "DELETE FROM messages WHERE seq > 2",
        "UPDATE rooms SET last_seq = 2",
    ] {
        house.database.execute(statement).await;
    }
    // The room reads anew; this read begins before the next message.
    promptly("a send", house.send(&ann, "new")).await;
    until_reading(&store, 2).await;
    promptly("a send", house.send(&ann, "newer")).await;
    store.release_reads(&room());
    let joined = within_deadline("the old join", bob).await.unwrap().unwrap();
    assert_eq!(
        (seqs(&joined), joined.last_seq.get()),
        (vec![1, 2, 3, 4], 4)
    );
    assert_eq!(texts(&joined)[2..], ["new", "newer"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_leaves_its_other_rooms_though_one_is_stuck() {
    const ROOMS: usize = 200;
    let house = House::new().await;
    let (eve, ann) = (house.user("eve"), house.user("ann"));
    let room = |number: usize| RoomId::try_from(format!("room {number}")).unwrap();
    for number in 0..ROOMS {
        let joining = house
            .chat
            .join(&eve, room(number), None, Known::default(), None, |_| true);
        within_deadline("a join", joining).await.unwrap();
    }
    let (welcomed, until_welcomed) = oneshot::channel();
    let (free, stuck) = mpsc::channel();
    let house = Arc::new(house);
    let joining = tokio::spawn({
        let house = house.clone();
        async move {
            let welcome = move |_| {
                welcomed.send(()).unwrap();
                stuck.recv().is_ok()
            };
            house
                .chat
                .join(&ann, room(0), None, Known::default(), None, welcome)
                .await
        }
    });
    within_deadline("the welcome", until_welcomed)
        .await
        .unwrap();
    let ended = tokio::spawn({
        let house = house.clone();
        async move { house.chat.disconnect(&eve, Departure::Left).await }
    });
    eventually("the end of the other rooms", async || {
        house.rooms.count() == 1
    })
    .await;
    free.send(()).unwrap();
    within_deadline("the join", joining).await.unwrap().unwrap();
    within_deadline("the end", ended).await.unwrap();
}
