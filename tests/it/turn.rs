//! TURN, by coturn: the credentials of parties, and the relay in `deploy/coturn`.

use std::{fs, net::IpAddr};

use aws_lc_rs::hmac::{HMAC_SHA1_FOR_LEGACY_USE_ONLY, Key, sign};
use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, TimeDelta, Utc};
use clap::Parser;
use parlor::Config;
use serde_json::{Value, json};

use crate::support::{
    Database, RawClient, Server,
    coturn::{Coturn, Family, SECRET},
};

const UNAUTHORIZED: u16 = 401;
const FORBIDDEN: u16 = 403;
const QUOTA_REACHED: u16 = 486;

/// Returns the username and credential of a user that end in some seconds.
fn credentials(secret: &str, seconds: i64) -> [String; 2] {
    let username = format!("{}:ann", Utc::now().timestamp() + seconds);
    let key = Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
    let credential = STANDARD.encode(sign(&key, username.as_bytes()));
    [username, credential]
}

/// Returns the server's configuration of a user's browser, from a time on.
fn configuration(turn: &Coturn, user: &str, now: DateTime<Utc>) -> Value {
    let flags = [
        "parlor",
        "--stun-urls=stun:stun.example",
        &format!("--turn-urls={}", turn.url()),
        &format!("--turn-secret={SECRET}"),
    ];
    let servers = Config::parse_from(flags).ice_servers().unwrap();
    serde_json::to_value(servers.servers_at(now, &user.try_into().unwrap())).unwrap()
}

/// Returns the credentials in a configuration.
fn login(configuration: &Value) -> [&str; 2] {
    let server = &configuration["iceServers"][1];
    ["username", "credential"].map(|name| server[name].as_str().unwrap())
}

