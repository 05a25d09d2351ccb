//! Messages, reads of the log and joins in random order.

use proptest::{
    collection::vec,
    prelude::*,
    sample::select,
    test_runner::{Config, RngSeed, TestRunner},
};
use tokio::{runtime::Runtime, task::yield_now};

use super::*;

const CASES: u32 = 32;

#[derive(Debug, Clone, Copy)]
enum Step {
    /// This node stores messages and reports them to the room.
    Say { count: usize, bytes: usize },
    /// Another node stores messages unreported.
    SayElsewhere { count: usize },
    /// A commit of this node has an unknown outcome.
    LoseOutcome,
    /// A wake-up names the end of the log.
    Wake,
    /// Reads hang from now on.
    Hold,
    /// Reads go on.
    Release,
    /// A client joins with a message that far before the end of the log.
    Join { behind: i64, limit: usize },
    /// The room's task has some time to run.
    Run { turns: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let bytes = select(vec![1, 1, 1, 8_000]);
    prop_oneof![
        4 => (1..8_usize, bytes).prop_map(|(count, bytes)| Step::Say { count, bytes }),
        2 => (1..4_usize).prop_map(|count| Step::SayElsewhere { count }),
        1 => Just(Step::LoseOutcome),
        1 => Just(Step::Wake),
        2 => Just(Step::Hold),
        2 => Just(Step::Release),
        4 => (-3..60_i64, 0..60_usize).prop_map(|(behind, limit)| Step::Join { behind, limit }),
        4 => (1..40_usize).prop_map(|turns| Step::Run { turns }),
    ]
}

/// A room with one member from the beginning.
struct Stage {
    house: Arc<House>,
    store: Arc<FaultyStore>,
    /// Keeps the room's task alive.
    _ann: Arc<Participant>,
    log_end: i64,
    joins: Vec<tokio::task::JoinHandle<(i64, usize, Joined)>>,
}

impl Stage {
    async fn new() -> Self {
        let database = Database::sqlite();
        let store = FaultyStore::new(database.store().await, &[]);
        let house = Arc::new(House::on(database, store.clone()));
        let ann = house.user("ann");
        house.join(&ann).await;
        Self {
            house,
            store,
            _ann: ann,
            log_end: 0,
            joins: vec![],
        }
    }

    async fn store(&mut self, count: usize, bytes: usize) -> Vec<Stored<EncodedMessage>> {
        let body = Body::parse(&"\u{1}".repeat(bytes), bytes).unwrap();
        let draft = || {
            Draft::new(
                room(),
                "other".try_into().unwrap(),
                None,
                body.clone(),
                None,
            )
        };
        let drafts: Vec<_> = (0..count).map(|_| draft()).collect();
        self.log_end += count as i64;
        let stored = self.store.append(&drafts).await.unwrap();
        stored.iter().map(Stored::encode).collect()
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Say { count, bytes } => {
                let stored = self.store(count, bytes).await;
                self.house.rooms.observe(Outcome::from(stored));
            }
            Step::SayElsewhere { count } => drop(self.store(count, 1).await),
            Step::LoseOutcome => self.house.rooms.observe(Outcome::Unknown(vec![room()])),
            Step::Wake => self.wake(),
            Step::Hold => self.store.hold_reads(&room()),
            Step::Release => self.store.release_reads(&room()),
            Step::Join { behind, limit } => self.join((self.log_end - behind).max(0), limit),
            Step::Run { turns } => {
                for _ in 0..turns {
                    yield_now().await;
                }
            }
        }
    }

    fn wake(&self) {
        self.house
            .rooms
            .wake(&room(), self.log_end.try_into().unwrap());
    }

    fn join(&mut self, after: i64, limit: usize) {
        let (house, bob) = (self.house.clone(), self.house.user("bob"));
        self.joins.push(tokio::spawn(async move {
            let (sender, joined) = oneshot::channel();
            let welcome = move |joined| sender.send(joined).is_ok();
            let known = Known {
                last_seq: Some(after.try_into().unwrap()),
                last_revision: None,
            };
            house
                .chat
                .join(&bob, room(), None, known, Some(limit), welcome)
                .await
                .unwrap();
            (after, limit, joined.await.unwrap())
        }));
    }

    async fn end(self) {
        self.store.release_reads(&room());
        self.wake();
        let end = usize::try_from(self.log_end).unwrap();
        eventually("all messages", async || self.house.sent().len() >= end).await;
        let sent = self.house.sent.messages.lock().unwrap().clone();
        assert!(
            sent.iter()
                .map(|message| message.seq.get())
                .eq(1..=self.log_end)
        );
        for join in within_deadline("the joins", join_all(self.joins)).await {
            let (after, limit, joined) = join.unwrap();
            let (last, count) = (joined.last_seq.get(), joined.messages.len() as i64);
            let seqs = joined.messages.iter().map(|message| message.seq.get());
            assert!(seqs.eq(last + 1 - count..=last), "{joined:?}");
            let wanted = (last - after).max(0);
            assert!(count == wanted.min(limit as i64) || joined.has_more);
            assert_eq!(joined.has_more, count < wanted, "{after} {limit}");
        }
    }
}

#[test]
fn members_get_every_message_once_in_order_and_joiners_the_newest_whatever_is_read_when() {
    let config = Config {
        cases: CASES,
        rng_seed: RngSeed::Fixed(13),
        failure_persistence: None,
        ..Config::default()
    };
    let runtime = Runtime::new().unwrap();
    let outcome = TestRunner::new(config).run(&vec(step(), 1..40), |steps| {
        runtime.block_on(async {
            let mut stage = Stage::new().await;
            for step in steps {
                stage.take(step).await;
            }
            stage.end().await;
        });
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}
