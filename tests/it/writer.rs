//! Group commit, on real stores.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use parlor::{
    model::{Body, Draft, EncodedMessage, Outcome, RoomId, Seq, Stored},
    store::{Keep, MessageStore, Page, STATEMENT_TIMEOUT},
    testing::{
        error::Error,
        writer::{
            MAX_BATCH_BYTES, MAX_BATCH_ENTRIES, QUEUE_BYTES, QUEUE_CAPACITY, Receipt,
            UNHEALTHY_FOR, Writer,
        },
    },
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::{
    DEADLINE, Database, eventually,
    faulty::{Fault, FaultyStore},
    said, within_deadline,
};

/// A writer, and its outcomes.
struct Bench {
    writer: Writer,
    task: JoinHandle<()>,
    stop: CancellationToken,
    store: Arc<FaultyStore>,
    outcomes: Arc<Mutex<Vec<Outcome>>>,
    _database: Database,
}

impl Bench {
    async fn new(database: Database, faults: &[Fault], timeout: Duration) -> Self {
        let store = FaultyStore::new(database.store().await, faults);
        let outcomes = Arc::<Mutex<Vec<Outcome>>>::default();
        let (told, stop) = (outcomes.clone(), CancellationToken::new());
        let observer = Box::new(move |outcome| told.lock().unwrap().push(outcome));
        let (writer, task) = Writer::spawn(
            store.clone(),
            timeout,
            observer,
            stop.clone(),
            Default::default(),
        );
        Self {
            writer,
            task,
            stop,
            store,
            outcomes,
            _database: database,
        }
    }

    fn send(&self, text: &str) -> Receipt<Stored<EncodedMessage>> {
        self.writer.enqueue(draft(text)).unwrap()
    }

    async fn log(&self) -> Vec<String> {
        let page = Page {
            after: Seq::ZERO,
            before: Seq::END,
            limit: 100_000,
            keep: Keep::Oldest,
        };
        let messages = self.store.read(&room(), page).await.unwrap();
        assert!(
            messages
                .iter()
                .map(|message| message.seq.get())
                .eq(1..=messages.len() as i64)
        );
        messages
            .iter()
            .map(|message| message.body.as_str().to_owned())
            .collect()
    }

    fn announced(&self) -> Vec<String> {
        let outcomes = self.outcomes.lock().unwrap();
        let stored = outcomes.iter().filter_map(|outcome| match outcome {
            Outcome::Stored { messages, .. } => Some(messages),
            Outcome::Unknown(_) => None,
        });
        stored
            .flatten()
            .map(|stored| said(&stored.message))
            .collect()
    }
}

fn room() -> RoomId {
    "room".try_into().unwrap()
}

fn draft(text: &str) -> Draft {
    let body = Body::parse(text, MAX_BATCH_BYTES).unwrap();
    Draft::new(room(), "ann".try_into().unwrap(), None, body, None)
}

async fn stored(receipt: Receipt<Stored<EncodedMessage>>) -> Result<Stored<EncodedMessage>, Error> {
    within_deadline("a send's outcome", receipt.settled()).await
}

#[tokio::test]
async fn entries_queued_during_a_commit_go_out_as_the_next_batches() {
    let bench = Bench::new(Database::sqlite(), &[], DEADLINE).await;
    bench.store.close();
    let first = bench.send("first");
    eventually("the first batch", async || {
        !bench.store.batches().is_empty()
    })
    .await;
    let rest: Vec<_> = (0..MAX_BATCH_ENTRIES * 2 + 10)
        .map(|number| bench.send(&number.to_string()))
        .collect();
    bench.store.open(4);
    for receipt in std::iter::once(first).chain(rest) {
        stored(receipt).await.unwrap();
    }
    assert_eq!(
        bench.store.batches(),
        [1, MAX_BATCH_ENTRIES, MAX_BATCH_ENTRIES, 10]
    );
    let expected =
        std::iter::once("first".to_owned()).chain((0..).map(|number| number.to_string()));
    assert!(
        bench
            .log()
            .await
            .into_iter()
            .eq(expected.take(MAX_BATCH_ENTRIES * 2 + 11))
    );
}