/// Asks for a relay, and returns 0 or the code of its refusal.
async fn allocated(turn: &Coturn, login: [&str; 2]) -> u16 {
    turn.ask(Family::V4, login, &[]).await.allocated
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tests_relay_takes_credentials_of_its_secret_and_no_others() {
    let turn = Coturn::start().await;
    for (secret, seconds, answer) in [
        (SECRET, 60, 0),
        (SECRET, -1, UNAUTHORIZED),
        ("another", 60, UNAUTHORIZED),
    ] {
        let [username, credential] = credentials(secret, seconds);
        for (family, peer) in [(Family::V4, "127.0.0.1"), (Family::V6, "::1")] {
            let answers = turn.ask(family, [&username, &credential], &[peer]).await;
            let codes = (answers.allocated, answers.peers[peer]);
            assert_eq!(codes, (answer, answer), "{secret}, {seconds} s, {peer}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_takes_a_partys_credentials_and_refuses_expired_and_forged_ones() {
    let turn = Coturn::start().await;
    let now = Utc::now();
    let ann = configuration(&turn, "ann", now);
    assert_eq!(ann["iceServers"][1]["urls"], json!([turn.url()]));
    let [username, credential] = login(&ann);
    assert_eq!(allocated(&turn, [username, credential]).await, 0);

    let old = configuration(&turn, "ann", now - TimeDelta::seconds(7201));
    assert_eq!(allocated(&turn, login(&old)).await, UNAUTHORIZED);
    let bob = configuration(&turn, "bob", now);
    let [bobs, _] = login(&bob);
    let (expiry, name) = username.split_once(':').unwrap();
    let later = expiry.parse::<i64>().unwrap() + 3600;
    for forged in [bobs, &format!("{later}:{name}"), name, ""] {
        let answer = allocated(&turn, [forged, credential]).await;
        assert_eq!(answer, UNAUTHORIZED, "{forged}");
    }
    assert_eq!(
        allocated(&turn, [username, "credential"]).await,
        UNAUTHORIZED
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_member_of_a_room_with_a_part_in_its_call_hears_of_servers() {
    let server = Server::on(Database::sqlite(), &["--stun-urls=stun:stun.example"]).await;
    let mut ann = RawClient::connect(server.address(), "ann").await;
    let call = json!({ "roomId": "r", "callId": "c" });
    let answer = ann.call("getIceServers", call.clone()).await;
    assert_eq!(answer["error"]["code"], "NOT_IN_ROOM", "{answer}");
    ann.call("joinRoom", json!({ "roomId": "r" })).await;
    let answer = ann.call("getIceServers", call).await;
    assert_eq!(answer["error"]["code"], "FORBIDDEN", "{answer}");
    let answer = ann.call("getIceServers", json!({ "roomId": "r" })).await;
    assert_eq!(answer["error"]["code"], "INVALID_PAYLOAD", "{answer}");
}

/// Returns the configuration in `deploy`, on this machine: only there may peers be reached that it denies.
fn deployed(settings: &str) -> String {
    let file = fs::read_to_string("deploy/coturn/turnserver.conf").unwrap();
    let certificate = |line: &&str| !line.starts_with("cert=") && !line.starts_with("pkey=");
    let lines: Vec<_> = file.lines().filter(certificate).collect();
    let own = "listening-ip=127.0.0.1\nrelay-ip=127.0.0.1\nrelay-ip=::1\nno-tls\nno-dtls";
    format!("{}\n{own}\n{settings}", lines.join("\n"))
}

/// Peers that the relay in `deploy` denies: the ends of its ranges, and some of their inside.
const DENIED: [&str; 62] = [
    "0.0.0.0",
    "0.0.0.1",
    "0.255.255.255",
    "10.0.0.0",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.0",
    "100.127.255.255",
    "127.0.0.0",
    "127.0.0.1",
    "127.255.255.255",
    "169.254.0.0",
    "169.254.169.254",
    "169.254.255.255",
    "172.16.0.0",
    "172.31.255.255",
    "192.0.0.0",
    "192.0.0.255",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.0",
    "192.168.255.255",
    "198.18.0.0",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.0",
    "224.0.0.251",
    "239.255.255.255",
    "240.0.0.0",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:ffff",
    "::ffff:0.0.0.0",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:8.8.8.8",
    "::ffff:255.255.255.255",
    "64:ff9b::",
    "64:ff9b::a00:1",
    "64:ff9b::ffff:ffff",
    "64:ff9b:1::a00:1",
    "100::1",
    "2001::1",
    "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
    "2001:db8::1",
    "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
    "2002:a00:1::",
    "2002:7f00:1::1",
    "fc00::",
    "fd00::1",
    "fd00:ec2::254",
    "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "fe80::",
    "fe80::1",
    "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "fec0::1",
    "ff00::",
    "ff02::1",
];

/// Peers beside those ranges.
const ALLOWED: [&str; 18] = [
    "1.0.0.0",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.167.255.255",
    "192.169.0.0",
    "223.255.255.255",
    "2001:4860:4860::8888",
    "2606:4700::1111",
    "2a00::1",
];

#[tokio::test(flavor = "multi_thread")]
async fn the_relay_for_production_reaches_the_public_internet_alone() {
    let turn = Coturn::start_with(&deployed("")).await;
    let [username, credential] = credentials(SECRET, 60);
    for (peers, code) in [(&DENIED[..], FORBIDDEN), (&ALLOWED, 0)] {
        for family in [Family::V4, Family::V6] {
            let is_v4 = |peer: &str| peer.parse::<IpAddr>().unwrap().is_ipv4();
            let peers = peers.iter().copied();
            let peers = peers.filter(|peer| is_v4(peer) == matches!(family, Family::V4));
            let peers: Vec<_> = peers.collect();
            let answers = turn.ask(family, [&username, &credential], &peers).await;
            assert_eq!((answers.allocated, answers.peers.len()), (0, peers.len()));
            for (peer, answer) in answers.peers {
                assert_eq!(answer, code, "{peer}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_relays_of_a_user_are_counted_over_all_credentials() {
    let turn = Coturn::start_with(&deployed("user-quota=1")).await;
    let [earlier, later] = [0, 60].map(|seconds| Utc::now() + TimeDelta::seconds(seconds));
    let first = configuration(&turn, "ann", earlier);
    let held = turn.ask(Family::V4, login(&first), &[]).await;
    assert_eq!(held.allocated, 0);
    for (user, answer) in [("ann", QUOTA_REACHED), ("bob", 0)] {
        let second = configuration(&turn, user, later);
        assert_eq!(allocated(&turn, login(&second)).await, answer, "{user}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_takes_two_secrets_while_one_is_replaced() {
    let turn = Coturn::start_with(&deployed("static-auth-secret=the-secret-of-before")).await;
    for (secret, answer) in [
        (SECRET, 0),
        ("the-secret-of-before", 0),
        ("another", UNAUTHORIZED),
    ] {
        let [username, credential] = credentials(secret, 60);
        assert_eq!(allocated(&turn, [&username, &credential]).await, answer);
    }
}
