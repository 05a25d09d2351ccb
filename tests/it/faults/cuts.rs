//! Connections that break again and again.

use super::{Member, Talk, print_counts};
use crate::support::{
    Database, Server, node,
    proxy::{Plan, Proxy},
};

/// One in this many planned cuts may find no traffic before the end.
const SPARE_CUTS: usize = 10;

/// The amount of work.
struct Load {
    clients: usize,
    rooms: usize,
    sends: usize,
    /// Cuts of each client's connections.
    cuts: usize,
    /// Bytes between two cuts.
    bytes: usize,
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs alone"]
async fn clients_whose_connections_are_cut_get_every_message_once_in_order_on_postgres() {
    let load = Load {
        clients: 200,
        rooms: 20,
        sends: 100,
        cuts: 20,
        bytes: 15_000,
    };
    talk_through_cuts(Database::postgres().await, load).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs alone"]
async fn clients_whose_connections_are_cut_get_every_message_once_in_order_on_sqlite() {
    let load = Load {
        clients: 40,
        rooms: 4,
        sends: 100,
        cuts: 20,
        bytes: 15_000,
    };
    talk_through_cuts(Database::sqlite(), load).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_on_a_seemingly_dead_connection_is_stored_over_the_next_one() {
    let server = Server::start().await;
    node::run("faults_expired.mjs", &[&server.url()]).await;
}

async fn talk_through_cuts(database: Database, load: Load) {
    let seed = seed();
    println!("to repeat these cuts: FAULTS_SEED={seed}");
    // A short heartbeat soon finds a stalled connection.
    let server = Server::on(
        database,
        &["--ping-interval-ms=1000", "--ping-timeout-ms=2000"],
    )
    .await;
    let plan = Plan {
        cuts: load.cuts,
        bytes: load.bytes,
        seed,
    };
    let proxy = Proxy::start(&[server.address()], load.clients, plan).await;
    let urls = proxy
        .addresses
        .iter()
        .map(|address| format!("http://{address}"));
    let members: Vec<_> = urls
        .enumerate()
        .map(|(number, url)| Member::numbered(number, load.rooms, url))
        .collect();
    let talk = Talk::start(&members, load.sends);
    let everybody = talk.assert_nothing_lost_or_doubled(&server.database).await;

    let cuts = proxy.cuts();
    print_counts(&format!("{cuts:?}"), &everybody);
    let least = load.clients * load.cuts * (SPARE_CUTS - 1) / SPARE_CUTS;
    assert!(
        cuts.iter().map(|(_, count)| count).sum::<usize>() >= least,
        "{cuts:?}"
    );
    assert!(
        cuts.iter()
            .all(|(_, count)| *count >= least / (2 * cuts.len())),
        "{cuts:?}"
    );
    assert!(
        everybody.iter().all(|one| one.resumed > 0),
        "somebody was never cut off"
    );
}

/// Returns a new seed each time, unless one is to be repeated.
pub(super) fn seed() -> u64 {
    std::env::var("FAULTS_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap())
}
