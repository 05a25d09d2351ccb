//! Several servers on one database, with members of every room on each of them.

mod latency;

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::PgConnection;
use tokio::time::sleep;

use self::latency::{Latencies, Pace};
use super::{Figure, Workload};
use crate::{
    client::{Client, Packet},
    crowd::{self, Counts, Crowd, Sequence, Watched},
    lab::{Lab, Run},
    server::Contestant,
};

const ROOMS: usize = 100;
const MEMBERS_PER_ROOM: usize = 5;
/// Sends that each member keeps in flight when nothing else holds it back.
const WINDOW: usize = 16;
/// Messages a second of all members together when they are paced.
const RATE: f64 = 1_000.0;

/// The members of a hundred rooms, spread over more and more servers, send at a fixed rate, and then
/// as fast as they are answered.
pub struct Cluster;

#[async_trait]
impl Workload for Cluster {
    fn key(&self) -> &'static str {
        "cluster"
    }

    fn title(&self, lab: &Lab) -> String {
        let (rooms, rate) = (lab.size.scaled(ROOMS), rate(lab));
        format!(
            "{rooms} rooms x {MEMBERS_PER_ROOM} senders spread over 1, 2, 4 servers on one Postgres: {rate} messages/s, then {WINDOW} sends in flight each"
        )
    }

    fn contestants(&self) -> &'static [Contestant] {
        &[
            Contestant::Parlor,
            Contestant::PeerByPostgres,
            Contestant::ParlorByRedis,
            Contestant::PeerByRedis,
            Contestant::ParlorWithoutBus,
        ]
    }

    async fn run(&self, lab: &Lab, run: &mut Run) -> anyhow::Result<Vec<Figure>> {
        let mut figures = Vec::new();
        for &servers in numbers_of_servers(run.contestant) {
            run.grow(lab, servers).await?;
            let label = match servers {
                1 => "1 server".to_owned(),
                more => format!("{more} servers"),
            };
            figures.extend(paced(lab, run, &label).await?);
            figures.extend(full(lab, run, &label).await?);
        }
        Ok(figures)
    }
}

/// Returns the numbers of servers to measure: nothing but one works without a bus, and one peer
/// needs no adapter.
fn numbers_of_servers(contestant: Contestant) -> &'static [usize] {
    match contestant {
        Contestant::ParlorWithoutBus => &[1],
        peer if peer.is_peer() => &[2, 4],
        _ => &[1, 2, 4],
    }
}

fn rate(lab: &Lab) -> f64 {
    RATE * lab.size.scaled(ROOMS) as f64 / ROOMS as f64
}

/// Measures members that send as fast as they are answered.
async fn full(lab: &Lab, run: &Run, label: &str) -> anyhow::Result<Vec<Figure>> {
    let counts = Arc::new(Counts::default());
    let mut crowd = Crowd::default();
    for member in enter(lab, run, "full").await? {
        crowd.add(send(member, counts.clone()));
    }
    let (watched, reads) = watch(lab, run, &counts).await?;
    crowd.stop().await?;
    let name = |figure: &str| format!("{label}: {figure}");
    Ok(vec![
        Figure::higher(name("acks/s"), watched.acks / watched.spent.wall),
        Figure::beside(
            name("deliveries per ack"),
            watched.deliveries / watched.acks,
        ),
        Figure::beside(
            name("database CPU µs per message"),
            watched.spent.database * 1e6 / watched.acks,
        ),
        Figure::beside(
            name("messages read from the log per message"),
            reads.messages / watched.acks,
        ),
    ])
}

/// Measures members that send at a fixed rate.
async fn paced(lab: &Lab, run: &Run, label: &str) -> anyhow::Result<Vec<Figure>> {
    let counts = Arc::new(Counts::default());
    let members = enter(lab, run, "paced").await?;
    let nodes = members.iter().map(|member| member.node).collect();
    let latencies = Arc::new(Latencies::new(nodes, lab.size.warm_up()));
    let mut crowd = Crowd::default();
    for member in members {
        let pace = Pace::of(rate(lab), lab.size.scaled(ROOMS) * MEMBERS_PER_ROOM);
        crowd.add(talk(member, pace, latencies.clone(), counts.clone()));
    }
    let (watched, reads) = watch(lab, run, &counts).await?;
    crowd.stop().await?;
    let name = |figure: &str| format!("{label}, paced: {figure}");
    let each = |seconds: f64| seconds * 1e6 / watched.acks;
    let mut figures = latencies.figures(label);
    figures.extend([
        Figure::lower(
            name("database CPU µs per message"),
            each(watched.spent.database),
        ),
        Figure::lower(
            name("server CPU µs per message"),
            each(watched.spent.server),
        ),
        Figure::beside(name("Redis CPU µs per message"), each(watched.spent.redis)),
        Figure::beside(name("log reads per message"), reads.reads / watched.acks),
        Figure::beside(
            name("messages read from the log per message"),
            reads.messages / watched.acks,
        ),
    ]);
    Ok(figures)
}

