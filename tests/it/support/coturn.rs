//! coturn, a TURN server, as a process of its own, and a client of it.
//!
//! A test of calls by a relay starts it and hands its settings, `--turn-urls` with [`Coturn::url`] and `--turn-secret`
//! with [`SECRET`], to the server under test. Its clients get both the URL and credentials by `getIceServers`. In a browser's
//! script, `iceTransportPolicy: "relay"` then allows no other way.

use std::{collections::BTreeMap, fs, net::SocketAddr, path::Path, process::Stdio};

use serde::Deserialize;
use tempfile::TempDir;
use tokio::process::Child;

use super::{node::Script, program};

/// The secret that the tests' servers and coturn share.
pub const SECRET: &str = "the-secret-of-the-tests";

/// A relay for calls on this machine alone: peers on the loopback are allowed, and there is no TLS.
const ON_THIS_MACHINE: &str = "listening-ip=127.0.0.1\nrelay-ip=127.0.0.1\nrelay-ip=::1\n\
    allow-loopback-peers\nuse-auth-secret\nrealm=parlor.test\nfingerprint\nno-tls\nno-dtls\nno-cli\n";

/// A running coturn; killed when dropped.
pub struct Coturn {
    /// The address that it listens on, by UDP and TCP.
    pub address: SocketAddr,
    _process: Child,
    _folder: TempDir,
}

impl Coturn {
    /// Starts a relay for calls on this machine.
    pub async fn start() -> Self {
        Self::start_with(ON_THIS_MACHINE).await
    }

    /// Starts coturn with this configuration; its port, its secret and its own files are set here.
    pub async fn start_with(config: &str) -> Self {
        let folder = TempDir::with_prefix("parlor-coturn-").unwrap();
        let (address, process) = program::listening(|address| {
            let file = folder.path().join("turnserver.conf");
            fs::write(
                &file,
                [config, &own(address.port(), folder.path())].concat(),
            )
            .unwrap();
            let mut command = program::command("turnserver");
            command.arg("-c").arg(file).current_dir(folder.path());
            command.stdout(Stdio::null()).stderr(Stdio::null());
            command
        })
        .await;
        Self {
            address,
            _process: process,
            _folder: folder,
        }
    }

    /// Returns the relay's URL for browsers.
    pub fn url(&self) -> String {
        format!("turn:{}?transport=udp", self.address)
    }

    /// Asks for a relay with an address of this IP family, and then for a permission of each peer.
    pub async fn ask(&self, family: Family, login: [&str; 2], peers: &[&str]) -> Answers {
        let address = self.address.to_string();
        let [username, credential] = login;
        let arguments = [&[&*address, family.digit(), username, credential], peers].concat();
        let mut client = Script::start("turn.mjs", &arguments);
        let answers: Answers = serde_json::from_str(&client.line().await).unwrap();
        Answers {
            _client: Some(client),
            ..answers
        }
    }
}

/// A family of IP addresses.
#[derive(Debug, Clone, Copy)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    fn digit(self) -> &'static str {
        match self {
            Self::V4 => "4",
            Self::V6 => "6",
        }
    }
}

/// The answers to a client, each 0 or the code of a refusal. It holds its relay until they are dropped.
#[derive(Deserialize)]
pub struct Answers {
    /// The answer to the request for a relay.
    pub allocated: u16,
    /// The answer for each peer.
    pub peers: BTreeMap<String, u16>,
    #[serde(skip)]
    _client: Option<Script>,
}

/// Returns the lines of the configuration that are a test's own: of repeated options, the last one counts.
fn own(port: u16, folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "\nlistening-port={port}\nstatic-auth-secret={SECRET}\nuserdb={folder}/users\npidfile={folder}/pid\n\
         log-file={folder}/log\nsimple-log\n"
    )
}
