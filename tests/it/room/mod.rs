//! Rooms as tasks: they start, end, and find messages that nobody announced.

mod changes;
mod interleavings;
mod signals;
mod slow_log;

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_util::future::join_all;
use parlor::{
    model::{
        Body, Clients, Draft, EncodedMessage, Exclusion, Outcome, Queued, Relayed, RoomId,
        RoomPatterns, Seq, Stored, UserId,
    },
    store::MessageStore,
    testing::{
        auth::Identity,
        chat::{Chat, Content, Limits, Participant, READS_AT_ONCE, Range},
        error::Error,
        inbox::{Delivery, Inbox, InboxContext, RoomActivity},
        rates::Rate,
        room::{
            Departure, Fanout, Joined, Known, MAILBOX_BYTES, MessageChanged, Presence,
            PresenceSettings, Reads, Reset, RoomContext, Rooms, SettingsChanged,
        },
        writer::Writer,
    },
};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::support::{DEADLINE, Database, eventually, faulty::FaultyStore, said, within_deadline};

/// The rooms' deliveries.
#[derive(Default)]
struct Recorder {
    messages: Mutex<Vec<EncodedMessage>>,
    changes: Mutex<Vec<MessageChanged>>,
    presence: Mutex<Vec<Presence>>,
    typing: Mutex<Vec<(UserId, bool)>>,
    reads: Mutex<Vec<Reads>>,
    relayed: Mutex<Vec<Relayed>>,
}

impl Fanout for Recorder {
    fn message(&self, message: &EncodedMessage) {
        self.messages.lock().unwrap().push(message.clone());
    }

    fn changed(&self, changed: &MessageChanged) {
        self.changes.lock().unwrap().push(changed.clone());
    }

    fn settings(&self, _: &SettingsChanged) {}

    fn removed(&self, _: &RoomId, _: &HashMap<UserId, Exclusion>) {}

    fn presence(&self, presence: &Presence) {
        self.presence.lock().unwrap().push(presence.clone());
    }

    fn reset(&self, _: &Reset) {}

    fn reads(&self, reads: &Reads) {
        self.reads.lock().unwrap().push(reads.clone());
    }

    fn typing(&self, _: &RoomId, user: &UserId, is_typing: bool) {
        self.typing.lock().unwrap().push((user.clone(), is_typing));
    }

    fn relayed(&self, _: &RoomId, signal: &Relayed) {
        self.relayed.lock().unwrap().push(signal.clone());
    }
}

impl Delivery for Recorder {
    fn read(&self, _: &Reads) {}

    fn activity(&self, _: &UserId, _: &RoomActivity) {}

    fn watchers(&self) -> HashSet<UserId> {
        HashSet::new()
    }

    fn conversation(&self, _: &RoomId, _: &Queued, _: &HashSet<UserId>) {}

    fn clients(&self, _: &UserId) -> Clients {
        Clients::default()
    }

    fn disconnect(&self, _: &UserId) {}
}

/// Rooms and use cases, without sockets.
struct House {
    rooms: Rooms,
    chat: Chat,
    store: Arc<dyn MessageStore>,
    sent: Arc<Recorder>,
    database: Database,
}

impl House {
    async fn new() -> Self {
        let database = Database::sqlite();
        let store = database.store().await;
        Self::on(database, store)
    }

    fn on(database: Database, store: Arc<dyn MessageStore>) -> Self {
        let sent = Arc::new(Recorder::default());
        let presence = PresenceSettings {
            grace: DEADLINE,
            names_limit: 200,
        };
        let (fanout, history_limit) = (sent.clone(), 3);
        let rooms = Rooms::new(RoomContext {
            store: store.clone(),
            bus: None,
            fanout,
            history_limit,
            presence,
            metrics: Default::default(),
        });
        let observer = rooms.clone();
        let observe = Box::new(move |outcome| observer.observe(outcome));
        let (writer, _) = Writer::spawn(
            store.clone(),
            DEADLINE,
            observe,
            CancellationToken::new(),
            Default::default(),
        );
        let limits = Limits {
            conversations: RoomPatterns::default(),
            max_message_bytes: 8192,
            search: false,
            edit_window: None,
            call_parties: 6,
            history_limit,
            max_rooms: 256,
            messages: Rate::UNLIMITED,
            signals: Rate::UNLIMITED,
            requests: Rate::UNLIMITED,
        };
        let inbox = Arc::new(Inbox::new(InboxContext {
            store: store.clone(),
            rooms: rooms.clone(),
            bus: None,
            delivery: sent.clone(),
            metrics: Default::default(),
        }));
        tokio::spawn(inbox.clone().run(CancellationToken::new()));
        let chat = Chat::new(rooms.clone(), writer, store.clone(), inbox, limits);
        Self {
            rooms,
            chat,
            store,
            sent,
            database,
        }
    }

