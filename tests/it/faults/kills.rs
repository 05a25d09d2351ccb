//! `kill -9`, again and again.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;

use super::{Member, Talk, print_counts};
use crate::support::{Database, Process, RawClient, Server, free_port, postgres::Postgres};

const KILLS: usize = 10;
/// Acks between two kills, at least.
const ACKS_BETWEEN: usize = 200;
const CLIENTS: usize = 40;
const ROOMS: usize = 4;
/// More sends than all kills need together.
const SENDS: usize = (KILLS + 4) * ACKS_BETWEEN / CLIENTS;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_on_sqlite_loses_no_acked_message_and_doubles_none() {
    kill_server(Database::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_on_postgres_loses_no_acked_message_and_doubles_none() {
    kill_server(Database::postgres().await).await;
}

async fn kill_server(database: Database) {
    let port = free_port();
    let mut server = Process::at(port, &database).await;
    let mut talk = talk(&format!("http://{}", server.address));
    for _ in 0..KILLS {
        talk.until_further_acks(ACKS_BETWEEN).await;
        server.signal(Signal::SIGKILL);
        server.ended().await;
        server = Process::at(port, &database).await;
    }
    let everybody = talk.assert_nothing_lost_or_doubled(&database).await;
    print_counts("server killed", &everybody);
    assert!(
        everybody.iter().all(|one| one.resumed > 0),
        "somebody noticed no kill"
    );
}

/// Each of three servers is killed in turn. Its clients come back to its successor; those of the
/// others hear everything it has acked, told or not.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_among_three_loses_no_acked_message_and_doubles_none() {
    let database = Database::postgres().await;
    let ports = [free_port(), free_port(), free_port()];
    let mut servers = vec![];
    for port in ports {
        servers.push(Process::at(port, &database).await);
    }
    let members = (0..CLIENTS).map(|number| {
        let address = servers[number % ports.len()].address;
        Member::numbered(number, ROOMS, format!("http://{address}"))
    });
    let mut talk = Talk::start(&members.collect::<Vec<_>>(), SENDS);
    for kill in 0..KILLS {
        talk.until_further_acks(ACKS_BETWEEN).await;
        let place = kill % ports.len();
        servers[place].signal(Signal::SIGKILL);
        servers.remove(place).ended().await;
        servers.insert(place, Process::at(ports[place], &database).await);
    }
    let everybody = talk.assert_nothing_lost_or_doubled(&database).await;
    print_counts("one of three servers killed", &everybody);
    assert!(
        everybody.iter().all(|one| one.resumed > 0),
        "somebody noticed no kill"
    );
}

/// A server without a bus is acked and dies, as one does between its commit and its report.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_server_dies_before_its_report_reaches_the_other_servers() {
    let database = Database::postgres().await;
    let silent = Process::with(&database, &["--bus-url=none"]).await;
    let hearing = Process::start(&database).await;
    let [mut ann, mut bob] = [
        RawClient::connect(silent.address, "ann").await,
        RawClient::connect(hearing.address, "bob").await,
    ];
    for client in [&mut ann, &mut bob] {
        client.call("joinRoom", json!({ "roomId": "r" })).await;
    }
    for text in ["first", "second"] {
        let sent = ann.call("sendMessage", json!({ "roomId": "r", "message": text }));
        assert_eq!(sent.await["status"], "ok");
    }
    silent.signal(Signal::SIGKILL);
    for text in ["first", "second"] {
        assert_eq!(bob.next("newMessage").await["message"], text);
    }
}

/// The seconds for which a server stands still, unless `STANDSTILL_SECONDS` says otherwise: longer
/// than the heartbeat, and than the others take it for alive.
const STANDSTILL_SECONDS: u64 = 10;

/// One of three servers stands still, and its clients with it. When it goes on, they resume.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stands_still_among_three_loses_nothing_and_doubles_nothing() {
    let database = Database::postgres().await;
    let flags = ["--ping-interval-ms=1000", "--ping-timeout-ms=2000"];
    let mut servers = vec![];
    for _ in 0..3 {
        servers.push(Process::with(&database, &flags).await);
    }
    let members = (0..CLIENTS).map(|number| {
        let address = servers[number % servers.len()].address;
        Member::numbered(number, ROOMS, format!("http://{address}"))
    });
    let mut talk = Talk::start(&members.collect::<Vec<_>>(), SENDS);
    talk.until_further_acks(ACKS_BETWEEN).await;
    servers[0].signal(Signal::SIGSTOP);
    talk.until_further_acks(ACKS_BETWEEN).await;
    let seconds = std::env::var("STANDSTILL_SECONDS");
    let seconds = seconds.map_or(STANDSTILL_SECONDS, |seconds| seconds.parse().unwrap());
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    servers[0].signal(Signal::SIGCONT);
    let everybody = talk.assert_nothing_lost_or_doubled(&database).await;
    print_counts("one of three servers stood still", &everybody);
    assert!(everybody.iter().any(|one| one.resumed > 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_postgres_loses_no_acked_message_and_doubles_none() {
    let mut postgres = Postgres::start(&[]);
    let server = Server::on(Database::on(&postgres), &[]).await;
    let mut talk = talk(&server.url());
    for _ in 0..KILLS {
        talk.until_further_acks(ACKS_BETWEEN).await;
        postgres = tokio::task::spawn_blocking(|| crashed(postgres))
            .await
            .unwrap();
    }
    let everybody = talk.assert_nothing_lost_or_doubled(&server.database).await;
    print_counts("Postgres killed", &everybody);
}

fn crashed(mut postgres: Postgres) -> Postgres {
    postgres.crash();
    postgres
}

fn talk(url: &str) -> Talk {
    let members = (0..CLIENTS).map(|number| Member::numbered(number, ROOMS, url.to_owned()));
    Talk::start(&members.collect::<Vec<_>>(), SENDS)
}
