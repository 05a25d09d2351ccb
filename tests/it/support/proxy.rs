//! A TCP proxy that cuts connections at random places in their traffic, and may lead the next ones to
//! another server.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use fastrand::Rng;
use futures_util::future::select;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    task::JoinSet,
    time::{sleep, timeout},
};

/// The longest time that a connection stalls, or stays half closed, before it is dropped.
const MAX_STALL: Duration = Duration::from_secs(1);

const KINDS: [Cut; 4] = [Cut::Finish, Cut::Reset, Cut::HalfClose, Cut::Stall];

/// A way to cut a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Both ends see its end (FIN).
    Finish,
    /// Both ends see an error (RST).
    Reset,
    /// One direction ends; the other one goes on for a while.
    HalfClose,
    /// Nothing passes for a while; then both ends see an error.
    Stall,
}

/// A plan of cuts.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Cuts of each line.
    pub cuts: usize,
    /// The average number of bytes between two cuts, both directions together.
    pub bytes: usize,
    /// The seed of the places and kinds.
    pub seed: u64,
}

/// Lines to a server, one per client; gone when dropped.
pub struct Proxy {
    /// The addresses of the lines.
    pub addresses: Vec<SocketAddr>,
    lines: Vec<Arc<Line>>,
    _listening: JoinSet<()>,
}

impl Proxy {
    /// Starts a proxy with a number of lines. Each leads to one of the servers, and after each cut
    /// to one of them at random.
    pub async fn start(servers: &[SocketAddr], lines: usize, plan: Plan) -> Self {
        let lines: Vec<_> = (0..lines)
            .map(|number| Arc::new(Line::new(servers, number, plan)))
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

    /// Returns the number of cuts of each kind.
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

/// One client's line to a server.
struct Line {
    servers: Vec<SocketAddr>,
    /// The place of the present server among all.
    place: AtomicUsize,
    next: Mutex<Next>,
    done: [AtomicUsize; KINDS.len()],
}

impl Line {
    fn new(servers: &[SocketAddr], number: usize, plan: Plan) -> Self {
        let random = Rng::with_seed(plan.seed.wrapping_add(number as u64));
        let mut next = Next {
            random,
            left: plan.cuts,
            max_bytes: 2 * plan.bytes,
            bytes: 0,
        };
        next.bytes = next.random.usize(..next.max_bytes);
        Self {
            servers: servers.to_vec(),
            place: AtomicUsize::new(number % servers.len()),
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

    /// Relays a connection until one of its ends closes it, or until a cut.
    async fn carry(self: Arc<Self>, mut client: TcpStream) -> io::Result<()> {
        let address = self.servers[self.place.load(Ordering::Relaxed)];
        let mut server = TcpStream::connect(address).await?;
        let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
            (client.split(), server.split());
        {
            let up = pin!(self.pass(&mut from_client, &mut to_server));
            let down = pin!(self.pass(&mut from_server, &mut to_client));
            let (cut, other) = select(up, down).await.factor_first();
            match cut? {
                None | Some(Cut::Finish) => return Ok(()),
                Some(Cut::Reset) => {}
                // The other direction loses nothing: bytes missing in its middle are no cut.
                Some(Cut::HalfClose) => _ = timeout(MAX_STALL, other).await,
                Some(Cut::Stall) => sleep(MAX_STALL.mul_f64(self.chance())).await,
            }
        }
        client.set_zero_linger()?;
        server.set_zero_linger()
    }

    /// Relays one direction until its end, or until a cut.
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
            self.move_on();
            to.write_all(&buffer[..before]).await?;
            if cut == Cut::HalfClose {
                to.shutdown().await?;
            }
            return Ok(Some(cut));
        }
    }

    /// Leads further connections to another server.
    fn move_on(&self) {
        let place = self.next.lock().unwrap().random.usize(..self.servers.len());
        self.place.store(place, Ordering::Relaxed);
    }

    /// Returns a random number from 0 to 1.
    fn chance(&self) -> f64 {
        self.next.lock().unwrap().random.f64()
    }
}

/// The plan of a line's next cut.
struct Next {
    random: Rng,
    /// Cuts left.
    left: usize,
    max_bytes: usize,
    /// Bytes before the next cut.
    bytes: usize,
}

impl Next {
    /// Returns a cut within the next `length` bytes, if any: the bytes before it, and its kind.
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
