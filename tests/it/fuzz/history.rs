//! Parts of a room's log, against a list.

use std::{
    collections::{HashMap, HashSet},
    ops::RangeInclusive,
    sync::Arc,
};

use parlor::{
    model::{
        Clients, EncodedMessage, Exclusion, Queued, Relayed, RoomId, RoomPatterns, Seq, UserId,
    },
    store::{Keep, MessageStore, Page},
    testing::{
        auth::Identity,
        chat::{Chat, Limits, MAX_HISTORY, Participant, Range},
        inbox::{Delivery, Inbox, InboxContext, RoomActivity},
        rates::Rate,
        room::{
            Departure, Fanout, Joined, Known, MessageChanged, Presence, PresenceSettings, Reads,
            Reset, RoomContext, Rooms, SettingsChanged,
        },
        writer::Writer,
    },
};
use proptest::{option, prelude::*, sample::select};
use tokio::{runtime::Runtime, sync::oneshot};
use tokio_util::sync::CancellationToken;

use super::check;
use crate::support::{DEADLINE, Database, log, within_deadline};

/// The rooms' numbers of messages: around the default and the largest size of an answer.
const SIZES: [i64; 9] = [0, 1, 2, 49, 50, 51, 200, 201, 230];
const DEFAULT_LIMIT: usize = 50;

struct Nobody;

impl Fanout for Nobody {
    fn message(&self, _: &EncodedMessage) {}

    fn changed(&self, _: &MessageChanged) {}

    fn settings(&self, _: &SettingsChanged) {}

    fn removed(&self, _: &RoomId, _: &HashMap<UserId, Exclusion>) {}

    fn presence(&self, _: &Presence) {}

    fn reset(&self, _: &Reset) {}

    fn reads(&self, _: &Reads) {}

    fn typing(&self, _: &RoomId, _: &UserId, _: bool) {}

    fn relayed(&self, _: &RoomId, _: &Relayed) {}
}

impl Delivery for Nobody {
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

/// Rooms of all sizes, and the use cases.
struct House {
    chat: Chat,
    store: Arc<dyn MessageStore>,
    /// Keeps every second room open, with its newest messages in memory.
    _keeper: Arc<Participant>,
    _database: Database,
}

impl House {
    async fn on(database: Database) -> Self {
        let store = database.store().await;
        for size in SIZES {
            let said = (0..size).map(|_| (0, "ann", "hello".to_owned()));
            log::append_old(&database, room(size).as_str(), said).await;
        }
        let presence = PresenceSettings {
            grace: DEADLINE,
            names_limit: 200,
        };
        let context = RoomContext {
            store: store.clone(),
            bus: None,
            fanout: Arc::new(Nobody),
            history_limit: DEFAULT_LIMIT,
            presence,
            metrics: Default::default(),
        };
        let (writer, _) = Writer::spawn(
            store.clone(),
            DEADLINE,
            Box::new(drop),
            CancellationToken::new(),
            Default::default(),
        );
        let limits = Limits {
            conversations: RoomPatterns::default(),
            max_message_bytes: 8192,
            search: false,
            edit_window: None,
            call_parties: 6,
            history_limit: DEFAULT_LIMIT,
            max_rooms: 256,
            messages: Rate::UNLIMITED,
            signals: Rate::UNLIMITED,
            requests: Rate::UNLIMITED,
        };
        let rooms = Rooms::new(context);
        let inbox = Arc::new(Inbox::new(InboxContext {
            store: store.clone(),
            rooms: rooms.clone(),
            bus: None,
            delivery: Arc::new(Nobody),
            metrics: Default::default(),
        }));
        tokio::spawn(inbox.clone().run(CancellationToken::new()));
        let chat = Chat::new(rooms, writer, store.clone(), inbox, limits);
        let keeper = participant(&chat);
        for size in SIZES.into_iter().step_by(2) {
            chat.join(&keeper, room(size), None, Known::default(), None, |_| true)
                .await
                .unwrap();
        }
        Self {
            chat,
            store,
            _keeper: keeper,
            _database: database,
        }
    }

