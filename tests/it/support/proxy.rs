//! A TCP proxy that cuts connections, at random places in what passes.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use fastrand::Rng;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    task::JoinSet,
    time::{sleep, timeout},
};

/// How long a connection may stand still, or half closed, before it is dropped.
const MAX_STALL: Duration = Duration::from_secs(1);

const KINDS: [Cut; 4] = [Cut::Finish, Cut::Reset, Cut::HalfClose, Cut::Stall];

/// What happens to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Both ends are told of its end (FIN).
    Finish,
    /// Both ends are told of an error (RST).
    Reset,
    /// One end is told of its end; what it says still gets to the other for a while.
    HalfClose,
    /// Nothing passes for a while; then both ends are told of an error.
    Stall,
}

/// When to cut.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Cuts of each line.
    pub cuts: usize,
    /// Bytes that pass between two of them, both ways together, on average.
    pub bytes: usize,
    /// Makes the places and the kinds.
    pub seed: u64,
}

/// Ways to a server, one for each client; gone when dropped.
pub struct Proxy {
    /// Where the ways begin.
    pub addresses: Vec<SocketAddr>,
    lines: Vec<Arc<Line>>,
    _listening: JoinSet<()>,
}

impl Proxy {
    /// Starts with so many lines.
    pub async fn start(server: SocketAddr, lines: usize, plan: Plan) -> Self {
        let lines: Vec<_> = (0..lines)
            .map(|number| Arc::new(Line::new(server, number, plan)))
            .collect();
        let (mut addresses, mut listening) = (vec![], JoinSet::new());
        for line in &lines {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            addresses.push(listener.local_addr().unwrap());
            listening.spawn(line.clone().listen(listener));
        }
        Self {
            addresses,
            lines,
            _listening: listening,
        }
    }

    /// How often each kind of cut has happened.
    pub fn cuts(&self) -> [(Cut, usize); 4] {
        KINDS.map(|kind| {
            (
                kind,
                self.lines
                    .iter()
                    .map(|line| line.done[kind as usize].load(Ordering::Relaxed))
                    .sum(),
            )
        })
    }
}

/// One client's way to the server.
struct Line {
    server: SocketAddr,
    next: Mutex<Next>,
    done: [AtomicUsize; KINDS.len()],
}

impl Line {
    fn new(server: SocketAddr, number: usize, plan: Plan) -> Self {
        let random = Rng::with_seed(plan.seed.wrapping_add(number as u64));
        let mut next = Next {
            random,
            left: plan.cuts,
            max_bytes: 2 * plan.bytes,
            bytes: 0,
        };
        next.bytes = next.random.usize(..next.max_bytes);
        Self {
            server,
            next: Mutex::new(next),
            done: Default::default(),
        }
    }

    async fn listen(self: Arc<Self>, listener: TcpListener) {
        let mut connections = JoinSet::new();
        loop {
            let (client, _) = listener.accept().await.unwrap();
            connections.spawn(self.clone().carry(client));
            while connections.try_join_next().is_some() {}
        }
    }

    /// Passes on what a client and the server say until one of them ends it, or until it is cut.
    async fn carry(self: Arc<Self>, mut client: TcpStream) -> io::Result<()> {
        let mut server = TcpStream::connect(self.server).await?;
        let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
            (client.split(), server.split());
        let cut = tokio::select! {
            cut = self.pass(&mut from_client, &mut to_server) => cut?,
            cut = self.pass(&mut from_server, &mut to_client) => cut?,
        };
        match cut {
            None | Some(Cut::Finish) => return Ok(()),
            Some(Cut::Reset) => {}
            Some(Cut::HalfClose) if self.chance() < 0.5 => {
                half_close(&mut to_client, &mut from_client, &mut to_server).await?
            }
            Some(Cut::HalfClose) => {
                half_close(&mut to_server, &mut from_server, &mut to_client).await?
            }
            Some(Cut::Stall) => sleep(MAX_STALL.mul_f64(self.chance())).await,
        }
        client.set_zero_linger()?;
        server.set_zero_linger()
    }

    /// Passes on what one end says, until it ends or the connection is to be cut.
    async fn pass(
        &self,
        from: &mut ReadHalf<'_>,
        to: &mut WriteHalf<'_>,
    ) -> io::Result<Option<Cut>> {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let read = from.read(&mut buffer).await?;
            let cut = self.next.lock().unwrap().cut_within(read);
            let Some((before, cut)) = cut else {
                to.write_all(&buffer[..read]).await?;
                if read == 0 {
                    return Ok(None);
                }
                continue;
            };
            self.done[cut as usize].fetch_add(1, Ordering::Relaxed);
            to.write_all(&buffer[..before]).await?;
            return Ok(Some(cut));
        }
    }

    /// Something from 0 to 1.
    fn chance(&self) -> f64 {
        self.next.lock().unwrap().random.f64()
    }
}

/// Ends one direction; the other one goes on for a while.
async fn half_close(
    ended: &mut WriteHalf<'_>,
    from: &mut ReadHalf<'_>,
    to: &mut WriteHalf<'_>,
) -> io::Result<()> {
    ended.shutdown().await?;
    timeout(MAX_STALL, copy(from, to))
        .await
        .map_or(Ok(()), |copied| copied.map(drop))
}

/// A line's next cut.
struct Next {
    random: Rng,
    /// How many there are still to be.
    left: usize,
    max_bytes: usize,
    /// How many bytes pass before.
    bytes: usize,
}

impl Next {
    /// How many of `length` bytes pass before a cut, if there is one in them, and what happens
    /// then.
    fn cut_within(&mut self, length: usize) -> Option<(usize, Cut)> {
        if self.left == 0 || self.bytes >= length {
            self.bytes = self.bytes.saturating_sub(length);
            return None;
        }
        self.left -= 1;
        let before = std::mem::replace(&mut self.bytes, self.random.usize(..self.max_bytes));
        Some((before, self.random.choice(KINDS)?))
    }
}
