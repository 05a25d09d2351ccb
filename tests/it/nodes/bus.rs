//! One suite for every bus.

use parlor::{
    model::{RoomId, Seq},
    store::Encryption,
    testing::bus::{Bus, MAX_ROOMS, PostgresBus, Wakes},
};

use super::{connect, kill_listeners};
use crate::support::{Database, eventually, within_deadline};

fn room(name: impl ToString) -> RoomId {
    name.to_string().as_str().try_into().unwrap()
}

fn seq(number: i64) -> Seq {
    number.try_into().unwrap()
}

/// Two servers' ends of a bus.
struct Pair {
    database: Database,
    ends: [PostgresBus; 2],
}

impl Pair {
    /// Opens both ends, and waits until they hear each other.
    async fn open() -> Self {
        let database = Database::empty_postgres().await;
        let end = || PostgresBus::open(database.url(), Encryption::Optional).unwrap();
        let ends = [end(), end()];
        let pair = Self { database, ends };
        pair.until_well().await;
        pair.take_all().await;
        pair
    }

    async fn until_well(&self) {
        eventually("both ends to be well", async || {
            self.ends.iter().all(Bus::is_well)
        })
        .await;
    }

    /// Takes the reports of the beginning: the other end hears a last one after them.
    async fn take_all(&self) {
        for (from, to) in [(0, 1), (1, 0)] {
            self.ends[from].tell(&room("the beginning"), seq(1));
            self.until(to, |heard| heard.rooms.contains_key(&room("the beginning")))
                .await;
        }
    }

    /// Takes an end's reports until they are enough.
    async fn until(&self, end: usize, is_enough: impl Fn(&Wakes) -> bool) -> Wakes {
        let mut heard = Wakes::default();
        within_deadline("reports", async {
            while !is_enough(&heard) {
                heard.merge(self.ends[end].wakes().await);
            }
        })
        .await;
        heard
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_heard_by_the_other_servers_and_not_by_its_own() {
    let pair = Pair::open().await;
    pair.ends[0].tell(&room("é 'a' \\ $"), seq(3));
    let heard = pair.until(1, |heard| !heard.is_empty()).await;
    assert_eq!(heard.rooms, [(room("é 'a' \\ $"), seq(3))].into());
    assert!(!heard.any);
    // Its own would have come before the other's.
    pair.ends[1].tell(&room("b"), seq(1));
    let heard = pair.until(0, |heard| !heard.is_empty()).await;
    assert_eq!(heard.rooms, [(room("b"), seq(1))].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_of_many_rooms_arrive_with_the_latest_of_each() {
    const ROOMS: usize = 5_000;
    let pair = Pair::open().await;
    for number in 1..=3 {
        for name in 0..ROOMS {
            pair.ends[0].tell(&room(format!("{name} {}", "x".repeat(90))), seq(number));
        }
    }
    let is_latest = |heard: &Wakes| {
        heard.rooms.len() == ROOMS && heard.rooms.values().all(|latest| *latest == seq(3))
    };
    assert!(!pair.until(1, is_latest).await.any);
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_of_too_many_rooms_are_a_report_of_any() {
    let pair = Pair::open().await;
    for name in 0..2 * MAX_ROOMS {
        pair.ends[0].tell(&room(name), seq(1));
    }
    pair.until(1, |heard| heard.any).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_listener_reports_that_anything_may_be_missed_and_hears_again() {
    let pair = Pair::open().await;
    let mut admin = connect(&pair.database).await;
    assert_eq!(kill_listeners(&mut admin).await, 2);
    for end in [0, 1] {
        pair.until(end, |heard| heard.any).await;
    }
    pair.until_well().await;
    for (from, to) in [(0, 1), (1, 0)] {
        pair.ends[from].tell(&room("again"), seq(1));
        pair.until(to, |heard| heard.rooms.contains_key(&room("again")))
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_reports_are_sent_before_the_end() {
    let pair = Pair::open().await;
    for name in 0..1_000 {
        pair.ends[0].tell(&room(name), seq(1));
    }
    pair.ends[0].close().await;
    pair.until(1, |heard| heard.rooms.len() == 1_000).await;
}
