//! HTTP byte by byte, as it crosses a connection.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use super::within_deadline;

/// A connection of the test's own.
pub struct HttpConnection(TcpStream);

impl HttpConnection {
    /// Connects from this machine's usual address.
    pub async fn open(server: SocketAddr) -> Self {
        Self::from([127, 0, 0, 1].into(), server).await
    }

    /// Connects from one of this machine's addresses.
    pub async fn from(address: Ipv4Addr, server: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((address, 0).into()).unwrap();
        Self(
            within_deadline("the connection", socket.connect(server))
                .await
                .unwrap(),
        )
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    ///
    /// When the connection has ended.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.0.write_all(bytes.as_ref()).await
    }

    /// Sends a GET request, and returns the answer's status, or none without an answer.
    pub async fn ask(&mut self, path: &str, headers: &str) -> Option<u16> {
        self.send(format!(
            "GET {path} HTTP/1.1\r\nhost: parlor\r\n{headers}\r\n"
        ))
        .await
        .ok()?;
        self.status().await
    }

    /// Sends a GET request, and returns the first part of the answer.
    pub async fn answer(&mut self, path: &str, headers: &str) -> String {
        self.send(format!(
            "GET {path} HTTP/1.1\r\nhost: parlor\r\n{headers}\r\n"
        ))
        .await
        .unwrap();
        let mut answer = [0; 4096];
        let read = within_deadline("an answer", self.0.read(&mut answer))
            .await
            .unwrap();
        String::from_utf8_lossy(&answer[..read]).into_owned()
    }

    /// Reads some of the answers, and returns none at the connection's end.
    pub async fn read(&mut self) -> Option<String> {
        let mut answers = vec![0; 64 * 1024];
        let read = within_deadline("answers", self.0.read(&mut answers))
            .await
            .ok()
            .filter(|read| *read > 0)?;
        Some(String::from_utf8_lossy(&answers[..read]).into_owned())
    }

    /// Returns the next answer's status, or none at the connection's end. Nothing else may arrive
    /// with the answer.
    pub async fn status(&mut self) -> Option<u16> {
        let mut answer = [0; 4096];
        let read = within_deadline("an answer", self.0.read(&mut answer))
            .await
            .ok()
            .filter(|read| *read > 0)?;
        let status = answer[..read]
            .strip_prefix(b"HTTP/1.1 ")
            .expect("a status line");
        Some(std::str::from_utf8(&status[..3]).unwrap().parse().unwrap())
    }

    /// Returns the number of bytes that have arrived and are not read yet.
    pub async fn waiting(&self) -> usize {
        let mut arrived = vec![0; 32 * 1024 * 1024];
        let peeking = self.0.peek(&mut arrived);
        within_deadline("bytes", peeking).await.unwrap()
    }

    /// Reads until the server ends the connection.
    pub async fn rest(&mut self) -> String {
        let mut rest = vec![];
        within_deadline("the connection's end", self.0.read_to_end(&mut rest))
            .await
            .unwrap();
        String::from_utf8_lossy(&rest).into_owned()
    }

    /// Resets the connection.
    pub fn reset(self) {
        self.0.set_zero_linger().unwrap();
    }

    /// Waits until the server has ended the connection.
    pub async fn ended(&mut self) {
        within_deadline("the connection's end", async {
            while self.status().await.is_some() {}
        })
        .await;
    }
}
