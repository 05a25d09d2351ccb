//! A busy day's chat: latency at a rate below the limit.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::ensure;
use async_trait::async_trait;
use hdrhistogram::Histogram;
use testkit::wire::Carrier;
use tokio::time::{Instant, sleep, sleep_until};

use super::{Figure, Workload, persist, shares};
use crate::{
    client::{Client, Packet, head},
    crowd::{self, Counts, Crowd, Sequence},
    lab::{Lab, Run},
    server::Contestant,
};

const ROOMS: usize = 200;
const LISTENERS_PER_ROOM: usize = 9;
/// The listeners in each room that use long-polling.
const POLLING_PER_ROOM: usize = 1;
/// The rate, as a share of the peer's maximum.
const LOAD: f64 = 0.5;
/// The time limit for answers and deliveries after the last send.
const DRAIN: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(10);

/// In hundreds of rooms, one client talks at a fixed rate and nine listen.
#[derive(Default)]
pub struct Mixed {
    /// Messages a second, in all rooms together.
    rate: f64,
}

#[async_trait]
impl Workload for Mixed {
    fn key(&self) -> &'static str {
        "mixed"
    }

    fn title(&self, lab: &Lab) -> String {
        let (rooms, rate) = (lab.size.scaled(ROOMS), self.rate);
        format!(
            "{rooms} rooms, one client talks and {LISTENERS_PER_ROOM} listen, {rate:.0} messages/s: half of Node's maximum"
        )
    }

    fn contestants(&self) -> &'static [Contestant] {
        &[Contestant::Parlor, Contestant::Peer]
    }

    /// Finds the peer's maximum.
    async fn prepare(&mut self, lab: &Lab) -> anyhow::Result<()> {
        let run = lab.start(Contestant::Peer).await?;
        let rooms = lab.size.scaled(ROOMS);
        let counts = Arc::new(Counts::default());
        let mut crowd = Crowd::default();
        listen_everywhere(&run, rooms, &mut crowd, None).await?;
        for (room, talker) in crowd::connect(run.server.address, "talker", rooms)
            .await?
            .into_iter()
            .enumerate()
        {
            crowd.add(persist::send(talker, name(room), counts.clone()));
        }
        sleep(lab.size.warm_up()).await;
        let watched = counts.watch(&run, lab.size.time).await?;
        crowd.stop().await?;
        run.end().await?;
        self.rate = LOAD * watched.acks / watched.spent.wall;
        Ok(())
    }

    async fn run(&self, lab: &Lab, run: &mut Run) -> anyhow::Result<Vec<Figure>> {
        let rooms = lab.size.scaled(ROOMS);
        let clock = Arc::new(Clock::new(lab.size.warm_up()));
        let mut crowd = Crowd::default();
        listen_everywhere(run, rooms, &mut crowd, Some(&clock)).await?;
        let talkers = crowd::connect(run.server.address, "talker", rooms).await?;
        let end = Instant::now() + lab.size.warm_up() + lab.size.time;
        let interval = Duration::from_secs_f64(rooms as f64 / self.rate);
        let talking = talkers.into_iter().enumerate().map(|(room, talker)| {
            let first = Instant::now() + interval.mul_f64(fastrand::f64());
            talk(
                talker,
                name(room),
                clock.clone(),
                Pace {
                    first,
                    interval,
                    end,
                },
            )
        });
        let watching = async {
            sleep(lab.size.warm_up()).await;
            run.watch(lab.size.time).await
        };
        let (_, spent) = tokio::try_join!(crowd::all(talking), watching)?;
        clock.drained().await?;
        crowd.stop().await?;
        let [acks, deliveries] = [clock.acks(), clock.deliveries()];
        let millis = |histogram: &Histogram<u64>, quantile| {
            histogram.value_at_quantile(quantile) as f64 / 1000.0
        };
        let figures = [
            Figure::lower("send to ack, p99, ms", millis(&acks, 0.99)),
            Figure::lower("send to ack, p50, ms", millis(&acks, 0.5)),
            Figure::lower("send to delivery, p99, ms", millis(&deliveries, 0.99)),
            Figure::lower("send to delivery, p50, ms", millis(&deliveries, 0.5)),
        ];
        Ok(figures.into_iter().chain(shares(spent)).collect())
    }
}

fn name(room: usize) -> String {
    format!("room-{room}")
}

