//! A mass disconnect.

use std::{net::SocketAddr, time::Instant};

use anyhow::ensure;
use async_trait::async_trait;

use super::{Figure, Workload, shares};
use crate::{
    client::{Client, Packet},
    crowd::{self, Sequence},
    lab::{Lab, Run},
    server::Contestant,
};

const CLIENTS: usize = 5_000;
const MEMBERS_PER_ROOM: usize = 100;
/// Messages sent to each room while its members are away, or on their way back.
const MISSED: usize = 20;

/// Thousands of connections break at once. All of them come back at once and get the missed
/// messages.
pub struct Reconnects;

#[async_trait]
impl Workload for Reconnects {
    fn key(&self) -> &'static str {
        "reconnects"
    }

    fn title(&self, lab: &Lab) -> String {
        let clients = lab.size.scaled(CLIENTS);
        format!(
            "{clients} clients in rooms of {MEMBERS_PER_ROOM} are disconnected at once and come back, {MISSED} messages missed by each"
        )
    }

    fn contestants(&self) -> &'static [Contestant] {
        &[Contestant::Parlor, Contestant::Peer]
    }

    async fn run(&self, lab: &Lab, run: &mut Run) -> anyhow::Result<Vec<Figure>> {
        let (address, count) = (run.server.address, lab.size.scaled(CLIENTS));
        let rooms = count.div_ceil(MEMBERS_PER_ROOM);
        let talkers = crowd::join(crowd::connect(address, "talker", rooms).await?, name).await?;
        let members = crowd::connect(address, "member", count).await?;
        let members = crowd::join(members, |number| name(number % rooms)).await?;
        let (begun, before) = (Instant::now(), run.usage()?);
        drop(members);
        let talking = talkers
            .into_iter()
            .enumerate()
            .map(|(room, (talker, _))| talk(talker, name(room)));
        let returning = (0..count).map(|number| come_back(address, number, name(number % rooms)));
        let (_talkers, back) = tokio::try_join!(crowd::all(talking), crowd::all(returning))?;
        let (elapsed, spent) = (begun.elapsed().as_secs_f64(), run.usage()? - before);
        ensure!(back.len() == count, "{} of {count} came back", back.len());
        let figures = [
            Figure::lower("seconds until the last client has everything", elapsed),
            Figure::lower("server CPU seconds", spent.server),
            Figure::beside("resumed, %", 100.0 * back.len() as f64 / count as f64),
        ];
        Ok(figures.into_iter().chain(shares(spent)).collect())
    }
}

fn name(room: usize) -> String {
    format!("room-{room}")
}

/// Sends the missed messages, and returns the talker, who stays.
async fn talk(mut talker: Client, room: String) -> anyhow::Result<Client> {
    for _ in 0..MISSED {
        talker.say(&room, 0);
        talker.answers(1).await?;
    }
    Ok(talker)
}

/// Connects again, resumes, and waits until every message has arrived, once and in order.
async fn come_back(address: SocketAddr, number: usize, room: String) -> anyhow::Result<Client> {
    let mut client = crowd::enter(address, format!("member-{number}")).await?;
    let joined = client.join(&room, Some(0)).await?;
    ensure!(
        joined.messages as u64 == joined.last_seq,
        "{} messages up to {}",
        joined.messages,
        joined.last_seq
    );
    let (mut has, mut sequence) = (joined.messages, Sequence::after(joined.last_seq));
    while has < MISSED {
        if let Packet::Event(event) = client.next().await? {
            has += usize::from(sequence.take(&event)?);
        }
    }
    Ok(client)
}
