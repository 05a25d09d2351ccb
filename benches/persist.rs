//! How many messages a second are stored and acknowledged, from 100 rooms with 5 senders in each: by the whole server, which
//! also sends each message to the room's five, and by the writer alone. Server, database and load share this machine.
//!
//! `cargo bench --bench persist` runs it on a throw-away Postgres and on SQLite; `-- postgres 5 10` on the one, 5 runs of
//! 10 seconds.

#[path = "../tests/it/support/postgres.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod postgres;
#[allow(dead_code, reason = "other benches use the rest")]
mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use parlor::{
    model::{Body, Draft},
    store::{self, Encryption},
    writer::Writer,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use self::support::Parlor;

const ROOMS: usize = 100;
const SENDERS_PER_ROOM: usize = 5;
/// Sends that one sender has under way.
const WINDOW: usize = 16;
const BODY_BYTES: usize = 100;
const WARM_UP: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let number = |place: usize, default| arguments.get(place).map_or(default, |text: &String| text.parse().unwrap());
    let (runs, seconds) = (number(1, 3), number(2, 8));
    let kinds: Vec<&str> = match arguments.first() {
        Some(kind) => vec![kind],
        None => vec!["postgres", "sqlite"],
    };
    println!("{ROOMS} rooms x {SENDERS_PER_ROOM} senders, {WINDOW} sends under way each, bodies of {BODY_BYTES} bytes");
    println!("{:10} {:>12} {:>22} {:>14}", "database", "acks/s", "acks/server CPU s", "deliveries/s");
    for kind in &kinds {
        let mut results = Vec::new();
        for _ in 0..runs {
            results.push(run(kind, Duration::from_secs(seconds)).await);
        }
        results.sort_by(|one, other| one.acks.total_cmp(&other.acks));
        for result in &results {
            result.print(kind);
        }
        results[results.len() / 2].print(&format!("{kind}*"));
    }
    println!("{:10} {:>12}", "writer", "commits/s");
    for kind in &kinds {
        let mut results = Vec::new();
        for _ in 0..runs {
            results.push(run_writer(kind, Duration::from_secs(seconds)).await);
        }
        results.sort_by(f64::total_cmp);
        println!("{:10} {:>12.0}", format!("{kind}*"), results[results.len() / 2]);
    }
    println!("* the median run");
}

/// A database for one run.
struct Database {
    url: String,
    _folder: tempfile::TempDir,
    _server: Option<postgres::Postgres>,
}

impl Database {
    fn new(kind: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = (kind == "postgres").then(|| postgres::Postgres::start(&[]));
        let url = match &server {
            Some(server) => server.url("postgres"),
            None => format!("sqlite://{}/bench.db", folder.path().display()),
        };
        Self { url, _folder: folder, _server: server }
    }
}