#[tokio::test]
async fn a_batch_is_bounded_in_bytes() {
    let bench = Bench::new(Database::sqlite(), &[], DEADLINE).await;
    bench.store.close();
    let half = "x".repeat(MAX_BATCH_BYTES / 2);
    let receipts: Vec<_> = ["first", &half, &half, &half, "last"]
        .map(|text| bench.send(text))
        .into();
    bench.store.open(3);
    for receipt in receipts {
        stored(receipt).await.unwrap();
    }
    assert_eq!(bench.store.batches().iter().sum::<usize>(), 5);
    assert_eq!(
        bench.store.batches()[0..2],
        [2, 2],
        "two halves and more do not go together"
    );
    assert_eq!(bench.log().await.len(), 5);
}

#[tokio::test]
async fn a_batch_with_an_unknown_outcome_is_retried_and_stored_once() {
    for database in Database::each_kind().await {
        let faults = [Fault::LostAfter, Fault::LostBefore, Fault::LostAfter];
        let bench = Bench::new(database, &faults, DEADLINE).await;
        let first = stored(bench.send("first")).await.unwrap();
        assert!(!first.duplicate);
        assert_eq!(first.message.seq.get(), 1);
        assert_eq!(bench.store.batches(), [1, 1, 1, 1], "three attempts failed");
        assert_eq!(
            stored(bench.send("second"))
                .await
                .unwrap()
                .message
                .seq
                .get(),
            2
        );
        assert_eq!(bench.log().await, ["first", "second"]);
        assert_eq!(bench.announced(), ["first", "second"]);
    }
}

#[tokio::test]
async fn a_message_refused_by_the_database_does_not_fail_its_neighbours() {
    let database = Database::postgres().await;
    database
        .execute("ALTER TABLE messages ADD CHECK (message <> 'poison')")
        .await;
    let bench = Bench::new(database, &[], DEADLINE).await;
    bench.store.close();
    let texts: Vec<_> = (0..20)
        .map(|n| {
            if n % 7 == 3 {
                "poison".into()
            } else {
                n.to_string()
            }
        })
        .collect();
    let receipts: Vec<_> = texts.iter().map(|text| bench.send(text)).collect();
    bench.store.open(1000);
    for (text, receipt) in texts.iter().zip(receipts) {
        match stored(receipt).await {
            Ok(stored) => assert_eq!(said(&stored.message), *text),
            Err(error) => assert_eq!((error.code(), text.as_str()), ("INTERNAL", "poison")),
        }
    }
    let good: Vec<_> = texts.into_iter().filter(|text| text != "poison").collect();
    assert_eq!(bench.log().await, good);
    assert_eq!(bench.announced(), good);
}

#[tokio::test]
async fn a_send_past_its_deadline_is_unavailable_and_not_stored_later() {
    let bench = Bench::new(Database::sqlite(), &[], Duration::from_millis(200)).await;
    bench.store.close();
    let (attempted, queued) = (bench.send("attempted"), bench.send("queued with it"));
    eventually("the first batch", async || {
        !bench.store.batches().is_empty()
    })
    .await;
    let late = bench.send("late");
    for receipt in [attempted, queued, late] {
        assert_eq!(stored(receipt).await.unwrap_err(), Error::Unavailable);
    }
    bench.store.open(usize::MAX >> 4);
    stored(bench.send("next")).await.unwrap();
    let log = bench.log().await;
    assert!(!log.contains(&"late".to_owned()), "{log:?}");
    assert_eq!(log.last().unwrap(), "next");
}

#[tokio::test]
async fn rooms_hear_of_an_outcome_after_its_sender_has_given_up() {
    let faults = [Fault::LostAfter];
    let bench = Bench::new(Database::sqlite(), &faults, Duration::from_millis(1)).await;
    assert_eq!(
        stored(bench.send("lost")).await.unwrap_err(),
        Error::Unavailable
    );
    let unknown =
        |outcome: &Outcome| matches!(outcome, Outcome::Unknown(rooms) if *rooms == [room()]);
    eventually("the outcome", async || {
        bench.outcomes.lock().unwrap().iter().any(unknown)
    })
    .await;
}

#[tokio::test]
async fn rooms_hear_again_once_nothing_can_be_stored_late_any_more() {
    let bench = Bench::new(
        Database::sqlite(),
        &[Fault::LostBefore],
        Duration::from_millis(1),
    )
    .await;
    assert_eq!(
        stored(bench.send("lost")).await.unwrap_err(),
        Error::Unavailable
    );
    let heard = || bench.outcomes.lock().unwrap().len();
    eventually("the outcome", async || heard() == 1).await;
    tokio::time::pause();
    tokio::time::advance(STATEMENT_TIMEOUT / 2).await;
    assert_eq!(heard(), 1);
    tokio::time::advance(STATEMENT_TIMEOUT).await;
    eventually("the last word", async || heard() == 2).await;
}