/// A connected member of a room.
struct Member {
    client: Client,
    room: String,
    number: usize,
    /// The place of its server among all servers.
    node: usize,
    /// None for members of a server that promises no order.
    sequence: Option<Sequence>,
}

impl Member {
    /// Takes an event, and returns true when it is a message.
    fn take(&mut self, event: &[u8]) -> anyhow::Result<bool> {
        match &mut self.sequence {
            Some(sequence) => sequence.take(event),
            None => Ok(crate::client::live_seq(event).is_some()),
        }
    }
}

/// Connects the members of new rooms, each room's to all servers in turn.
async fn enter(lab: &Lab, run: &Run, kind: &str) -> anyhow::Result<Vec<Member>> {
    let (rooms, addresses) = (lab.size.scaled(ROOMS), run.addresses());
    let is_in_order = !run.contestant.is_peer();
    let entering = (0..rooms * MEMBERS_PER_ROOM).map(|number| {
        let (room, place) = (number % rooms, number / rooms);
        let node = (room + place) % addresses.len();
        let address = addresses[node];
        let room = format!("{kind}-{}-{room}", addresses.len());
        async move {
            let mut client = crowd::enter(address, format!("member-{number}")).await?;
            let joined = client.join(&room, None).await?;
            let sequence = is_in_order.then(|| Sequence::after(joined.last_seq));
            Ok(Member {
                client,
                room,
                number,
                node,
                sequence,
            })
        }
    });
    crowd::all(entering).await
}

/// Sends as fast as the server answers.
async fn send(mut member: Member, counts: Arc<Counts>) -> anyhow::Result<()> {
    for _ in 0..WINDOW {
        member.client.say(&member.room, 0);
    }
    loop {
        member.client.flush().await?;
        loop {
            match member.client.next().await? {
                Packet::Ack(..) => {
                    counts.ack();
                    member.client.say(&member.room, 0);
                }
                Packet::Event(event) if member.take(&event)? => counts.delivery(),
                Packet::Event(_) => {}
            }
            if !member.client.has_more() {
                break;
            }
        }
    }
}

/// Sends on schedule, without waiting for answers.
async fn talk(
    mut member: Member,
    mut pace: Pace,
    latencies: Arc<Latencies>,
    counts: Arc<Counts>,
) -> anyhow::Result<()> {
    loop {
        tokio::select! {
            due = pace.next() => {
                let mark = latencies.mark(due, member.number);
                member.client.say(&member.room, mark);
                member.client.flush().await?;
            }
            packet = member.client.next() => match packet? {
                Packet::Ack(..) => counts.ack(),
                Packet::Event(event) if member.take(&event)? => {
                    counts.delivery();
                    latencies.delivered(&event, member.number);
                }
                Packet::Event(_) => {}
            }
        }
    }
}

/// Counts of the log's reads.
struct Reads {
    reads: f64,
    messages: f64,
}

/// Measures the counts, the usage and the reads of the log after a warm-up.
async fn watch(lab: &Lab, run: &Run, counts: &Counts) -> anyhow::Result<(Watched, Reads)> {
    sleep(lab.size.warm_up()).await;
    let mut database = run.database().await?;
    let before = read_counts(&mut database).await?;
    let watched = counts.watch(run, lab.size.time).await?;
    let after = read_counts(&mut database).await?;
    let reads = Reads {
        reads: (after.0 - before.0) as f64,
        messages: (after.1 - before.1) as f64,
    };
    Ok((watched, reads))
}

/// Returns the numbers of searches in the log and of messages found. Postgres counts both up to a
/// second later.
async fn read_counts(database: &mut PgConnection) -> anyhow::Result<(i64, i64)> {
    let counts = sqlx::query_as(
        "SELECT idx_scan::bigint, idx_tup_fetch::bigint FROM pg_stat_user_tables WHERE relname = 'messages'",
    );
    Ok(counts.fetch_one(database).await?)
}
