//! The sending of reports.

use std::{sync::Arc, time::Duration};

use sqlx::{Connection, PgConnection};
use tokio::time::sleep;

use super::{CHANNEL, Line, backoff, frame, in_time};
use crate::bus::wakes::Wakes;

/// The least time between two notifications: a server under load sends at most 50 a second, and a
/// quiet one sends at once.
const MIN_INTERVAL: Duration = Duration::from_millis(20);

const NOTIFY: &str = "SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload";

/// Sends what is in the outbox until the bus stops; then once more.
pub(super) async fn run(line: Arc<Line>) {
    let mut sender = Sender {
        line,
        connection: None,
        next: 1,
    };
    let mut pauses = backoff();
    while let Some(wakes) = sender.next().await {
        match sender.send(wakes).await {
            Ok(()) => {
                pauses = backoff();
                sleep(MIN_INTERVAL).await;
            }
            Err(error) => {
                tracing::debug!(%error, "reports not sent to the other servers, trying again");
                tokio::select! {
                    () = sleep(pauses.next().unwrap_or_default()) => {}
                    () = sender.line.stop.cancelled() => break,
                }
            }
        }
    }
    if let Some(connection) = sender.connection {
        in_time(connection.close()).await.ok();
    }
}

struct Sender {
    line: Arc<Line>,
    connection: Option<PgConnection>,
    /// The number of the next payload.
    next: u64,
}

impl Sender {
    /// Waits for reports, or for the listener's wish for an echo; returns `None` when the bus stops.
    async fn next(&self) -> Option<Wakes> {
        tokio::select! {
            biased;
            wakes = self.line.outbox.take() => Some(wakes),
            () = self.line.probe.notified() => Some(Wakes::default()),
            () = self.line.stop.cancelled() => None,
        }
    }

    /// Sends reports. Those left over, all of them after a failure, go back into the outbox.
    async fn send(&mut self, wakes: Wakes) -> Result<(), sqlx::Error> {
        let (payloads, rest) = frame::encode(self.line.node, &mut self.next, wakes.clone());
        self.line.echo.sent(self.next - 1);
        let sent = self.notify(&payloads).await;
        if sent.is_err() {
            self.connection = None;
            self.line.outbox.merge(wakes);
        } else if !rest.is_empty() {
            self.line.outbox.merge(rest);
        }
        sent
    }

    async fn notify(&mut self, payloads: &[String]) -> Result<(), sqlx::Error> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(in_time(PgConnection::connect_with(&self.line.options)).await?),
        };
        in_time(async {
            // A transaction pooler needs one for statements that are sent in several steps.
            let mut transaction = connection.begin().await?;
            sqlx::query(NOTIFY)
                .bind(CHANNEL)
                .bind(payloads)
                .persistent(false)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await
        })
        .await
    }
}