/// A talker's schedule.
struct Pace {
    first: Instant,
    interval: Duration,
    end: Instant,
}

/// Fills the rooms with listeners. Without a clock they only read.
async fn listen_everywhere(
    run: &Run,
    rooms: usize,
    crowd: &mut Crowd,
    clock: Option<&Arc<Clock>>,
) -> anyhow::Result<()> {
    for room in 0..rooms {
        for number in 0..LISTENERS_PER_ROOM {
            let carrier = if number < POLLING_PER_ROOM {
                Carrier::Polling
            } else {
                Carrier::WebSocket
            };
            let listener = listener(run.server.address, carrier, room, number).await?;
            crowd.add(listen(listener, clock.cloned()));
        }
    }
    Ok(())
}

async fn listener(
    address: SocketAddr,
    carrier: Carrier,
    room: usize,
    number: usize,
) -> anyhow::Result<(Client, Sequence)> {
    let mut client =
        Client::connect(address, carrier, &format!("listener-{room}-{number}")).await?;
    let joined = client.join(&name(room), None).await?;
    Ok((client, Sequence::after(joined.last_seq)))
}

async fn listen(
    (mut client, mut sequence): (Client, Sequence),
    clock: Option<Arc<Clock>>,
) -> anyhow::Result<()> {
    loop {
        if let Packet::Event(event) = client.next().await?
            && sequence.take(&event)?
            && let Some(clock) = &clock
        {
            clock.delivered(&event);
        }
    }
}

/// Sends on schedule, without waiting for answers, and finally waits for the missing ones.
async fn talk(
    mut client: Client,
    room: String,
    clock: Arc<Clock>,
    pace: Pace,
) -> anyhow::Result<()> {
    client.join(&room, None).await?;
    let mut next = pace.first;
    let mut under_way = HashMap::new();
    while next < pace.end || !under_way.is_empty() {
        tokio::select! {
            () = sleep_until(next), if next < pace.end => {
                let at = clock.sent(next);
                under_way.insert(client.say(&room, at), at);
                client.flush().await?;
                next += pace.interval;
            }
            packet = client.next() => if let Packet::Ack(number, _) = packet? {
                clock.acked(under_way.remove(&number));
            }
        }
    }
    Ok(())
}

/// Latencies in microseconds, from the moment when a message *was to be* sent: a server that holds
/// up the load cannot hide the wait of others.
struct Clock {
    start: Instant,
    /// Messages due before the end of the warm-up are not measured.
    warm: Duration,
    times: Mutex<Times>,
}

struct Times {
    acks: Histogram<u64>,
    deliveries: Histogram<u64>,
    /// Outstanding deliveries.
    missing: u64,
}

impl Clock {
    fn new(warm: Duration) -> Self {
        let histogram = || Histogram::new(3).expect("three digits are allowed");
        let times = Times {
            acks: histogram(),
            deliveries: histogram(),
            missing: 0,
        };
        Self {
            start: Instant::now(),
            warm,
            times: Mutex::new(times),
        }
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a message that is about to be sent, and returns its mark.
    fn sent(&self, at: Instant) -> u64 {
        self.times().missing += LISTENERS_PER_ROOM as u64;
        (at - self.start).as_micros() as u64
    }

    fn acked(&self, sent: Option<u64>) {
        if let Some(taken) = self.since(sent) {
            self.times().acks += taken;
        }
    }

    fn delivered(&self, event: &[u8]) {
        let taken = self.since(head(event));
        let mut times = self.times();
        times.missing -= 1;
        if let Some(taken) = taken {
            times.deliveries += taken;
        }
    }

    /// Returns the time since a message was due, and none during the warm-up.
    fn since(&self, sent: Option<u64>) -> Option<u64> {
        let sent = sent.filter(|sent| *sent >= self.warm.as_micros() as u64)?;
        Some(self.start.elapsed().as_micros() as u64 - sent)
    }

    fn acks(&self) -> Histogram<u64> {
        self.times().acks.clone()
    }

    fn deliveries(&self) -> Histogram<u64> {
        self.times().deliveries.clone()
    }

    /// Waits until all members have received everything.
    async fn drained(&self) -> anyhow::Result<()> {
        let end = Instant::now() + DRAIN;
        while self.times().missing > 0 {
            ensure!(
                Instant::now() < end,
                "{} deliveries have not come",
                self.times().missing
            );
            sleep(LOOK).await;
        }
        Ok(())
    }
}
