//! Proxies before the server: what they say of the client, and nginx itself.

use reqwest::{Client, header::HeaderValue};

use crate::support::{Database, Server, within_deadline};

const HANDSHAKE: &str = "/socket.io/?EIO=4&transport=polling";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_address_takes_no_address_beside_it_along() {
    let server =
        Server::on(Database::sqlite(), &["--max-connections-per-address=1", "--trusted-proxies=127.0.0.1"]).await;
    for (forwarded, status) in [
        (&b"\xff, 192.0.2.1"[..], 200),
        (b"caf\xc3\xa9, 192.0.2.1", 429),
        (b"\xff, 192.0.2.2", 200),
        (b"192.0.2.3, 192.0.2.2", 429),
        (b"[2001:db8::1]", 200),
        (b"2001:db8::2", 429),
        (b"192.0.2.3", 200),
    ] {
        let handshake = Client::new().get(format!("{}{HANDSHAKE}", server.url()));
        let handshake = handshake.header("x-forwarded-for", HeaderValue::from_bytes(forwarded).unwrap());
        let answer = within_deadline("an answer", handshake.send()).await.unwrap();
        assert_eq!(answer.status(), status, "{}", forwarded.escape_ascii());
    }
}
