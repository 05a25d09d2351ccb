//! Calls on the page, between servers.

use crate::support::{
    Database, Server,
    coturn::{Coturn, SECRET},
    free_port, node,
};

/// Starts two servers on one database, each with flags of its own.
async fn two_servers(flags: [&[&str]; 2]) -> [Server; 2] {
    let database = Database::postgres().await;
    let shared = database.shared();
    let [here, there] = flags;
    [
        Server::on(database, here).await,
        Server::on(shared, there).await,
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_come_about_whatever_happens_to_their_signals() {
    let server = Server::start().await;
    node::run("parlor_call.mjs", &[&server.url()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_call_each_other() {
    let [here, there] = two_servers([&[]; 2]).await;
    node::run("page_call.mjs", &[&here.url(), &there.url()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn four_people_are_in_a_call() {
    let [here, there] = two_servers([&[]; 2]).await;
    node::run("page_call_four.mjs", &[&here.url(), &there.url()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_by_a_relay_outlives_a_cut_of_the_network() {
    let turn = Coturn::start().await;
    let cut_port = free_port();
    let secret = format!("--turn-secret={SECRET}");
    let by = |port: u16| format!("--turn-urls=turn:127.0.0.1:{port}?transport=tcp");
    let (direct, cut) = (by(turn.address.port()), by(cut_port));
    let [here, there] = two_servers([&[&direct, &secret], &[&cut, &secret]]).await;
    node::run(
        "page_call_relay.mjs",
        &[
            &here.url(),
            &there.url(),
            &turn.address.port().to_string(),
            &cut_port.to_string(),
        ],
    )
    .await;
}
