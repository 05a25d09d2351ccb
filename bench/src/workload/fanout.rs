//! One large room.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::{sleep, timeout};

use super::{Figure, Workload, shares};
use crate::{
    client::{Client, Packet},
    crowd::{self, Counts, Crowd, Sequence},
    lab::{Lab, Run},
    server::Contestant,
};

/// Messages in flight: enough to keep the server busy, or a single one.
const BUSY: u64 = 32;
const CALM: u64 = 1;
/// The interval at which the sender checks the deliveries.
const LOOK: Duration = Duration::from_millis(1);
const ROOM: &str = "hall";

/// One member of a room sends as fast as all members receive.
pub struct Fanout {
    /// The workload's key on the command line.
    pub key: &'static str,
    /// The number of members.
    pub members: usize,
}

#[async_trait]
impl Workload for Fanout {
    fn key(&self) -> &'static str {
        self.key
    }

    fn title(&self, lab: &Lab) -> String {
        format!(
            "one room of {}, one sender, stored",
            lab.size.scaled(self.members)
        )
    }

    fn contestants(&self) -> &'static [Contestant] {
        &[Contestant::Parlor, Contestant::Peer, Contestant::LowerBound]
    }

    async fn run(&self, lab: &Lab, run: &mut Run) -> anyhow::Result<Vec<Figure>> {
        let counts = Arc::new(Counts::default());
        let members =
            crowd::connect(run.server.address, "member", lab.size.scaled(self.members)).await?;
        let count = members.len() as u64;
        let mut joined = crowd::join(members, |_| ROOM.to_owned()).await?;
        let (sender, sequence) = joined.swap_remove(0);
        let mut crowd = Crowd::default();
        for (member, sequence) in joined {
            crowd.add(listen(member, sequence, counts.clone()));
        }
        let window = Arc::new(AtomicU64::new(BUSY));
        crowd.add(send(
            sender,
            sequence,
            count,
            window.clone(),
            counts.clone(),
        ));
        sleep(lab.size.warm_up()).await;
        let busy = counts.watch(run, lab.size.time).await?;
        window.store(CALM, Ordering::Relaxed);
        sleep(lab.size.warm_up()).await;
        let calm = counts.watch(run, lab.size.time).await?;
        crowd.stop().await?;
        let figures = [
            Figure::higher(
                "deliveries per server CPU second",
                busy.deliveries / busy.spent.server,
            ),
            Figure::higher("deliveries/s", busy.deliveries / busy.spent.wall),
            Figure::higher(
                "one message at a time: deliveries per server CPU second",
                calm.deliveries / calm.spent.server,
            ),
            Figure::higher(
                "one message at a time: deliveries/s",
                calm.deliveries / calm.spent.wall,
            ),
        ];
        Ok(figures.into_iter().chain(shares(busy.spent)).collect())
    }
}

async fn listen(
    mut member: Client,
    mut sequence: Sequence,
    counts: Arc<Counts>,
) -> anyhow::Result<()> {
    loop {
        if let Packet::Event(event) = member.next().await?
            && sequence.take(&event)?
        {
            counts.delivery();
        }
    }
}

/// Sends while fewer than `window` messages are in flight to the room.
async fn send(
    mut sender: Client,
    mut sequence: Sequence,
    members: u64,
    window: Arc<AtomicU64>,
    counts: Arc<Counts>,
) -> anyhow::Result<()> {
    for sent in 1.. {
        sender.say(ROOM, 0);
        sender.flush().await?;
        while sent - counts.deliveries() / members >= window.load(Ordering::Relaxed) {
            // After the interval, look at the deliveries again.
            let Ok(packet) = timeout(LOOK, sender.next()).await else {
                continue;
            };
            if let Packet::Event(event) = packet?
                && sequence.take(&event)?
            {
                counts.delivery();
            }
        }
    }
    Ok(())
}