    fn user(&self, name: &str) -> Arc<Participant> {
        Arc::new(
            self.chat
                .connect(Some(Identity::user(name.try_into().unwrap()))),
        )
    }

    async fn join(&self, participant: &Arc<Participant>) -> Joined {
        within_deadline("a join", self.joining(participant, None))
            .await
            .unwrap()
    }

    /// Joins the room with up to `limit` of its messages.
    async fn joining(
        &self,
        participant: &Arc<Participant>,
        limit: Option<usize>,
    ) -> Result<Joined, Error> {
        let (sender, joined) = oneshot::channel();
        let welcome = move |joined| sender.send(joined).is_ok();
        self.chat
            .join(participant, room(), None, Known::default(), limit, welcome)
            .await?;
        Ok(joined.await.unwrap())
    }

    async fn send(&self, participant: &Participant, text: &str) {
        let content = Content {
            text,
            client_message_id: None,
            reply_to: None,
            metadata: None,
        };
        let receipt = self.chat.send(participant, room(), content).unwrap();
        receipt.settled().await.unwrap();
    }

    fn sent(&self) -> Vec<String> {
        let sent = self.sent.messages.lock().unwrap();
        sent.iter().map(said).collect()
    }
}

fn room() -> RoomId {
    "room".try_into().unwrap()
}

fn texts(joined: &Joined) -> Vec<String> {
    joined.messages.iter().map(said).collect()
}

