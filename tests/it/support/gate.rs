//! A way to a Postgres server that can be opened and shut: a TCP port before its Unix socket.

use std::net::SocketAddr;

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpSocket, UnixStream},
    task::{JoinHandle, JoinSet},
};

use super::postgres::Postgres;

/// A port that refuses connections until it is opened.
pub struct Gate {
    address: SocketAddr,
    /// Bound, so that nobody else takes the port, but not listening: connections are refused.
    _reserved: TcpSocket,
    open: Option<JoinHandle<()>>,
}

impl Gate {
    /// A shut gate.
    pub fn shut_at_first() -> Self {
        let reserved = reusable();
        reserved.bind(([127, 0, 0, 1], 0).into()).unwrap();
        Self { address: reserved.local_addr().unwrap(), _reserved: reserved, open: None }
    }

    /// The URL of a database behind it.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@{}/{database}", self.address)
    }

    /// Lets connections through.
    pub fn open(&mut self) {
        let socket = reusable();
        socket.bind(self.address).unwrap();
        let listener = socket.listen(64).unwrap();
        self.open = Some(tokio::spawn(pass(listener)));
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

async fn pass(listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        let (mut client, _) = listener.accept().await.unwrap();
        connections.spawn(async move {
            let mut server = UnixStream::connect(Postgres::shared().socket()).await.unwrap();
            copy_bidirectional(&mut client, &mut server).await.ok();
        });
    }
}
