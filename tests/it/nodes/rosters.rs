//! One suite for the rosters of every bus.

use std::{collections::HashSet, sync::Arc};

use parlor::{
    model::{RoomId, UserId},
    testing::bus::{Bus, Roster, RosterStore, Server},
};

use super::engine::{Engine, conformance};
use crate::support::eventually;

conformance!(
    a_server_reads_the_rosters_of_all_listed_servers,
    an_update_replaces_and_an_empty_roster_is_gone,
    a_server_that_is_not_listed_updates_nothing,
    a_server_is_alive_until_its_end_and_while_it_reconnects,
);

fn room(name: &str) -> RoomId {
    name.try_into().unwrap()
}

fn named(names: &[&str]) -> Roster {
    let user = |name: &&str| UserId::try_from(*name).unwrap();
    Roster::Named(names.iter().map(user).collect())
}

/// Opens both ends of a bus.
pub async fn pair(engine: &Engine) -> [Arc<dyn Bus>; 2] {
    let ends = [engine.open(None), engine.open(None)];
    eventually("both ends to be well", async || {
        ends.iter().all(|end| end.is_well())
    })
    .await;
    ends
}

/// Returns a server as the others see it.
async fn seen(reader: &dyn RosterStore, server: &dyn RosterStore) -> Option<Server> {
    let servers = reader.servers().await.unwrap();
    servers
        .into_iter()
        .find(|seen| seen.id == server.server_id())
}

async fn a_server_reads_the_rosters_of_all_listed_servers(engine: Engine) {
    let ends = pair(&engine).await;
    let [a, b] = [ends[0].rosters(), ends[1].rosters()];
    let names = named(&["ann é \" \\ '", "bob"]);
    a.list(
        1,
        &[(room("r"), names.clone()), (room("other"), named(&["x"]))],
    )
    .await
    .unwrap();
    b.list(1, &[]).await.unwrap();
    assert!(
        b.update(
            2,
            &[
                (room("r"), Roster::Counted(300)),
                (room("s"), named(&["cid"]))
            ]
        )
        .await
        .unwrap()
    );
    let read = b.read(&[room("r"), room("s"), room("none")]).await.unwrap();
    let servers = HashSet::from([a.server_id(), b.server_id()]);
    assert_eq!(HashSet::from_iter(read.servers), servers);
    let mut rosters = read.rosters;
    rosters.sort_by_key(|(room, _, roster)| (room.clone(), roster.count()));
    let expected = [
        (room("r"), a.server_id(), names),
        (room("r"), b.server_id(), Roster::Counted(300)),
        (room("s"), b.server_id(), named(&["cid"])),
    ];
    assert_eq!(rosters, expected);
}

async fn an_update_replaces_and_an_empty_roster_is_gone(engine: Engine) {
    let ends = pair(&engine).await;
    let [a, b] = [ends[0].rosters(), ends[1].rosters()];
    let rooms = [room("r"), room("s")];
    a.list(1, &rooms.clone().map(|room| (room, named(&["ann"]))))
        .await
        .unwrap();
    let changes = [(room("r"), named(&["bob"])), (room("s"), named(&[]))];
    assert!(a.update(2, &changes).await.unwrap());
    let read = b.read(&rooms).await.unwrap();
    let expected = [(room("r"), a.server_id(), named(&["bob"]))];
    assert_eq!(read.rosters, expected);
    a.list(3, &[(room("s"), named(&["cid"]))]).await.unwrap();
    let read = b.read(&rooms).await.unwrap();
    let expected = [(room("s"), a.server_id(), named(&["cid"]))];
    assert_eq!(read.rosters, expected);
    assert_eq!(seen(b, a).await.unwrap().revision, 3);
}

async fn a_server_that_is_not_listed_updates_nothing(engine: Engine) {
    let ends = pair(&engine).await;
    let [a, b] = [ends[0].rosters(), ends[1].rosters()];
    let change = [(room("r"), named(&["ann"]))];
    assert!(!a.update(1, &change).await.unwrap());
    assert_eq!(seen(b, a).await, None);
    a.list(1, &change).await.unwrap();
    b.remove(&[a.server_id()]).await.unwrap();
    assert!(!a.update(2, &change).await.unwrap());
    assert_eq!(b.read(&[room("r")]).await.unwrap().rosters, []);
    a.list(3, &change).await.unwrap();
    assert!(seen(b, a).await.unwrap().is_alive);
}

async fn a_server_is_alive_until_its_end_and_while_it_reconnects(engine: Engine) {
    let [a, b] = pair(&engine).await;
    for end in [&a, &b] {
        end.rosters().list(1, &[]).await.unwrap();
    }
    engine.kill_listeners().await;
    eventually("both to be alive", async || {
        let servers = b.rosters().servers().await.unwrap();
        servers.len() == 2 && servers.iter().all(|server| server.is_alive)
    })
    .await;
    let server = a.rosters().server_id();
    a.close().await;
    eventually("the end of the one", async || {
        let servers = b.rosters().servers().await.unwrap();
        let is_gone = |seen: &Server| seen.id == server && !seen.is_alive;
        servers.iter().any(is_gone)
    })
    .await;
}
