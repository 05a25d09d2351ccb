//! Three servers behind a proxy with each configuration in `deploy/`: one of them is killed, and then
//! each is stopped and started anew, as an upgrade does it.

use std::{fs, net::SocketAddr};

use nix::sys::signal::Signal;

use super::{Member, Talk, print_counts};
use crate::support::{Database, FLOODED, Process, free_port, haproxy::HaProxy, nginx::Nginx};

const SERVERS: usize = 3;
const CLIENTS: usize = 24;
const ROOMS: usize = 4;
const ACKS_BETWEEN: usize = 150;
/// More sends than all restarts need together.
const SENDS: usize = 2 * (2 + SERVERS) * ACKS_BETWEEN / CLIENTS;

/// A running proxy.
enum Proxy {
    Nginx(Nginx),
    HaProxy(HaProxy),
}

impl Proxy {
    /// Starts the proxy of a file in `deploy/`, before these servers.
    async fn start(file: &str, servers: &[SocketAddr]) -> Self {
        let path = format!("{}/deploy/{file}", env!("CARGO_MANIFEST_DIR"));
        let mut config = fs::read_to_string(path).unwrap();
        for (server, number) in servers.iter().zip(1..) {
            let documented = if file.contains("compose") {
                format!("parlor-{number}:3000")
            } else {
                format!("127.0.0.1:{}", 3000 + number)
            };
            assert!(config.contains(&documented), "{file}");
            config = config.replace(&documented, &server.to_string());
        }
        if file.starts_with("nginx") {
            assert!(config.contains("listen 80;"), "{file}");
            Self::Nginx(Nginx::start(&config.replace("listen 80;", "listen {address};")).await)
        } else {
            let bind = if file.contains("compose") {
                "bind :3000"
            } else {
                "bind :80"
            };
            assert!(config.contains(bind), "{file}");
            Self::HaProxy(HaProxy::start(&config.replace(bind, "bind {address}")).await)
        }
    }

    fn url(&self) -> String {
        let address = match self {
            Self::Nginx(nginx) => nginx.address,
            Self::HaProxy(haproxy) => haproxy.address,
        };
        format!("http://{address}")
    }
}

/// Generates a test for each file.
macro_rules! behind {
    ($($proxy:ident { $($name:ident: $file:literal),+ $(,)? })+) => {
        $(mod $proxy {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::servers_are_replaced_behind($file).await;
            })+
        })+
    };
}

behind!(
    nginx {
        clients_stay_by_cookie: "nginx/cookie.conf",
        clients_stay_by_address: "nginx/address.conf",
        websocket_clients_need_not_stay: "nginx/websocket.conf",
    }
    haproxy {
        clients_stay_by_cookie: "haproxy/cookie.cfg",
        clients_stay_by_address: "haproxy/address.cfg",
        websocket_clients_need_not_stay: "haproxy/websocket.cfg",
        the_two_servers_of_compose_are_one_chat: "haproxy/compose.cfg",
    }
);

async fn start(port: u16, database: &Database) -> Process {
    Process::at_with(port, database, &[FLOODED]).await
}

async fn servers_are_replaced_behind(file: &str) {
    let database = Database::postgres().await;
    let count = if file.contains("compose") { 2 } else { SERVERS };
    let mut servers = vec![];
    for _ in 0..count {
        servers.push(start(free_port(), &database).await);
    }
    let addresses: Vec<_> = servers.iter().map(|server| server.address).collect();
    let proxy = Proxy::start(file, &addresses).await;
    let members = (0..CLIENTS).map(|number| {
        let mut member = Member::numbered(number, ROOMS, proxy.url());
        if file.contains("websocket") {
            member.transports = &["websocket"];
        }
        member.local_address = Some(format!("127.0.1.{}", number + 1));
        member
    });
    let mut talk = Talk::start(&members.collect::<Vec<_>>(), SENDS);
    let ways_to_end = [Signal::SIGKILL]
        .into_iter()
        .chain([Signal::SIGTERM; SERVERS]);
    for (number, signal) in ways_to_end.enumerate() {
        talk.until_further_acks(ACKS_BETWEEN).await;
        let place = number % count;
        servers[place].signal(signal);
        servers.remove(place).ended().await;
        servers.insert(place, start(addresses[place].port(), &database).await);
    }
    let everybody = talk.assert_nothing_lost_or_doubled(&database).await;
    print_counts(file, &everybody);
    assert!(everybody.iter().any(|one| one.resumed > 0));
}
