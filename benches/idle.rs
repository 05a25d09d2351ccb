//! How much memory an idle WebSocket takes: what the server's resident memory grows by, for each of 2,000 clients that came
//! with a browser's headers and do nothing.
//!
//! `cargo bench --bench idle`; `-- 10000` with so many, `-- 2000 PROGRAM` on another build of the server.

#[allow(dead_code, reason = "other benches use the rest")]
mod support;

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest},
};

use self::support::Parlor;

/// Clients that come first, so that what is allocated once does not count.
const WARM_UP: usize = 200;
/// Time for the server to put away what connecting took.
const SETTLE: Duration = Duration::from_secs(2);
/// What browsers send besides.
const HEADERS: [(&str, &str); 6] = [
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    ),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("accept-language", "en-GB,en-US;q=0.9,en;q=0.8,de;q=0.7"),
    ("cache-control", "no-cache"),
    ("pragma", "no-cache"),
    ("cookie", "session=0123456789abcdef0123456789abcdef; theme=dark; consent=yes"),
];

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let clients: usize = arguments.next().map_or(2000, |text| text.parse().unwrap());
    let program = arguments.next().unwrap_or_else(|| env!("CARGO_BIN_EXE_parlor").to_owned());
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}/bench.db", folder.path().display());
    let parlor = Parlor::start(&program, &database, &["--ping-interval-ms=3600000", "--ping-timeout-ms=3600000"]);
    let (mut connected, mut sizes) = (Vec::new(), Vec::new());
    for count in [WARM_UP, clients] {
        for number in 0..count {
            connected.push(connect(&parlor.address, number).await);
        }
        tokio::time::sleep(SETTLE).await;
        sizes.push(parlor.resident_kilobytes());
    }
    let each = (sizes[1] - sizes[0]) / clients as f64;
    println!("{clients} idle WebSockets: {each:.1} kB each");
}

async fn connect(address: &str, number: usize) -> WebSocketStream<TcpStream> {
    let mut request = format!("ws://{address}/socket.io/?EIO=4&transport=websocket").into_client_request().unwrap();
    for (name, value) in HEADERS {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let (mut socket, _) = client_async(request, TcpStream::connect(address).await.unwrap()).await.unwrap();
    socket.send(Message::text(format!("40{{\"userId\":\"user-{number}\"}}"))).await.unwrap();
    loop {
        match socket.next().await.unwrap().unwrap() {
            Message::Text(text) if text.as_str() == "2" => socket.send(Message::text("3")).await.unwrap(),
            Message::Text(text) if text.starts_with("40") => return socket,
            _ => {}
        }
    }
}
