//! Usual clients: curl, the browser's `EventSource`, and a stream behind nginx.

use std::process::Stdio;

use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

use super::{open, server, token};
use crate::{
    api::{Backend, KEY},
    support::{free_port, nginx::Nginx, node, within_deadline},
};

#[tokio::test(flavor = "multi_thread")]
async fn curl_reads_a_stream() {
    let (server, backend) = server(&[]).await;
    let sent = backend.send("r", "ann", "before").await;
    let mut curl = Command::new("curl")
        .args(["--no-buffer", "--silent", "--show-error", "--fail"])
        .args(["--header", &format!("Authorization: Bearer {KEY}")])
        .args(["--header", "Last-Event-ID: 0.0"])
        .arg(format!("{}/api/v1/events?roomId=r", server.url()))
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(curl.stdout.take().unwrap()).lines();
    for expected in [
        "retry: 2000".to_owned(),
        String::new(),
        "id: 1.0".into(),
        "event: newMessage".into(),
        format!("data: {sent}"),
        String::new(),
        "id: 1.0".into(),
        "event: ready".into(),
    ] {
        let line = within_deadline("a line", lines.next_line()).await.unwrap();
        let line: String = line.expect("curl goes on");
        match expected.strip_prefix("data: ") {
            Some(json) => {
                let data: serde_json::Value =
                    serde_json::from_str(line.strip_prefix("data: ").unwrap()).unwrap();
                assert_eq!(
                    data,
                    serde_json::from_str::<serde_json::Value>(json).unwrap()
                );
            }
            None => assert_eq!(line, expected),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_with_buffers_passes_events_on_at_once() {
    let (server, backend) = server(&[]).await;
    let nginx = Nginx::start(&format!(
        "server {{ listen {{address}}; proxy_buffering on; \
         location / {{ proxy_pass {}; proxy_http_version 1.1; }} }}",
        server.url()
    ))
    .await;
    let behind = Backend::at(&format!("http://{}", nginx.address), KEY);
    let mut stream = open(&behind, "r", None).await;
    stream.event("ready").await;
    for text in ["one", "two"] {
        let sent = backend.send("r", "ann", text).await;
        assert_eq!(stream.event("newMessage").await.data, sent);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browsers_event_source_comes_back_with_new_tickets() {
    let port = free_port();
    let origin = format!("--allowed-origins=http://127.0.0.1:{port}");
    let (server, backend) = server(&[&origin]).await;
    let ann = token("ann", 600, &[]);
    let port = port.to_string();
    let mut script = node::Script::start("event_source.mjs", &[&server.url(), &port, &ann]);
    assert_eq!(script.line().await, "ready");
    for (number, text) in ["one", "two", "three"].into_iter().enumerate() {
        backend.send("r", "bob", text).await;
        assert_eq!(
            script.line().await,
            format!("newMessage {} {text}", number + 1)
        );
        // The connection ends, and a message comes before the browser is back.
        backend
            .ok("POST", "/disconnect", json!({ "userId": "ann" }))
            .await;
    }
    backend.send("r", "bob", "four").await;
    assert_eq!(script.line().await, "newMessage 4 four");
}