#[tokio::test]
async fn a_send_in_flight_at_its_deadline_learns_the_outcome() {
    let timeout = Duration::from_millis(200);
    let bench = Bench::new(Database::sqlite(), &[], timeout).await;
    bench.store.close();
    let receipt = bench.send("under way");
    eventually("the attempt", async || !bench.store.batches().is_empty()).await;
    let late = async {
        tokio::time::sleep(2 * timeout).await;
        bench.store.open(1);
    };
    let (outcome, ()) = tokio::join!(stored(receipt), late);
    assert_eq!(outcome.unwrap().message.seq.get(), 1);
}

#[tokio::test]
async fn the_queue_is_bounded_in_bytes() {
    let bench = Bench::new(Database::sqlite(), &[], DEADLINE).await;
    bench.store.close();
    let large = "x".repeat(MAX_BATCH_BYTES);
    let queued =
        std::iter::repeat_with(|| bench.writer.enqueue(draft(&large))).take_while(Result::is_ok);
    let receipts: Vec<_> = queued.take(QUEUE_CAPACITY).flatten().collect();
    assert_eq!(
        receipts.len(),
        QUEUE_BYTES / MAX_BATCH_BYTES - 1,
        "each takes a little more than its text"
    );
    assert_eq!(
        bench.writer.enqueue(draft(&large)).unwrap_err(),
        Error::Unavailable
    );
    bench.store.open(1000);
    for receipt in receipts {
        stored(receipt).await.unwrap();
    }
    stored(bench.writer.enqueue(draft(&large)).unwrap())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let bench = Bench::new(Database::sqlite(), &[], DEADLINE).await;
    bench.store.close();
    let first = bench.send("first");
    eventually("the first batch", async || {
        !bench.store.batches().is_empty()
    })
    .await;
    let receipts: Vec<_> = (0..QUEUE_CAPACITY).map(|_| bench.send("queued")).collect();
    assert_eq!(
        bench.writer.enqueue(draft("over")).unwrap_err(),
        Error::Unavailable
    );
    bench.store.open(1000);
    for receipt in std::iter::once(first).chain(receipts) {
        stored(receipt).await.unwrap();
    }
    assert_eq!(bench.log().await.len(), QUEUE_CAPACITY + 1);
}

#[tokio::test]
async fn stopping_settles_what_is_queued_and_takes_no_more() {
    let bench = Bench::new(Database::sqlite(), &[], DEADLINE).await;
    bench.store.close();
    let receipts: Vec<_> = (0..MAX_BATCH_ENTRIES + 1)
        .map(|_| bench.send("queued"))
        .collect();
    bench.stop.cancel();
    bench.store.open(1000);
    within_deadline("the writer to end", bench.task)
        .await
        .unwrap();
    for receipt in receipts {
        stored(receipt).await.unwrap();
    }
    assert_eq!(
        bench.writer.enqueue(draft("late")).unwrap_err(),
        Error::Unavailable
    );
}

#[tokio::test]
async fn a_failed_commit_is_unhealthy_until_one_succeeds() {
    let bench = Bench::new(Database::sqlite(), &[Fault::LostBefore], DEADLINE).await;
    let health = bench.writer.health();
    assert!(health.is_good());
    bench.store.close();
    let receipt = bench.send("hello");
    bench.store.open(1);
    eventually("the failed attempt", async || !health.is_good()).await;
    bench.store.open(1);
    stored(receipt).await.unwrap();
    assert!(health.is_good());
}

#[tokio::test]
async fn a_failed_commit_without_a_later_one_stops_counting_after_a_while() {
    let bench = Bench::new(
        Database::sqlite(),
        &[Fault::LostBefore; 1000],
        Duration::from_millis(1),
    )
    .await;
    assert_eq!(
        stored(bench.send("hello")).await.unwrap_err(),
        Error::Unavailable
    );
    let health = bench.writer.health();
    eventually("the failed attempt", async || !health.is_good()).await;
    tokio::time::pause();
    tokio::time::advance(UNHEALTHY_FOR / 2).await;
    assert!(!health.is_good());
    tokio::time::advance(UNHEALTHY_FOR).await;
    assert!(health.is_good());
}
