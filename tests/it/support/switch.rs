//! A TCP port that leads to one server, and later to another one or to nothing.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

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
    failures: Arc<AtomicUsize>,
    _passing: JoinSet<()>,
}

impl Switch {
    /// Returns a port that leads to a server.
    pub async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Arc::new(watch::Sender::new(server));
        let mut passing = JoinSet::new();
        let failures = Arc::default();
        passing.spawn(pass(listener, server.clone(), Arc::clone(&failures)));
        Self {
            address,
            server,
            failures,
            _passing: passing,
        }
    }

    /// Leads new connections to another server. Those that are open stay.
    pub fn lead_to(&self, server: SocketAddr) {
        self.server.send_replace(server);
    }

    /// Returns the number of connections that led to nothing.
    pub fn failures(&self) -> usize {
        self.failures.load(Ordering::Relaxed)
    }

    /// Returns its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn pass(
    listener: TcpListener,
    server: Arc<watch::Sender<SocketAddr>>,
    failures: Arc<AtomicUsize>,
) {
    let mut connections = JoinSet::new();
    loop {
        let (mut client, _) = listener.accept().await.unwrap();
        let (address, failures) = (*server.borrow(), failures.clone());
        connections.spawn(async move {
            match TcpStream::connect(address).await {
                Ok(mut server) => _ = copy_bidirectional(&mut client, &mut server).await,
                Err(_) => _ = failures.fetch_add(1, Ordering::Relaxed),
            }
        });
    }
}
