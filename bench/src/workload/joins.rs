//! A rush of joins.

use std::time::{Duration, Instant};

use anyhow::ensure;
use async_trait::async_trait;
use sqlx::PgConnection;

use super::{Figure, Workload};
use crate::{
    client::Client,
    crowd,
    lab::{Lab, Run},
    server::Contestant,
};
use testkit::wire::Carrier;

const CLIENTS: usize = 5_000;
const STORED: usize = 500;
/// The default number of messages in an answer.
const PAGE: usize = 50;
/// Sends in flight while the room is filled.
const WINDOW: usize = 50;
const ROOM: &str = "hall";
/// An idle process of Postgres publishes its statistics within this time.
const STATISTICS: Duration = Duration::from_millis(1500);

/// Thousands of connected clients join one room with a history, all at once.
pub struct Joins;

#[async_trait]
impl Workload for Joins {
    fn key(&self) -> &'static str {
        "joins"
    }

    fn title(&self, lab: &Lab) -> String {
        format!(
            "{} clients join a room with {STORED} messages at once, {PAGE} in each answer",
            lab.size.scaled(CLIENTS)
        )
    }

    fn contestants(&self) -> &'static [Contestant] {
        &[Contestant::Parlor, Contestant::Peer]
    }

    async fn run(&self, lab: &Lab, run: &mut Run) -> anyhow::Result<Vec<Figure>> {
        let _host = fill_room(run).await?;
        let clients =
            crowd::connect(run.server.address, "joiner", lab.size.scaled(CLIENTS)).await?;
        let mut database = run.database().await?;
        let transactions_before = transactions(&mut database).await?;
        let (begun, before) = (Instant::now(), run.usage()?);
        let joined = crowd::all(clients.into_iter().map(join)).await?;
        let (elapsed, spent) = (begun.elapsed().as_secs_f64(), run.usage()? - before);
        let joins = joined.len() as f64;
        let transactions = transactions(&mut database).await? - transactions_before;
        Ok(vec![
            Figure::higher("joins/s", joins / elapsed),
            Figure::higher("joins per server CPU second", joins / spent.server),
            Figure::beside("database transactions per join", transactions / joins),
        ])
    }
}

async fn join(mut client: Client) -> anyhow::Result<Client> {
    let joined = client.join(ROOM, None).await?;
    ensure!(
        joined.messages == PAGE,
        "an answer with {} messages",
        joined.messages
    );
    Ok(client)
}

/// Fills the room with messages, and returns their sender.
async fn fill_room(run: &Run) -> anyhow::Result<Client> {
    let mut host = Client::connect(run.server.address, Carrier::WebSocket, "host").await?;
    host.join(ROOM, None).await?;
    for _ in 0..STORED / WINDOW {
        for _ in 0..WINDOW {
            host.say(ROOM, 0);
        }
        host.answers(WINDOW).await?;
    }
    Ok(host)
}

/// Counts the transactions in this database so far, with those of the question itself.
async fn transactions(database: &mut PgConnection) -> anyhow::Result<f64> {
    tokio::time::sleep(STATISTICS).await;
    let query =
        "SELECT xact_commit::float8 FROM pg_stat_database WHERE datname = current_database()";
    Ok(sqlx::query_scalar(query).fetch_one(database).await?)
}
