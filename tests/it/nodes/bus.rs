//! One suite for every bus.

use std::{sync::Arc, time::Instant};

use parlor::{
    model::{Relayed, RoomId, Seq, Signal},
    store::Schema,
    testing::bus::{Bus, MAX_ROOMS, MAX_SIGNALS, News, Signals},
};

use serde_json::json;

use super::engine::{Engine, conformance};
use crate::support::{eventually, within_deadline};

conformance!(
    a_report_is_heard_by_the_other_servers_and_not_by_its_own,
    reports_of_many_rooms_arrive_with_the_latest_of_each,
    reports_of_too_many_rooms_are_a_report_of_any,
    a_lost_listener_reports_that_anything_may_be_missed_and_hears_again,
    the_last_reports_are_sent_before_the_end,
    signals_are_heard_in_order_by_the_other_servers,
    large_signals_are_heard_in_order_among_small_ones,
    signals_stay_within_a_schema,
    signals_under_pressure_are_dropped_and_reports_are_not,
);

pub fn room(name: impl ToString) -> RoomId {
    name.to_string().as_str().try_into().unwrap()
}

pub fn seq(number: i64) -> Seq {
    number.try_into().unwrap()
}

/// Two servers' ends of a bus.
pub struct Pair {
    pub ends: [Arc<dyn Bus>; 2],
}

impl Pair {
    /// Opens both ends, and waits until they hear each other.
    async fn open(engine: &Engine) -> Self {
        Self::with_schemas(engine, [None, None]).await
    }

    async fn with_schemas(engine: &Engine, schemas: [Option<Schema>; 2]) -> Self {
        let pair = Self {
            ends: schemas.map(|schema| engine.open(schema)),
        };
        pair.until_well().await;
        pair.take_all().await;
        pair
    }

    pub async fn until_well(&self) {
        eventually("both ends to be well", async || {
            self.ends.iter().all(|end| end.is_well())
        })
        .await;
    }

    /// Takes the reports of the beginning: the other end hears a last one after them.
    pub async fn take_all(&self) {
        for (from, to) in [(0, 1), (1, 0)] {
            self.ends[from].tell(&room("the beginning"), seq(1));
            self.until(to, |heard| {
                heard.wakes.rooms.contains_key(&room("the beginning"))
            })
            .await;
        }
    }

    /// Takes an end's news until it is enough.
    pub async fn until(&self, end: usize, is_enough: impl Fn(&News) -> bool) -> News {
        let mut heard = News::default();
        within_deadline("news", async {
            while !is_enough(&heard) {
                heard.merge(self.ends[end].news().await);
            }
        })
        .await;
        heard
    }
}

async fn a_report_is_heard_by_the_other_servers_and_not_by_its_own(engine: Engine) {
    let pair = Pair::open(&engine).await;
    pair.ends[0].tell(&room("é 'a' \\ $"), seq(3));
    let heard = pair.until(1, |heard| !heard.is_empty()).await;
    assert_eq!(heard.wakes.rooms, [(room("é 'a' \\ $"), seq(3))].into());
    assert!(!heard.wakes.any);
    // Its own would have come before the other's.
    pair.ends[1].tell(&room("b"), seq(1));
    let heard = pair.until(0, |heard| !heard.is_empty()).await;
    assert_eq!(heard.wakes.rooms, [(room("b"), seq(1))].into());
}

async fn reports_of_many_rooms_arrive_with_the_latest_of_each(engine: Engine) {
    const ROOMS: usize = 5_000;
    let pair = Pair::open(&engine).await;
    for number in 1..=3 {
        for name in 0..ROOMS {
            pair.ends[0].tell(&room(format!("{name} {}", "x".repeat(90))), seq(number));
        }
    }
    let is_latest = |News { wakes, .. }: &News| {
        wakes.rooms.len() == ROOMS && wakes.rooms.values().all(|latest| *latest == seq(3))
    };
    assert!(!pair.until(1, is_latest).await.wakes.any);
}

