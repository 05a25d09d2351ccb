//! Many small rooms, with every message stored.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Figure, Workload, shares};
use crate::{
    client::{Client, Packet},
    crowd::{self, Counts, Crowd, Sequence},
    lab::{Lab, Run},
    server::Contestant,
};

const ROOMS: usize = 100;
const SENDERS_PER_ROOM: usize = 5;
/// Sends that each sender keeps in flight.
const WINDOW: usize = 16;

/// Five members of each of a hundred rooms send as fast as they are answered.
pub struct Persist;

#[async_trait]
impl Workload for Persist {
    fn key(&self) -> &'static str {
        "persist"
    }

    fn title(&self, lab: &Lab) -> String {
        format!(
            "{} rooms x {SENDERS_PER_ROOM} senders, {WINDOW} sends in flight each, stored",
            lab.size.scaled(ROOMS)
        )
    }

    fn contestants(&self) -> &'static [Contestant] {
        &[
            Contestant::Parlor,
            Contestant::Peer,
            Contestant::Sqlite,
            Contestant::Unpersisted,
            Contestant::LowerBound,
        ]
    }

    async fn run(&self, lab: &Lab, run: &mut Run) -> anyhow::Result<Vec<Figure>> {
        let rooms = lab.size.scaled(ROOMS);
        let counts = Arc::new(Counts::default());
        let mut senders = Crowd::default();
        let clients =
            crowd::connect(run.server.address, "sender", rooms * SENDERS_PER_ROOM).await?;
        for (number, client) in clients.into_iter().enumerate() {
            senders.add(send(
                client,
                format!("room-{}", number % rooms),
                counts.clone(),
            ));
        }
        tokio::time::sleep(lab.size.warm_up()).await;
        let watched = counts.watch(run, lab.size.time).await?;
        senders.stop().await?;
        let spent = watched.spent;
        let figures = [
            Figure::higher("acks/s", watched.acks / spent.wall),
            Figure::higher("acks per server CPU second", watched.acks / spent.server),
            Figure::beside("deliveries/s", watched.deliveries / spent.wall),
        ];
        Ok(figures.into_iter().chain(shares(spent)).collect())
    }
}

/// Joins a room, and sends to it as fast as it is answered.
pub(super) async fn send(
    mut client: Client,
    room: String,
    counts: Arc<Counts>,
) -> anyhow::Result<()> {
    let joined = client.join(&room, None).await?;
    let mut sequence = Sequence::after(joined.last_seq);
    for _ in 0..WINDOW {
        client.say(&room, 0);
    }
    loop {
        client.flush().await?;
        loop {
            match client.next().await? {
                Packet::Ack(..) => {
                    counts.ack();
                    client.say(&room, 0);
                }
                Packet::Event(event) if sequence.take(&event)? => counts.delivery(),
                Packet::Event(_) => {}
            }
            if !client.has_more() {
                break;
            }
        }
    }
}
