//! Random messages, changes, reads and follows, cuts and moves: every device of a user ends with the
//! list that the database has, and no position goes back.

use std::{collections::BTreeMap, sync::Mutex};

use fastrand::Rng;
use futures_util::future::join_all;
use serde_json::json;

use super::device::Device;
use crate::{
    nodes::lossy::Lossy,
    support::{Database, FLOODED, Server},
};

const USERS: usize = 8;
/// The devices of each user.
const DEVICES: usize = 2;
const ROOMS: [&str; 5] = ["a", "b", "c", "d", "e"];

/// The steps of each run, unless `INBOX_STEPS` says otherwise.
const STEPS: usize = 640;

fn steps() -> usize {
    let steps = std::env::var("INBOX_STEPS");
    steps.map_or(STEPS, |steps| steps.parse().unwrap())
}

/// The newest acked message of each room.
type Newest = Mutex<BTreeMap<&'static str, i64>>;

/// Makes a random step as one device's user.
async fn step(mut random: Rng, device: &mut Device, newest_of: &Newest) {
    let room = *random.choice(ROOMS.iter()).unwrap();
    let newest = newest_of
        .lock()
        .unwrap()
        .get(room)
        .copied()
        .unwrap_or_default();
    let of = json!({ "roomId": room });
    match random.u8(..20) {
        0..7 => {
            device.call("joinRoom", of).await;
            let sent = json!({ "roomId": room, "message": random.u32(..).to_string() });
            let sent = device.call("sendMessage", sent).await;
            let seq = sent["message"]["seq"].as_i64().unwrap();
            let mut newest = newest_of.lock().unwrap();
            let newest = newest.entry(room).or_default();
            *newest = seq.max(*newest);
        }
        7..14 => {
            let seq = random.i64(0..=newest + 1);
            let marked = device
                .call("markRead", json!({ "roomId": room, "seq": seq }))
                .await;
            let read = marked["readSeq"].as_i64().unwrap();
            let before = device.read.entry(room).or_default();
            assert!(
                read >= *before && read >= seq.min(newest),
                "{before}: {marked}"
            );
            *before = read;
        }
        14..16 => {
            let muted = random.bool().then(|| random.bool());
            let follow = json!({ "roomId": room, "muted": muted });
            assert_eq!(device.call("followRoom", follow).await["status"], "ok");
        }
        16..18 => {
            assert_eq!(device.call("unfollowRoom", of).await["status"], "ok");
        }
        _ if newest > 0 => {
            let seq = random.i64((newest - 2).max(1)..=newest);
            device.call("joinRoom", of).await;
            let react = json!({ "roomId": room, "seq": seq, "reaction": "x", "on": random.bool() });
            assert_eq!(device.call("setReaction", react).await["status"], "ok");
        }
        _ => {}
    }
}

async fn run(servers: &[Server], seed: u64) {
    let (mut random, known) = (Rng::with_seed(seed), Newest::default());
    let mut devices = vec![];
    for number in 0..USERS * DEVICES {
        let server = &servers[number / USERS % servers.len()];
        devices.push(Device::connect(server.address(), &(number % USERS).to_string()).await);
    }
    for _ in 0..steps() / devices.len() {
        let stepping = devices.iter_mut().map(|device| {
            let server = random.choice(servers).unwrap();
            let (moves, random) = (random.u8(..30) == 0, random.fork());
            let known = &known;
            async move {
                if moves {
                    device.come_back(server.address()).await;
                }
                step(random, device, known).await;
            }
        });
        join_all(stepping).await;
    }
    let mut news = 0;
    for user in 0..USERS {
        let user = user.to_string();
        let expected = Device::connect(servers[0].address(), &user).await.rooms;
        for room in expected.values() {
            let number = |field: &str| room[field].as_i64().unwrap();
            assert_eq!(
                number("unread"),
                number("lastSeq") - number("readSeq"),
                "{room}"
            );
            assert_eq!(
                room["lastMessage"]["seq"].as_i64().unwrap_or(0),
                number("lastSeq")
            );
        }
        for device in devices.iter_mut().filter(|device| device.user == user) {
            device.until(&expected).await;
            news += device.news;
        }
    }
    let messages: i64 = known.into_inner().unwrap().values().sum();
    println!(
        "{messages} messages, {news} news taken in by {} devices",
        devices.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_device_ends_with_the_list_of_the_database_on_sqlite() {
    run(&[Server::on(Database::sqlite(), &[FLOODED]).await], 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_device_ends_with_the_list_of_the_database_on_two_servers() {
    let database = Database::postgres().await;
    let shared = database.shared();
    let first = Server::on(database, &[FLOODED]).await;
    let second = Server::on(shared, &[FLOODED]).await;
    run(&[first, second], 2).await;
}

/// Reports get lost, so activity and reads are found by the sweep.
#[tokio::test(flavor = "multi_thread")]
async fn every_device_ends_with_the_list_of_the_database_though_the_bus_loses_half() {
    let database = Database::postgres().await;
    let mut servers = vec![];
    for _ in 0..2 {
        let around = |inner| Lossy::around(inner, Some(2));
        servers.push(Server::around_bus(database.shared(), &[FLOODED], around).await);
    }
    run(&servers, 3).await;
}
