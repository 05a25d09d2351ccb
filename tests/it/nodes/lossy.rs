//! Servers with a bus that loses reports without noticing.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use futures_util::future::join_all;
use parlor::{
    model::{Revision, RoomId, Seq, Signal},
    testing::bus::{Bus, News, RosterStore},
};
use serde_json::json;
use tokio::time::Instant;

use super::{engine::Engine, watcher::Watcher};
use crate::support::{FLOODED, Server};

/// A bus that passes on one of `of` reports, or none.
pub struct Lossy {
    inner: Arc<dyn Bus>,
    of: Option<usize>,
    reports: AtomicUsize,
}

impl Lossy {
    /// Returns a bus that loses reports of another one.
    pub fn around(inner: Arc<dyn Bus>, of: Option<usize>) -> Arc<dyn Bus> {
        Arc::new(Self {
            inner,
            of,
            reports: AtomicUsize::new(0),
        })
    }

    fn passes(&self) -> bool {
        let number = self.reports.fetch_add(1, Ordering::Relaxed);
        self.of.is_some_and(|of| number.is_multiple_of(of))
    }
}

#[async_trait]
impl Bus for Lossy {
    fn tell(&self, room: &RoomId, seq: Seq) {
        if self.passes() {
            self.inner.tell(room, seq);
        }
    }

    fn tell_change(&self, room: &RoomId, revision: Revision) {
        if self.passes() {
            self.inner.tell_change(room, revision);
        }
    }

    fn signal(&self, room: &RoomId, signal: &Signal) {
        if self.passes() {
            self.inner.signal(room, signal);
        }
    }

    fn tell_roster(&self, room: &RoomId) {
        if self.passes() {
            self.inner.tell_roster(room);
        }
    }

    fn tell_any(&self) {
        if self.passes() {
            self.inner.tell_any();
        }
    }

    fn rosters(&self) -> &dyn RosterStore {
        self.inner.rosters()
    }

    async fn news(&self) -> News {
        self.inner.news().await
    }

    fn is_crowded(&self) -> bool {
        self.inner.is_crowded()
    }

    fn is_well(&self) -> bool {
        self.inner.is_well()
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

const SERVERS: usize = 3;
const ROOMS: usize = 4;
const SENDS: usize = 30;

#[tokio::test(flavor = "multi_thread")]
async fn everything_arrives_though_the_bus_loses_half() {
    everything_arrives(Engine::postgres().await, Some(2)).await;
    everything_arrives(Engine::redis(), Some(2)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_arrives_though_the_bus_loses_all() {
    everything_arrives(Engine::postgres().await, None).await;
    everything_arrives(Engine::redis(), None).await;
}

/// Sends messages, and checks that each member gets all of its room, and knows all its members.
async fn everything_arrives(engine: Engine, of: Option<usize>) {
    let database = engine.database().await;
    let flags = engine.flags(&[FLOODED]);
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let mut servers = vec![];
    for _ in 0..SERVERS {
        let around = |inner| Lossy::around(inner, of);
        servers.push(Server::around_bus(database.shared(), &flags, around).await);
    }
    let mut members = vec![];
    for room in 0..ROOMS {
        for (number, server) in servers.iter().enumerate() {
            let (room, user) = (room.to_string(), number.to_string());
            let member = Watcher::join(server.address(), &user, &room).await;
            members.push((room, member));
        }
    }
    let talking = members.into_iter().map(|(room, mut member)| async move {
        for number in 0..SENDS {
            let message = json!({ "roomId": room, "message": number.to_string() });
            member.client.emit("sendMessage", &message).await;
        }
        member.client.flush().await;
        let mut told = 0;
        while told < SERVERS * SENDS || member.count < SERVERS {
            if let Some(message) = member.next("newMessage").await {
                told += 1;
                assert_eq!(message["seq"], told);
            }
        }
    });
    let begun = Instant::now();
    join_all(talking).await;
    println!("one of {of:?}: everything after {:?}", begun.elapsed());
}