/// The writer alone: as many senders, with as many sends under way, without sockets. Messages a second.
async fn run_writer(kind: &str, time: Duration) -> f64 {
    let database = Database::new(kind);
    let store = store::open(&database.url, 8, Encryption::Optional).unwrap();
    store.migrate().await.unwrap();
    let stop = CancellationToken::new();
    let (writer, committing) = Writer::start(store, Duration::from_secs(60), Box::new(|_| {}), stop.clone());
    let stored = Arc::new(AtomicU64::new(0));
    let mut senders = JoinSet::new();
    for number in 0..ROOMS * SENDERS_PER_ROOM * WINDOW {
        let (writer, stored) = (writer.clone(), stored.clone());
        senders.spawn(async move {
            for sent in 0_u64.. {
                let receipt = writer.enqueue(draft(number, sent)).unwrap();
                receipt.stored().await.unwrap();
                stored.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    tokio::time::sleep(WARM_UP).await;
    let (begun, before) = (Instant::now(), stored.load(Ordering::Relaxed));
    tokio::time::sleep(time).await;
    let (elapsed, after) = (begun.elapsed().as_secs_f64(), stored.load(Ordering::Relaxed));
    senders.shutdown().await;
    stop.cancel();
    committing.await.unwrap();
    (after - before) as f64 / elapsed
}

fn draft(number: usize, sent: u64) -> Draft {
    let sender = number % (ROOMS * SENDERS_PER_ROOM);
    let (room, user) = (format!("room-{}", sender % ROOMS), format!("user-{sender}"));
    let body = Body::parse(&"x".repeat(BODY_BYTES), BODY_BYTES).unwrap();
    let name = format!("{number}-{sent}").as_str().try_into().unwrap();
    Draft::new(room.as_str().try_into().unwrap(), user.as_str().try_into().unwrap(), None, body, Some(name))
}

struct Figures {
    acks: f64,
    acks_per_cpu_second: f64,
    deliveries: f64,
}

impl Figures {
    fn print(&self, label: &str) {
        println!("{label:10} {:>12.0} {:>22.0} {:>14.0}", self.acks, self.acks_per_cpu_second, self.deliveries);
    }
}

#[derive(Default)]
struct Counts {
    acks: AtomicU64,
    deliveries: AtomicU64,
    stop: AtomicBool,
}

async fn run(kind: &str, time: Duration) -> Figures {
    let database = Database::new(kind);
    let parlor = Parlor::start(env!("CARGO_BIN_EXE_parlor"), &database.url, &["--messages-per-second=0"]);
    let counts = Arc::new(Counts::default());
    let mut connected = Vec::new();
    for number in 0..ROOMS * SENDERS_PER_ROOM {
        connected.push(Sender::connect(&parlor.address, number).await);
    }
    let mut senders = JoinSet::new();
    for sender in connected {
        senders.spawn(sender.run(counts.clone()));
    }
    tokio::time::sleep(WARM_UP).await;
    let read = || (counts.acks.load(Ordering::Relaxed), counts.deliveries.load(Ordering::Relaxed));
    let (begun, (acks, deliveries), cpu) = (Instant::now(), read(), parlor.cpu_seconds());
    tokio::time::sleep(time).await;
    let (elapsed, (acks_then, deliveries_then)) = (begun.elapsed().as_secs_f64(), read());
    let cpu = parlor.cpu_seconds() - cpu;
    counts.stop.store(true, Ordering::Relaxed);
    senders.shutdown().await;
    let acks = (acks_then - acks) as f64;
    Figures {
        acks: acks / elapsed,
        acks_per_cpu_second: acks / cpu,
        deliveries: (deliveries_then - deliveries) as f64 / elapsed,
    }
}

/// One client, cheap enough not to be what is measured: frames are written unmasked in effect (a mask of zeros) and read
/// no further than their first bytes.
struct Sender {
    number: usize,
    room: usize,
    reader: tokio::io::BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    sent: u64,
}

impl Sender {
    async fn connect(address: &str, number: usize) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (reader, writer) = stream.into_split();
        let reader = tokio::io::BufReader::with_capacity(32 * 1024, reader);
        let mut sender = Self { number, room: number % ROOMS, reader, writer, sent: 0 };
        let handshake = format!(
            "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        sender.writer.write_all(handshake.as_bytes()).await.unwrap();
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            sender.reader.read_line(&mut line).await.unwrap();
        }
        sender.write(&[format!("40{{\"userId\":\"user-{number}\"}}")]).await;
        sender.until("40").await;
        sender.write(&[format!("42[\"joinRoom\",{{\"roomId\":\"room-{}\"}}]", sender.room)]).await;
        sender.until("42[\"history\"").await;
        sender
    }

    async fn run(mut self, counts: Arc<Counts>) {
        let first: Vec<_> = (0..WINDOW).map(|_| self.next_send()).collect();
        self.write(&first).await;
        while !counts.stop.load(Ordering::Relaxed) {
            let mut answers = Vec::new();
            loop {
                match self.frame().await.as_slice() {
                    [b'2'] => answers.push("3".to_owned()),
                    [b'4', b'3', rest @ ..] => {
                        assert!(rest.windows(4).any(|bytes| bytes == b"\"ok\""), "{}", String::from_utf8_lossy(rest));
                        counts.acks.fetch_add(1, Ordering::Relaxed);
                        answers.push(self.next_send());
                    }
                    _ => drop(counts.deliveries.fetch_add(1, Ordering::Relaxed)),
                }
                if self.reader.buffer().is_empty() {
                    break;
                }
            }
            self.write(&answers).await;
        }
    }

    fn next_send(&mut self) -> String {
        self.sent += 1;
        let (number, room, sent, body) = (self.number, self.room, self.sent, "x".repeat(BODY_BYTES));
        format!(
            "42{sent}[\"sendMessage\",{{\"roomId\":\"room-{room}\",\"message\":\"{body}\",\"clientMessageId\":\"{number}-{sent}\"}}]"
        )
    }

    async fn until(&mut self, begin: &str) {
        while !self.frame().await.starts_with(begin.as_bytes()) {}
    }

    /// Writes text frames: <https://www.rfc-editor.org/rfc/rfc6455#section-5.2>.
    async fn write(&mut self, texts: &[String]) {
        let mut bytes = Vec::new();
        for text in texts {
            bytes.push(0x81);
            match u8::try_from(text.len()) {
                Ok(length) if length < 126 => bytes.push(0x80 | length),
                _ => {
                    bytes.push(0x80 | 126);
                    bytes.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
                }
            }
            bytes.extend([0; 4]);
            bytes.extend(text.as_bytes());
        }
        self.writer.write_all(&bytes).await.unwrap();
    }

    async fn frame(&mut self) -> Vec<u8> {
        let _opcode = self.reader.read_u8().await.unwrap();
        let length = match self.reader.read_u8().await.unwrap() {
            126 => self.reader.read_u16().await.unwrap().into(),
            127 => self.reader.read_u64().await.unwrap(),
            length => length.into(),
        };
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        self.reader.read_exact(&mut payload).await.unwrap();
        payload
    }
}
