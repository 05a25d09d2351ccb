//! A TCP port that leads to one server, and later to another one or to nothing.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

/// A port with a changing server behind it, like a name; gone when dropped.
pub struct Switch {
    address: SocketAddr,
    server: Arc<watch::Sender<SocketAddr>>,
    _passing: JoinSet<()>,
}

impl Switch {
    /// Returns a port that leads to a server.
    pub async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Arc::new(watch::Sender::new(server));
        let mut passing = JoinSet::new();
        passing.spawn(pass(listener, server.clone()));
        Self {
            address,
            server,
            _passing: passing,
        }
    }

    /// Leads new connections to another server. Those that are open stay.
    pub fn lead_to(&self, server: SocketAddr) {
        self.server.send_replace(server);
    }

    /// Returns its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn pass(listener: TcpListener, server: Arc<watch::Sender<SocketAddr>>) {
    let mut connections = JoinSet::new();
    loop {
        let (mut client, _) = listener.accept().await.unwrap();
        let address = *server.borrow();
        connections.spawn(async move {
            if let Ok(mut server) = TcpStream::connect(address).await {
                copy_bidirectional(&mut client, &mut server).await.ok();
            }
        });
    }
}
