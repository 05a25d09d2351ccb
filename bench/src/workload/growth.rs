//! The cost of a message as the number of rooms grows.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::{Figure, Workload};
use crate::{
    client::{Client, Packet},
    crowd::{self, Counts, Crowd},
    lab::{Lab, Run},
    server::Contestant,
};

const ROOMS: [usize; 4] = [10, 100, 1_000, 10_000];
const CLIENTS: usize = 50;
/// Every message has this many receivers, however many rooms there are.
const MEMBERS_PER_ROOM: usize = 5;
/// Messages a second of all clients together, well within the reach of every server here.
const RATE: f64 = 1_000.0;
/// Joins that each client keeps in flight.
const WINDOW: usize = 32;

/// The same few clients are in more and more rooms, and send at the same rate.
pub struct Growth;

#[async_trait]
impl Workload for Growth {
    fn key(&self) -> &'static str {
        "growth"
    }

    fn title(&self, lab: &Lab) -> String {
        let rooms = ROOMS
            .map(|rooms| lab.size.scaled(rooms).to_string())
            .join(", ");
        format!("{CLIENTS} clients in {rooms} rooms of {MEMBERS_PER_ROOM}, {RATE} messages/s")
    }

    fn contestants(&self) -> &'static [Contestant] {
        &[Contestant::Parlor, Contestant::Peer]
    }

    async fn run(&self, lab: &Lab, run: &mut Run) -> anyhow::Result<Vec<Figure>> {
        let mut figures = Vec::new();
        // A just-in-time compiler makes the first figures slower.
        measure(lab, run, lab.size.scaled(ROOMS[0])).await?;
        for rooms in ROOMS {
            let cost = measure(lab, run, lab.size.scaled(rooms)).await?;
            figures.push(Figure::lower(
                format!("{rooms} rooms: server CPU µs per message"),
                cost.server,
            ));
            figures.push(Figure::beside(
                format!("{rooms} rooms: database CPU µs per message"),
                cost.database,
            ));
        }
        let growth = figures[figures.len() - 2].value / figures[0].value;
        figures.push(Figure::lower(
            "server CPU per message, most rooms to fewest",
            growth,
        ));
        Ok(figures)
    }
}

/// Processor time, in microseconds.
struct Cost {
    server: f64,
    database: f64,
}

async fn measure(lab: &Lab, run: &Run, rooms: usize) -> anyhow::Result<Cost> {
    let counts = Arc::new(Counts::default());
    let clients = crowd::connect(run.server.address, "member", CLIENTS).await?;
    let joining = clients
        .into_iter()
        .enumerate()
        .map(|(number, client)| join(client, rooms_of(number, rooms)));
    let joined = crowd::all(joining).await?;
    let mut crowd = Crowd::default();
    for (client, rooms) in joined {
        crowd.add(talk(client, rooms, counts.clone()));
    }
    sleep(lab.size.warm_up()).await;
    let watched = counts.watch(run, lab.size.time).await?;
    crowd.stop().await?;
    let micros = |seconds| seconds * 1e6 / watched.acks;
    Ok(Cost {
        server: micros(watched.spent.server),
        database: micros(watched.spent.database),
    })
}

/// Returns a client's rooms, with the members dealt out in turn.
fn rooms_of(client: usize, rooms: usize) -> Vec<String> {
    let places = (0..rooms * MEMBERS_PER_ROOM).skip(client).step_by(CLIENTS);
    places
        .map(|place| format!("room-{}", place / MEMBERS_PER_ROOM))
        .collect()
}

async fn join(mut client: Client, rooms: Vec<String>) -> anyhow::Result<(Client, Vec<String>)> {
    for some in rooms.chunks(WINDOW) {
        for room in some {
            client.ask("joinRoom", format_args!("{{\"roomId\":\"{room}\"}}"));
        }
        client.answers(some.len()).await?;
    }
    Ok((client, rooms))
}

/// Sends to one room after another.
async fn talk(mut client: Client, rooms: Vec<String>, counts: Arc<Counts>) -> anyhow::Result<()> {
    sleep(Duration::from_secs_f64(
        fastrand::f64() * CLIENTS as f64 / RATE,
    ))
    .await;
    let mut pace = interval(Duration::from_secs_f64(CLIENTS as f64 / RATE));
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut next = rooms.iter().cycle();
    loop {
        tokio::select! {
            _ = pace.tick() => {
                let Some(room) = next.next() else {
                    return Ok(());
                };
                client.say(room, 0);
                client.flush().await?;
            }
            packet = client.next() => match packet? {
                Packet::Ack(..) => counts.ack(),
                Packet::Event(_) => counts.delivery(),
            }
        }
    }
}
