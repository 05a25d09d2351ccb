//! Many clients at once.

use std::{
    future::Future,
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
};

use testkit::wire::Carrier;
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    client::{Client, live_seq},
    lab::{Run, Spent},
};

/// How many connections are being made at a time: fewer than Node's listener lets wait, 511.
pub const CONNECTING: usize = 256;

static DOOR: Semaphore = Semaphore::const_new(CONNECTING);

/// Connects clients whose names are made of `kind` and a number.
pub async fn connect(address: SocketAddr, kind: &str, count: usize) -> anyhow::Result<Vec<Client>> {
    all((0..count).map(|number| enter(address, format!("{kind}-{number}")))).await
}

/// Connects when it is its turn: a few do so at a time.
pub async fn enter(address: SocketAddr, user: String) -> anyhow::Result<Client> {
    let _turn = DOOR.acquire().await?;
    Client::connect(address, Carrier::WebSocket, &user).await
}

/// Clients that do something, each in a task of its own, until they are stopped.
#[derive(Debug, Default)]
pub struct Crowd(JoinSet<anyhow::Result<()>>);

impl Crowd {
    /// Adds one.
    pub fn add(&mut self, life: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        self.0.spawn(life);
    }

    /// Stops all.
    ///
    /// Errors when one had failed before.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        while let Some(ended) = self.0.try_join_next() {
            ended??;
        }
        self.0.shutdown().await;
        Ok(())
    }
}

/// Lets all do something at once, each in a task of its own, and waits for what comes of it, in
/// their order.
///
/// Errors when one fails.
pub async fn all<T: Send + 'static>(
    lives: impl Iterator<Item = impl Future<Output = anyhow::Result<T>> + Send + 'static>,
) -> anyhow::Result<Vec<T>> {
    let tasks: Vec<_> = lives.map(tokio::spawn).collect();
    let mut ends = Vec::with_capacity(tasks.len());
    for task in tasks {
        ends.push(task.await??);
    }
    Ok(ends)
}

/// Lets all join at once, each the room that is named for its number; the sequences begin where the
/// answers end.
pub async fn join(
    clients: Vec<Client>,
    room: impl Fn(usize) -> String,
) -> anyhow::Result<Vec<(Client, Sequence)>> {
    let joining = clients.into_iter().enumerate().map(|(number, mut client)| {
        let room = room(number);
        async move {
            let joined = client.join(&room, None).await?;
            Ok((client, Sequence::after(joined.last_seq)))
        }
    });
    all(joining).await
}

/// What clients have seen.
#[derive(Debug, Default)]
pub struct Counts {
    acks: AtomicU64,
    deliveries: AtomicU64,
}

impl Counts {
    /// Counts an answered send.
    pub fn ack(&self) {
        self.acks.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a message that has come to somebody.
    pub fn delivery(&self) {
        self.deliveries.fetch_add(1, Ordering::Relaxed);
    }

    /// How many messages have come to somebody so far.
    pub fn deliveries(&self) -> u64 {
        self.deliveries.load(Ordering::Relaxed)
    }

    /// Measures what is counted, and what is used, during some time.
    pub async fn watch(&self, run: &Run, time: std::time::Duration) -> anyhow::Result<Watched> {
        let read = || [&self.acks, &self.deliveries].map(|count| count.load(Ordering::Relaxed));
        let before = read();
        let spent = run.watch(time).await?;
        let after = read();
        let [acks, deliveries] = [0, 1].map(|kind| (after[kind] - before[kind]) as f64);
        Ok(Watched {
            acks,
            deliveries,
            spent,
        })
    }
}

/// What was counted and used during some time.
#[derive(Debug, Clone, Copy)]
pub struct Watched {
    /// Sends that were answered.
    pub acks: f64,
    /// Messages that came to somebody.
    pub deliveries: f64,
    /// What it took.
    pub spent: Spent,
}

/// Sees to it that each message of a room comes once, in order.
#[derive(Debug, Clone, Copy)]
pub struct Sequence(u64);

impl Sequence {
    /// One that begins after the answer to a join.
    pub fn after(last_seq: u64) -> Self {
        Self(last_seq)
    }

    /// Takes note of an event; whether it is a message.
    ///
    /// Errors when it does not follow the one before.
    pub fn take(&mut self, event: &[u8]) -> anyhow::Result<bool> {
        let Some(seq) = live_seq(event) else {
            return Ok(false);
        };
        anyhow::ensure!(
            seq == self.0 + 1,
            "message {seq} came after message {}",
            self.0
        );
        self.0 = seq;
        Ok(true)
    }
}