#[tokio::test]
async fn a_room_ends_with_its_last_member_and_starts_again_with_the_next() {
    let house = House::new().await;
    for round in 0..3 {
        let ann = house.user("ann");
        let joined = house.join(&ann).await;
        assert_eq!((joined.last_seq.get(), joined.member_count), (round, 1));
        assert_eq!(house.rooms.count(), 1);
        house.send(&ann, "hello").await;
        match round {
            0 => house.chat.leave(&ann, &room()).await.unwrap(),
            _ => house.chat.disconnect(&ann, Departure::Broken).await,
        }
        eventually("the room's end", async || house.rooms.count() == 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_joiner_is_lost_while_a_room_ends() {
    const ROUNDS: usize = 500;
    let house = Arc::new(House::new().await);
    let joined = Arc::new(AtomicUsize::new(0));
    let users = ["ann", "bob", "cid"].map(|name| {
        let (house, joined) = (house.clone(), joined.clone());
        tokio::spawn(async move {
            let participant = house.user(name);
            for _ in 0..ROUNDS {
                house.join(&participant).await;
                joined.fetch_add(1, Ordering::Relaxed);
                house.chat.leave(&participant, &room()).await.unwrap();
            }
        })
    });
    for user in users {
        within_deadline("the joins", user).await.unwrap();
    }
    assert_eq!(joined.load(Ordering::Relaxed), 3 * ROUNDS);
    eventually("the room's end", async || house.rooms.count() == 0).await;
}

#[tokio::test]
async fn a_connection_that_ends_while_it_joins_leaves_no_member_behind() {
    let house = House::new().await;
    let (ann, bob) = (house.user("ann"), house.user("bob"));
    house.join(&bob).await;
    house.chat.disconnect(&ann, Departure::Broken).await;
    let late = house
        .chat
        .join(&ann, room(), None, Known::default(), None, |_| true)
        .await;
    assert_eq!(late.unwrap_err().code(), "UNAVAILABLE");
    let refusing = house.user("cid");
    let refused = house
        .chat
        .join(&refusing, room(), None, Known::default(), None, |_| false)
        .await;
    assert_eq!(refused.unwrap_err().code(), "UNAVAILABLE");
    assert_eq!(house.join(&bob).await.member_count, 1);
}

#[tokio::test]
async fn a_return_that_breaks_too_does_not_end_the_grace() {
    let house = House::new().await;
    let (ann, bob) = (house.user("ann"), house.user("bob"));
    house.join(&ann).await;
    house.join(&bob).await;
    house.chat.disconnect(&ann, Departure::Broken).await;
    let returning = house.user("ann");
    let refused = house
        .chat
        .join(&returning, room(), None, Known::default(), None, |_| false)
        .await;
    assert_eq!(refused.unwrap_err().code(), "UNAVAILABLE");
    assert_eq!(house.join(&bob).await.member_count, 2);
}

#[tokio::test]
async fn messages_of_another_process_are_delivered_first() {
    let house = House::new().await;
    let ann = house.user("ann");
    house.join(&ann).await;
    let others = ["1", "2", "3"].map(|text| {
        let body = Body::parse(text, 10).unwrap();
        Draft::new(room(), "other".try_into().unwrap(), None, body, None)
    });
    house.store.append(&others).await.unwrap();
    house.send(&ann, "4").await;
    eventually("all four", async || house.sent().len() >= 4).await;
    assert_eq!(house.sent(), ["1", "2", "3", "4"]);
    assert_eq!(texts(&house.join(&ann).await), ["2", "3", "4"]);
}

#[tokio::test]
async fn a_commit_without_an_answer_is_delivered() {
    let house = House::new().await;
    let ann = house.user("ann");
    house.join(&ann).await;
    let body = Body::parse("unanswered", 10).unwrap();
    let draft = Draft::new(room(), "ann".try_into().unwrap(), None, body, None);
    house.store.append(&[draft]).await.unwrap();
    house.rooms.observe(Outcome::Unknown(vec![room()]));
    eventually("the message", async || !house.sent().is_empty()).await;
    assert_eq!(house.sent(), ["unanswered"]);
}

#[tokio::test]
async fn a_commit_a_while_after_an_unknown_outcome_is_delivered() {
    for database in Database::each_kind().await {
        let store = database.store().await;
        let house = House::on(database, store);
        let ann = house.user("ann");
        house.join(&ann).await;
        house.rooms.observe(Outcome::Unknown(vec![room()]));
        // By now the room has looked, and found nothing.
        house.join(&ann).await;
        let body = Body::parse("late", 10).unwrap();
        let draft = Draft::new(room(), "ann".try_into().unwrap(), None, body, None);
        house.store.append(&[draft]).await.unwrap();
        eventually("the message", async || !house.sent().is_empty()).await;
        assert_eq!(house.sent(), ["late"]);
    }
}

#[tokio::test]
async fn a_wake_up_for_a_message_the_room_has_costs_no_read() {
    let database = Database::sqlite();
    let store = FaultyStore::new(database.store().await, &[]);
    let house = House::on(database, store.clone());
    let ann = house.user("ann");
    house.join(&ann).await;
    house.send(&ann, "1").await;
    eventually("the message", async || house.sent().len() == 1).await;
    let before = store.reads();
    let first = Seq::ZERO.next();
    for _ in 0..100 {
        house.rooms.wake(&room(), first);
    }
    // By now the room has taken all of them.
    house.join(&ann).await;
    assert_eq!(store.reads(), before);

    let body = Body::parse("2", 10).unwrap();
    let draft = Draft::new(room(), "other".try_into().unwrap(), None, body, None);
    house.store.append(&[draft]).await.unwrap();
    house.rooms.wake(&room(), first.next());
    eventually("the next message", async || house.sent().len() == 2).await;
    assert_eq!(
        (house.sent(), store.reads()),
        (vec!["1".into(), "2".into()], before + 1)
    );
}

#[tokio::test]
async fn a_room_with_a_full_mailbox_reads_what_it_missed() {
    let house = House::new().await;
    let ann = house.user("ann");
    house.join(&ann).await;
    // Nothing awaits here, so the room's task does not run, and its mailbox overflows.
    const MESSAGES: usize = parlor::testing::room::MAILBOX_CAPACITY + 50;
    let bodies = (0..MESSAGES).map(|number| Body::parse(&number.to_string(), 10).unwrap());
    let drafts: Vec<_> = bodies
        .map(|body| Draft::new(room(), "other".try_into().unwrap(), None, body, None))
        .collect();
    for stored in house.store.append(&drafts).await.unwrap() {
        house.rooms.observe(Outcome::from(vec![stored.encode()]));
    }
    eventually("all messages", async || house.sent().len() >= MESSAGES).await;
    assert!(
        house
            .sent()
            .into_iter()
            .eq((0..MESSAGES).map(|number| number.to_string()))
    );
}

#[tokio::test]
async fn a_room_with_too_many_bytes_waiting_reads_what_it_missed() {
    let house = House::new().await;
    let ann = house.user("ann");
    house.join(&ann).await;
    // Nothing awaits here, so the room's task does not run.
    const MESSAGES: usize = 50;
    let text = "x".repeat(MAILBOX_BYTES / 10);
    let body = || Body::parse(&text, MAILBOX_BYTES).unwrap();
    let drafts: Vec<_> = (0..MESSAGES)
        .map(|_| Draft::new(room(), "other".try_into().unwrap(), None, body(), None))
        .collect();
    for stored in house.store.append(&drafts).await.unwrap() {
        house.rooms.observe(Outcome::from(vec![stored.encode()]));
    }
    eventually("all messages", async || house.sent().len() >= MESSAGES).await;
    assert_eq!(house.sent().len(), MESSAGES);
}

#[tokio::test]
async fn a_repeat_wakes_the_room_only_if_the_message_is_new_to_it() {
    let house = House::new().await;
    let ann = house.user("ann");
    house.join(&ann).await;
    let drafts = || {
        ["1", "2"].map(|text| {
            let (body, name) = (Body::parse(text, 10).unwrap(), text.try_into().unwrap());
            Draft::new(room(), "ann".try_into().unwrap(), None, body, Some(name))
        })
    };
    house.store.append(&drafts()).await.unwrap();
    for _ in 0..3 {
        let repeats = house.store.append(&drafts()).await.unwrap();
        assert!(repeats.iter().all(|stored| stored.duplicate));
        house.rooms.observe(Outcome::from(Vec::from_iter(
            repeats.iter().map(Stored::encode),
        )));
        eventually("both messages", async || house.sent().len() >= 2).await;
    }
    house.send(&ann, "3").await;
    eventually("the next message", async || house.sent().len() >= 3).await;
    assert_eq!(house.sent(), ["1", "2", "3"]);
}

#[tokio::test]
async fn stopping_delivers_stored_messages_and_ends_all_rooms() {
    let house = House::new().await;
    let ann = house.user("ann");
    house.join(&ann).await;
    house.send(&ann, "last").await;
    within_deadline("the rooms to end", house.rooms.stop()).await;
    assert_eq!(house.sent(), ["last"]);
}

/// Each read may take long, and the database has few connections.
#[tokio::test]
async fn one_connection_has_few_reads_of_the_log_at_once() {
    let database = Database::sqlite();
    let store = FaultyStore::new(database.store().await, &[]);
    let house = House::on(database, store.clone());
    let (eve, room) = (house.user("eve"), room());
    house.join(&eve).await;
    let reading = (0..10 * READS_AT_ONCE).map(|_| {
        house
            .chat
            .history(&eve, &room, Range::Newest, None, None)
            .unwrap()
            .page()
    });
    for read in within_deadline("all reads", join_all(reading)).await {
        read.unwrap();
    }
    assert!(
        store.most_reading() <= READS_AT_ONCE,
        "{}",
        store.most_reading()
    );
}

#[tokio::test]
async fn a_room_forgets_messages_that_are_removed() {
    let house = House::new().await;
    let (ann, bob) = (house.user("ann"), house.user("bob"));
    house.join(&ann).await;
    for number in 1..=5 {
        house.send(&ann, &number.to_string()).await;
    }
    let remove = |through: i64| format!("DELETE FROM messages WHERE seq <= {through}");
    for (through, left) in [(3, &["4", "5"][..]), (5, &[])] {
        house.database.execute(&remove(through)).await;
        let oldest = (through < 5).then(|| (through + 1).try_into().unwrap());
        house.rooms.forget_before(&room(), oldest);
        let joined = house.joining(&bob, Some(200)).await.unwrap();
        assert_eq!(
            (texts(&joined), joined.has_more),
            (left.iter().map(|text| (*text).to_owned()).collect(), false)
        );
        assert_eq!(joined.last_seq.get(), 5);
    }
    house.send(&ann, "6").await;
    let joined = house.joining(&bob, Some(200)).await.unwrap();
    assert_eq!(
        (texts(&joined), joined.last_seq.get()),
        (vec!["6".to_owned()], 6)
    );
}
