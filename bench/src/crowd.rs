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

/// The most connections in the making at a time: fewer than the backlog of Node's listener, 511.
pub const CONNECTING: usize = 256;

static DOOR: Semaphore = Semaphore::const_new(CONNECTING);

/// Connects clients, named by `kind` and a number.
///
/// # Errors
///
/// When one of them cannot connect.
pub async fn connect(address: SocketAddr, kind: &str, count: usize) -> anyhow::Result<Vec<Client>> {
    all((0..count).map(|number| enter(address, format!("{kind}-{number}")))).await
}

/// Connects one client, at most [`CONNECTING`] at a time.
///
/// # Errors
///
/// When it cannot connect.
pub async fn enter(address: SocketAddr, user: String) -> anyhow::Result<Client> {
    let _turn = DOOR.acquire().await?;
    Client::connect(address, Carrier::WebSocket, &user).await
}

/// A group of running clients, each in a task of its own.
#[derive(Debug, Default)]
pub struct Crowd(JoinSet<anyhow::Result<()>>);

impl Crowd {
    /// Adds a client.
    pub fn add(&mut self, life: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        self.0.spawn(life);
    }

    /// Stops all clients.
    ///
    /// # Errors
    ///
    /// When one of them had failed before.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        while let Some(ended) = self.0.try_join_next() {
            ended??;
        }
        self.0.shutdown().await;
        Ok(())
    }
}

/// Runs all futures at once, each in a task of its own, and returns their results in order.
///
/// # Errors
///
/// When one of them fails.
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

/// Joins all clients at once, each to the room of its number. Their sequences begin after the
/// answers.
///
/// # Errors
///
/// When one of them cannot join.
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

/// Counts of answers and deliveries.
#[derive(Debug, Default)]
pub struct Counts {
    acks: AtomicU64,
    deliveries: AtomicU64,
}

impl Counts {
    /// Counts an acknowledged send.
    pub fn ack(&self) {
        self.acks.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a message received by one member.
    pub fn delivery(&self) {
        self.deliveries.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the number of messages received so far, by all members together.
    pub fn deliveries(&self) -> u64 {
        self.deliveries.load(Ordering::Relaxed)
    }

    /// Measures the counts and the usage during a span of time.
    ///
    /// # Errors
    ///
    /// When the servers' usage cannot be read.
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

/// Counts and usage during a span of time.
#[derive(Debug, Clone, Copy)]
pub struct Watched {
    /// Acknowledged sends.
    pub acks: f64,
    /// Messages received, by all members together.
    pub deliveries: f64,
    /// The time used.
    pub spent: Spent,
}

/// A check that a room's messages arrive once, in order.
#[derive(Debug, Clone, Copy)]
pub struct Sequence(u64);

impl Sequence {
    /// Returns a sequence that begins after the answer to a join.
    pub fn after(last_seq: u64) -> Self {
        Self(last_seq)
    }

    /// Takes an event, and returns true when it is a message.
    ///
    /// # Errors
    ///
    /// When the message does not follow the previous one.
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