async fn reports_of_too_many_rooms_are_a_report_of_any(engine: Engine) {
    let pair = Pair::open(&engine).await;
    for name in 0..2 * MAX_ROOMS {
        pair.ends[0].tell(&room(name), seq(1));
    }
    pair.until(1, |heard| heard.wakes.any).await;
}

async fn a_lost_listener_reports_that_anything_may_be_missed_and_hears_again(engine: Engine) {
    let pair = Pair::open(&engine).await;
    assert_eq!(engine.kill_listeners().await, 2);
    for end in [0, 1] {
        pair.until(end, |heard| heard.wakes.any).await;
    }
    pair.until_well().await;
    pair.take_all().await;
}

async fn the_last_reports_are_sent_before_the_end(engine: Engine) {
    let pair = Pair::open(&engine).await;
    for name in 0..1_000 {
        pair.ends[0].tell(&room(name), seq(1));
    }
    pair.ends[0].close().await;
    pair.until(1, |heard| heard.wakes.rooms.len() == 1_000)
        .await;
}

fn typing(number: usize) -> Signal {
    Signal::Typing {
        user_id: number.to_string().as_str().try_into().unwrap(),
        is_typing: number.is_multiple_of(2),
    }
}

async fn signals_are_heard_in_order_by_the_other_servers(engine: Engine) {
    let pair = Pair::open(&engine).await;
    let numbers = 0..MAX_SIGNALS / 2;
    for number in numbers.clone() {
        pair.ends[0].signal(&room("a"), &typing(number));
    }
    let all = |heard: &News| heard.signals.len() == numbers.len();
    let heard = pair.until(1, all).await;
    let expected = numbers.clone().map(|number| (room("a"), typing(number)));
    assert_eq!(heard.signals, Signals::from_iter(expected));
}

async fn large_signals_are_heard_in_order_among_small_ones(engine: Engine) {
    let pair = Pair::open(&engine).await;
    let relayed = |number: usize| {
        let bytes = if number.is_multiple_of(4) {
            16_000
        } else {
            number
        };
        let relayed = Relayed {
            user_id: "ann".try_into().unwrap(),
            party_id: None,
            call_id: None,
            client: 0,
            to: None,
            event: "move".try_into().unwrap(),
            data: serde_json::from_value(json!({ "\"": "x".repeat(bytes) })).unwrap(),
        };
        (room("a \" b"), Signal::Relayed(relayed.into()))
    };
    let begun = Instant::now();
    for (room, signal) in (0..900).map(relayed) {
        pair.ends[0].signal(&room, &signal);
    }
    let all = |heard: &News| heard.signals.len() == 900;
    let heard = pair.until(1, all).await;
    println!("3.8 MB of signals after {:?}", begun.elapsed());
    assert_eq!(heard.signals, Signals::from_iter((0..900).map(relayed)));
}

async fn signals_stay_within_a_schema(engine: Engine) {
    let schema = |name: &str| Some(name.parse().unwrap());
    let ours = Pair::with_schemas(&engine, [schema("one"), schema("one")]).await;
    let others = Pair::with_schemas(&engine, [schema("other one"), schema("other one")]).await;
    ours.ends[0].signal(&room("a"), &typing(0));
    ours.until(1, |heard| !heard.signals.is_empty()).await;
    others.ends[0].tell(&room("b"), seq(1));
    let is_last = |heard: &News| heard.wakes.rooms.contains_key(&room("b"));
    assert!(others.until(1, is_last).await.signals.is_empty());
}

async fn signals_under_pressure_are_dropped_and_reports_are_not(engine: Engine) {
    let pair = Pair::open(&engine).await;
    for number in 0..100 * MAX_SIGNALS {
        pair.ends[0].signal(&room("a"), &typing(number));
    }
    pair.ends[0].tell(&room("a"), seq(1));
    let mut signals = 0;
    let heard = within_deadline("the report", async {
        loop {
            let heard = pair.ends[1].news().await;
            signals += heard.signals.len();
            if !heard.wakes.is_empty() {
                break heard.wakes;
            }
        }
    });
    assert_eq!(heard.await.rooms, [(room("a"), seq(1))].into());
    assert!(signals < 100 * MAX_SIGNALS, "{signals}");
}
