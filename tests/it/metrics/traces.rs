//! The trace of a client's handshake in the log.

use nix::sys::signal::Signal;
use serde_json::Value;
use testkit::wire::{Carrier, Endpoint};

use crate::support::{Database, Process, within_deadline};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// Connects a client with a header, and leaves again.
async fn visit(process: &Process, user: &str, carrier: Carrier, headers: &'static [(&str, &str)]) {
    let endpoint = Endpoint {
        headers,
        ..Endpoint::new(process.address)
    };
    let auth = format!(r#"{{"userId":"{user}"}}"#);
    let connecting = testkit::client::Client::connect(&endpoint, carrier, &auth);
    let mut client = within_deadline("a client", connecting).await.unwrap();
    client.send(b"41").await.unwrap();
}

/// Returns the trace in the lines of a user's span; none when they have no such field.
fn trace_of<'a>(log: &'a [Value], user: &str) -> Vec<&'a Value> {
    let spans = log.iter().map(|line| &line["span"]);
    let own = spans.filter(|span| span["user"] == user);
    own.map(|span| &span["trace_id"]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clients_log_lines_have_the_trace_of_its_handshake_by_each_transport() {
    const VALID: &[(&str, &str)] = &[(
        "traceparent",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    )];
    const INVALID: &[(&str, &str)] = &[(
        "traceparent",
        "00-XXf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    )];
    let database = Database::sqlite();
    let process = Process::with(&database, &["--rust-log=parlor=debug"]).await;
    visit(&process, "ann", Carrier::WebSocket, VALID).await;
    visit(&process, "bob", Carrier::Polling, VALID).await;
    visit(&process, "eve", Carrier::WebSocket, INVALID).await;
    visit(&process, "joe", Carrier::Polling, &[]).await;
    process.signal(Signal::SIGTERM);
    let (status, log) = process.ended().await;
    assert!(status.success(), "{log}");
    let log: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for (user, trace) in [
        ("ann", Value::from(TRACE)),
        ("bob", TRACE.into()),
        ("eve", Value::Null),
        ("joe", Value::Null),
    ] {
        let traces = trace_of(&log, user);
        assert!(!traces.is_empty(), "no line of {user} in {log:?}");
        assert!(
            traces.iter().all(|one| **one == trace),
            "{user}: {traces:?}"
        );
    }
}
