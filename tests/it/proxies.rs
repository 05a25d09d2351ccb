//! Proxies in front of the server: their reports of clients' addresses, and nginx itself.

use std::fs;

use reqwest::{Client, header::HeaderValue};

use crate::support::{Database, Server, nginx::Nginx, node, within_deadline};

const HANDSHAKE: &str = "/socket.io/?EIO=4&transport=polling";

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_hop_does_not_spoil_the_addresses_beside_it() {
    let server = Server::on(
        Database::sqlite(),
        &[
            "--max-connections-per-address=1",
            "--trusted-proxies=127.0.0.1",
        ],
    )
    .await;
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
        let handshake = handshake.header(
            "x-forwarded-for",
            HeaderValue::from_bytes(forwarded).unwrap(),
        );
        let answer = within_deadline("an answer", handshake.send())
            .await
            .unwrap();
        assert_eq!(answer.status(), status, "{}", forwarded.escape_ascii());
    }
}

/// Returns the documented `http` block of nginx, in front of this server.
fn documented_config(server: &Server) -> String {
    let page = fs::read_to_string("docs/operations.md").unwrap();
    let block = page
        .split("```nginx\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let block = block.replace(
        "server 127.0.0.1:3000;",
        &format!("server {};", server.address()),
    );
    assert!(block.contains("listen 80;"));
    block.replace("listen 80;", "listen {address};")
}

/// Has a page of this origin chat over each transport.
async fn assert_page_chats(nginx: &Nginx, path: &str, origin: &str) {
    for transport in ["polling", "websocket", "upgrade"] {
        node::run(
            "proxied.mjs",
            &[
                &format!("http://{}", nginx.address),
                transport,
                path,
                origin,
            ],
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_nginx_passes_clients_on_by_each_transport() {
    let server = Server::start().await;
    let nginx = Nginx::start(&documented_config(&server)).await;
    assert_page_chats(&nginx, "/socket.io", &format!("http://{}", nginx.address)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_nginx_that_adds_the_default_port_passes_the_servers_own_pages_on() {
    let server = Server::start().await;
    // The value of `$host:$server_port` for https://chat.example.
    let nginx = documented_config(&server).replace("Host $http_host;", "Host chat.example:443;");
    let nginx = Nginx::start(&nginx).await;
    assert_page_chats(&nginx, "/socket.io", "https://chat.example").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_nginx_that_hides_the_host_passes_the_servers_own_pages_on() {
    let server = Server::on(Database::sqlite(), &["--trusted-proxies=127.0.0.1"]).await;
    let nginx =
        documented_config(&server).replace("Host $http_host;", "X-Forwarded-Host chat.example;");
    let nginx = Nginx::start(&nginx).await;
    assert_page_chats(&nginx, "/socket.io", "https://chat.example").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_nginx_that_strips_a_path_prefix_passes_clients_and_files_on() {
    let server = Server::start().await;
    let prefixed = documented_config(&server).replace("location / {", "location /chat/ {");
    let nginx =
        Nginx::start(&prefixed.replace("proxy_pass http://parlor;", "proxy_pass http://parlor/;"))
            .await;
    let own = format!("http://{}", nginx.address);
    for path in [
        "/chat/",
        "/chat/app.js",
        "/chat/socket.io/socket.io.js",
        "/chat/healthz",
    ] {
        let file = within_deadline("a file", reqwest::get(format!("{own}{path}")))
            .await
            .unwrap();
        assert_eq!(file.status(), 200, "{path}");
    }
    assert_page_chats(&nginx, "/chat/socket.io", &own).await;
}