    async fn join(
        &self,
        participant: &Arc<Participant>,
        size: i64,
        last_seq: Option<Seq>,
        limit: Option<usize>,
    ) -> Joined {
        let (sender, joined) = oneshot::channel();
        let welcome = move |joined| sender.send(joined).is_ok();
        let known = Known {
            last_seq,
            last_revision: None,
        };
        let joining = self
            .chat
            .join(participant, room(size), None, known, limit, welcome);
        within_deadline("a join", joining).await.unwrap();
        joined.await.unwrap()
    }
}

fn participant(chat: &Chat) -> Arc<Participant> {
    Arc::new(chat.connect(Some(Identity::user("ann".try_into().unwrap()))))
}

fn room(size: i64) -> RoomId {
    format!("room of {size}").try_into().unwrap()
}

fn seq() -> impl Strategy<Value = Seq> {
    prop_oneof![4 => 0..240_i64, 1 => 0..=i64::MAX, 1 => Just(i64::MAX)]
        .prop_map(|number| number.try_into().unwrap())
}

fn limit() -> impl Strategy<Value = usize> {
    prop_oneof![4 => 0..240_usize, 1 => any::<usize>(), 1 => Just(usize::MAX)]
}

fn seqs<M>(messages: &[M], seq: impl Fn(&M) -> Seq) -> Vec<i64> {
    messages.iter().map(|message| seq(message).get()).collect()
}

/// Returns the kept part of a range, and whether others are left out.
fn kept(range: RangeInclusive<i64>, limit: usize, keep: Keep) -> (Vec<i64>, bool) {
    let all: Vec<_> = range.collect();
    let left_out = all.len().saturating_sub(limit);
    let kept = match keep {
        Keep::Oldest => &all[..all.len() - left_out],
        Keep::Newest => &all[left_out..],
    };
    (kept.to_vec(), left_out > 0)
}

fn answer(asked: Option<usize>) -> usize {
    asked.unwrap_or(DEFAULT_LIMIT).min(MAX_HISTORY)
}

/// Runs a test on each kind of database.
fn on_each_kind(test: impl Fn(&Runtime, House)) {
    let runtime = Runtime::new().unwrap();
    for database in runtime.block_on(Database::each_kind()) {
        let house = runtime.block_on(House::on(database));
        test(&runtime, house);
    }
}

#[test]
fn a_page_of_the_log_is_as_expected() {
    on_each_kind(|runtime, house| {
        let keep = select(vec![Keep::Oldest, Keep::Newest]);
        check(
            4,
            &(select(&SIZES[..]), seq(), seq(), limit(), keep),
            |(size, after, before, limit, keep)| {
                let page = Page {
                    after,
                    before,
                    limit,
                    keep,
                };
                let read = runtime
                    .block_on(house.store.read(&room(size), page))
                    .unwrap();
                let range = after.get().saturating_add(1)..=size.min(before.get() - 1);
                assert_eq!(
                    seqs(&read, |message| message.seq),
                    kept(range, limit, keep).0
                );
            },
        );
    });
}

#[test]
fn a_read_of_history_is_as_expected() {
    on_each_kind(|runtime, house| {
        let participant = participant(&house.chat);
        for size in SIZES {
            runtime.block_on(house.join(&participant, size, None, None));
        }
        let range = prop_oneof![
            Just(Range::Newest),
            seq().prop_map(Range::Before),
            seq().prop_map(Range::After)
        ];
        check(
            4,
            &(select(&SIZES[..]), range, option::of(limit())),
            |(size, range, limit)| {
                let room = room(size);
                let reading = house.chat.history(&participant, &room, range, None, limit);
                let (messages, has_more) = runtime.block_on(reading.unwrap().page()).unwrap();
                let limit = answer(limit);
                let expected = match range {
                    Range::Newest => kept(1..=size, limit, Keep::Newest),
                    Range::Before(seq) => kept(1..=size.min(seq.get() - 1), limit, Keep::Newest),
                    Range::After(seq) => {
                        kept(seq.get().saturating_add(1)..=size, limit, Keep::Oldest)
                    }
                };
                assert_eq!((seqs(&messages, |message| message.seq), has_more), expected);
            },
        );
    });
}

#[test]
fn a_join_is_answered_as_expected() {
    on_each_kind(|runtime, house| {
        check(
            4,
            &(select(&SIZES[..]), option::of(seq()), option::of(limit())),
            |(size, last_seq, limit)| {
                let participant = participant(&house.chat);
                let joined = runtime.block_on(house.join(&participant, size, last_seq, limit));
                let after = last_seq.map_or(0, Seq::get);
                let expected = kept(after.saturating_add(1)..=size, answer(limit), Keep::Newest);
                assert_eq!(
                    (
                        joined
                            .messages
                            .iter()
                            .map(|message| message.seq.get())
                            .collect::<Vec<_>>(),
                        joined.has_more
                    ),
                    expected
                );
                assert_eq!(joined.last_seq.get(), size);
                runtime.block_on(house.chat.disconnect(&participant, Departure::Left));
            },
        );
    });
}
