//! Reads from a long log.

use std::{ops::Range, sync::Arc};

use anyhow::Context;
use async_trait::async_trait;
use tokio::time::sleep;

use super::{Figure, Workload};
use crate::{
    client::{BODY_BYTES, Client},
    crowd::{self, Counts, Crowd},
    lab::{Lab, Run, Spent, execute},
    server::Contestant,
};

const MESSAGES_PER_ROOM: usize = 10_000;
/// The numbers of filled rooms, at first and then.
const ROOMS: [usize; 2] = [1, 1_000];
const READERS: usize = 20;
/// The rooms of each reader.
const ROOMS_PER_READER: usize = 50;
const PAGE: usize = 50;

/// Twenty clients read pages from random places in a room: first in a log of ten thousand messages,
/// then of ten million.
pub struct History;

#[async_trait]
impl Workload for History {
    fn key(&self) -> &'static str {
        "history"
    }

    fn title(&self, lab: &Lab) -> String {
        let messages = lab.size.scaled(ROOMS[1]) * MESSAGES_PER_ROOM;
        format!(
            "{READERS} clients read pages of {PAGE} messages, {messages} stored in {} rooms",
            lab.size.scaled(ROOMS[1])
        )
    }

    fn contestants(&self) -> &'static [Contestant] {
        &[Contestant::Parlor, Contestant::Peer]
    }

    /// Storing ten million messages takes longer than everything else, so there is one run.
    fn runs(&self, asked: usize) -> usize {
        asked.min(1)
    }

    async fn run(&self, lab: &Lab, run: &mut Run) -> anyhow::Result<Vec<Figure>> {
        let (mut stored, mut figures) = (0, Vec::new());
        for rooms in ROOMS.map(|rooms| lab.size.scaled(rooms)) {
            store(run, stored..rooms).await?;
            stored = rooms;
            let messages = rooms * MESSAGES_PER_ROOM;
            let (pages, spent) = read(lab, run, rooms).await?;
            figures.push(Figure::higher(
                format!("{messages} stored: pages/s"),
                pages / spent.wall,
            ));
            figures.push(Figure::lower(
                format!("{messages} stored: server CPU µs per page"),
                spent.server / pages * 1e6,
            ));
            figures.push(Figure::beside(
                format!("{messages} stored: database CPU µs per page"),
                spent.database / pages * 1e6,
            ));
        }
        Ok(figures)
    }
}

/// Fills rooms from within the database: both servers keep messages in a table with the same
/// columns.
async fn store(run: &Run, rooms: Range<usize>) -> anyhow::Result<()> {
    let mut database = run.database().await?;
    let (first, end) = (rooms.start, rooms.end);
    let each_room = format!(
        "SELECT 'room-' || room AS room_id FROM generate_series({first}, {end} - 1) AS room"
    );
    execute(
        &mut database,
        &format!("INSERT INTO rooms (room_id, last_seq) SELECT room_id, {MESSAGES_PER_ROOM} FROM ({each_room}) AS r"),
    )
    .await?;
    let messages = format!(
        "INSERT INTO messages (room_id, seq, id, user_id, message, client_message_id, \"timestamp\")
         SELECT room_id, seq, gen_random_uuid(), 'writer-' || seq % 100, repeat('x', {BODY_BYTES}), seq::text, now()
         FROM ({each_room}) AS r CROSS JOIN generate_series(1, {MESSAGES_PER_ROOM}) AS seq"
    );
    execute(&mut database, &messages).await?;
    execute(&mut database, "VACUUM (ANALYZE) messages").await?;
    execute(&mut database, "CHECKPOINT").await
}

/// Returns the pages read per second, and the time used.
async fn read(lab: &Lab, run: &Run, rooms: usize) -> anyhow::Result<(f64, Spent)> {
    let counts = Arc::new(Counts::default());
    let clients = crowd::connect(run.server.address, "reader", READERS).await?;
    let joined = crowd::all(clients.into_iter().map(move |reader| join(reader, rooms))).await?;
    let mut readers = Crowd::default();
    for (reader, rooms) in joined {
        readers.add(turn_pages(reader, rooms, counts.clone()));
    }
    sleep(lab.size.warm_up()).await;
    let watched = counts.watch(run, lab.size.time).await?;
    readers.stop().await?;
    Ok((watched.acks, watched.spent))
}

async fn join(mut reader: Client, rooms: usize) -> anyhow::Result<(Client, Vec<String>)> {
    let joined: Vec<_> = (0..ROOMS_PER_READER)
        .map(|_| format!("room-{}", fastrand::usize(..rooms)))
        .collect();
    for room in &joined {
        reader.join(room, None).await?;
    }
    Ok((reader, joined))
}

/// Reads one page after another, each from a random place in one of the rooms.
async fn turn_pages(
    mut reader: Client,
    rooms: Vec<String>,
    counts: Arc<Counts>,
) -> anyhow::Result<()> {
    loop {
        let room = fastrand::choice(&rooms).context("a reader has rooms")?;
        let before = fastrand::usize(PAGE..MESSAGES_PER_ROOM);
        reader.ask(
            "getHistory",
            format_args!("{{\"roomId\":\"{room}\",\"beforeSeq\":{before}}}"),
        );
        reader.answers(1).await?;
        counts.ack();
    }
}
