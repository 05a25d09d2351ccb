//! Idle connections.

use std::time::Instant;

use async_trait::async_trait;
use tokio::time::sleep;

use super::{Figure, Workload, shares};
use crate::{
    crowd,
    lab::{Lab, Run},
    server::Contestant,
};

const CLIENTS: usize = 8_000;
/// The first connections, which pay for one-time allocations.
const WARM_UP: usize = 200;
/// The time in which a server frees memory after the connects, in lengths of a measurement.
const SETTLE: f64 = 1.5;

/// Thousands of clients connect with a browser's headers, and stay.
pub struct Idle;

#[async_trait]
impl Workload for Idle {
    fn key(&self) -> &'static str {
        "idle"
    }

    fn title(&self, lab: &Lab) -> String {
        format!(
            "{} idle WebSockets, connected {} at a time",
            lab.size.scaled(CLIENTS),
            crowd::CONNECTING
        )
    }

    fn contestants(&self) -> &'static [Contestant] {
        &[Contestant::Parlor, Contestant::Peer, Contestant::LowerBound]
    }

    async fn run(&self, lab: &Lab, run: &mut Run) -> anyhow::Result<Vec<Figure>> {
        let (address, clients) = (run.server.address, lab.size.scaled(CLIENTS));
        let _first = crowd::connect(address, "first", lab.size.scaled(WARM_UP)).await?;
        sleep(lab.size.time.mul_f64(SETTLE)).await;
        let (resident, before, begun) = (
            run.server.resident_kilobytes()?,
            run.usage()?,
            Instant::now(),
        );
        let _idle = crowd::connect(address, "idle", clients).await?;
        let (elapsed, spent) = (begun.elapsed().as_secs_f64(), run.usage()? - before);
        sleep(lab.size.time.mul_f64(SETTLE)).await;
        let grown = run.server.resident_kilobytes()? - resident;
        let figures = [
            Figure::lower("kB of memory per connection", grown / clients as f64),
            Figure::higher("connects/s", clients as f64 / elapsed),
            Figure::higher(
                "connects per server CPU second",
                clients as f64 / spent.server,
            ),
        ];
        Ok(figures.into_iter().chain(shares(spent)).collect())
    }
}
