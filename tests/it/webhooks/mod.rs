//! Webhooks: servers that send, and receivers on real ports.

mod answers;
mod cluster;
mod continuity;
mod events;
mod kills;
mod receiver;
mod store;

use std::time::Duration;

use parlor::{Config, store::EndpointStatus, testing::webhooks::Timing};

use self::receiver::{Receiver, SECRET};
use crate::support::{Database, Process, Server, within_deadline};

/// Returns intervals that a test can wait for.
fn quick() -> Timing {
    Timing {
        lease: Duration::from_secs(2),
        renewal: Duration::from_millis(200),
        round: Duration::from_secs(60),
        timeout: Duration::from_secs(2),
        retries: vec![Duration::from_millis(20); 20],
    }
}

/// Starts a server that sends to receivers.
async fn server(database: Database, receivers: &[&Receiver], flags: &[&str]) -> Server {
    timed_server(database, receivers, flags, quick()).await
}

async fn timed_server(
    database: Database,
    receivers: &[&Receiver],
    flags: &[&str],
    timing: Timing,
) -> Server {
    let settings = settings(receivers);
    let settings: Vec<_> = settings.iter().map(String::as_str).collect();
    let flags = [&settings, flags].concat();
    Server::configured(database, &flags, |config: &mut Config| {
        config.webhook_timing = timing;
    })
    .await
}

/// Returns the settings for sending to receivers, as flags.
fn settings(receivers: &[&Receiver]) -> [String; 3] {
    let urls: Vec<_> = receivers.iter().map(|receiver| receiver.url()).collect();
    [
        format!("--webhooks={}", urls.join(",")),
        format!("--webhook-secret={SECRET}"),
        "--webhook-allow-private=on".to_owned(),
    ]
}

/// Returns the state of the only receiver.
async fn status(database: &Database) -> EndpointStatus {
    let store = database.store().await;
    let mut statuses = store.webhooks().unwrap().statuses().await.unwrap();
    store.close().await;
    assert_eq!(statuses.len(), 1, "{statuses:?}");
    statuses.remove(0)
}

/// Runs `parlor webhooks`, and returns its output.
async fn parlor_webhooks(database: &Database, arguments: &[&str]) -> String {
    let mut command = Process::command();
    command
        .env("DATABASE_URL", database.url())
        .arg("webhooks")
        .args(arguments);
    let output = within_deadline("parlor webhooks", command.output());
    let output = output.await.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Returns the texts of new messages among events.
fn texts(events: &[(String, serde_json::Value)]) -> Vec<&str> {
    let texts = events.iter().map(|(_, event)| &event["data"]["message"]);
    texts.map(|text| text.as_str().unwrap()).collect()
}
