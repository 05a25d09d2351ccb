//! Export of spans by OTLP, to a collector on a real port.

use std::{
    net::Ipv4Addr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use nix::sys::signal::Signal;
use testkit::wire::{Carrier, Endpoint};
use tokio::net::TcpListener;

use crate::support::{Database, Process, within_deadline};

const HEADER: &[(&str, &str)] = &[(
    "traceparent",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
)];
const TRACE: [u8; 16] = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes();
const PARENT: [u8; 8] = 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes();

/// The bodies of requests for the export of traces.
type Exported = Arc<Mutex<Vec<u8>>>;

async fn take(State(exported): State<Exported>, headers: HeaderMap, body: Bytes) -> StatusCode {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    exported.lock().unwrap().extend_from_slice(&body);
    StatusCode::OK
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clients_span_is_exported_as_a_part_of_the_trace_of_its_handshake() {
    let exported = Exported::default();
    let router = Router::new()
        .route("/v1/traces", post(take))
        .with_state(exported.clone());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let collector = tokio::spawn(async { axum::serve(listener, router).await });

    let database = Database::sqlite();
    let process = Process::with_variable(&database, "OTEL_EXPORTER_OTLP_ENDPOINT", &url).await;
    let endpoint = Endpoint {
        headers: HEADER,
        ..Endpoint::new(process.address)
    };
    let auth = r#"{"userId":"ann"}"#;
    let connecting = testkit::client::Client::connect(&endpoint, Carrier::WebSocket, auth);
    let mut client = within_deadline("a client", connecting).await.unwrap();
    client
        .send(br#"420["joinRoom",{"roomId":"r"}]"#)
        .await
        .unwrap();
    client.send(b"41").await.unwrap();
    process.signal(Signal::SIGTERM);
    let (status, log) = process.ended().await;
    assert!(status.success(), "{log}");
    collector.abort();

    let exported = exported.lock().unwrap();
    let has = |bytes: &[u8]| exported.windows(bytes.len()).any(|part| part == bytes);
    for part in [&TRACE[..], &PARENT, b"socket", b"service.name", b"parlor"] {
        assert!(has(part), "no {part:?} in {} bytes; {log}", exported.len());
    }
}
