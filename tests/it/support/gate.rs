//! A gate before the tests' Postgres server: a TCP port that can be opened and shut.

use std::{net::SocketAddr, path::PathBuf};

use reqwest::Url;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpSocket, TcpStream, UnixStream},
    task::{JoinHandle, JoinSet},
};

use super::database;

const POSTGRES_PORT: u16 = 5432;

/// A port that refuses connections until it is opened.
pub struct Gate {
    address: SocketAddr,
    /// Bound, so that no other process takes the port, but not listening: connections are refused.
    _reserved: TcpSocket,
    open: Option<JoinHandle<()>>,
}

impl Gate {
    /// Returns a shut gate.
    pub fn shut_at_first() -> Self {
        let reserved = reusable();
        reserved.bind(([127, 0, 0, 1], 0).into()).unwrap();
        Self {
            address: reserved.local_addr().unwrap(),
            _reserved: reserved,
            open: None,
        }
    }

    /// Returns the URL of a database behind the gate.
    pub fn url(&self, direct: &str) -> String {
        let mut url = Url::parse(direct).expect("a database's URL");
        let others: Vec<_> = url
            .query_pairs()
            .into_owned()
            .filter(|(name, _)| name != "host")
            .collect();
        url.query_pairs_mut().clear().extend_pairs(others);
        url.set_ip_host(self.address.ip())
            .expect("a URL with a host");
        url.set_port(Some(self.address.port()))
            .expect("a URL with a host");
        url.into()
    }

    /// Lets connections through.
    pub fn open(&mut self) {
        let socket = reusable();
        socket.bind(self.address).unwrap();
        let listener = socket.listen(64).unwrap();
        self.open = Some(tokio::spawn(pass(
            listener,
            Server::of(&database::admin_url()),
        )));
    }

    /// Breaks all connections, and refuses new ones.
    pub async fn shut(&mut self) {
        if let Some(open) = self.open.take() {
            open.abort();
            open.await.ok();
        }
    }
}

fn reusable() -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.set_reuseport(true).unwrap();
    socket
}

/// The address of a Postgres server.
#[derive(Clone)]
enum Server {
    Unix(PathBuf),
    Tcp(String),
}

impl Server {
    fn of(url: &str) -> Self {
        let url = Url::parse(url).expect("a database's URL");
        let port = url.port().unwrap_or(POSTGRES_PORT);
        let folder = url
            .query_pairs()
            .find(|(name, value)| name == "host" && value.starts_with('/'));
        match folder {
            Some((_, folder)) => {
                Self::Unix(PathBuf::from(&*folder).join(format!(".s.PGSQL.{port}")))
            }
            None => Self::Tcp(format!(
                "{}:{port}",
                url.host_str().expect("a URL with a host")
            )),
        }
    }

    async fn connect(self, mut client: TcpStream) {
        match self {
            Self::Unix(path) => {
                let mut server = UnixStream::connect(path).await.unwrap();
                copy_bidirectional(&mut client, &mut server).await.ok();
            }
            Self::Tcp(address) => {
                let mut server = TcpStream::connect(address).await.unwrap();
                copy_bidirectional(&mut client, &mut server).await.ok();
            }
        }
    }
}

async fn pass(listener: TcpListener, server: Server) {
    let mut connections = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.unwrap();
        connections.spawn(server.clone().connect(client));
    }
}
