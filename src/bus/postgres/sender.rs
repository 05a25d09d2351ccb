//! The sending of reports.

use std::{sync::Arc, time::Duration};

use sqlx::{Connection, PgConnection};
use tokio::time::sleep;

use super::{
    CHANNEL, Line, backoff,
    frame::{self, Header},
    in_time,
};
use crate::bus::news::{News, Wakes};

/// The least time between two notifications: a server under load sends at most 50 a second, and a
/// quiet one sends at once.
const MIN_INTERVAL: Duration = Duration::from_millis(20);

const NOTIFY: &str = "SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload";

/// Sends what is in the outbox until the bus stops; then once more.
pub(super) async fn run(line: Arc<Line>) {
    let next = Header {
        node: line.node,
        number: 1,
        schema: line.schema.clone(),
    };
    let mut sender = Sender {
        line,
        connection: None,
        next,
    };
    let mut pauses = backoff();
    while let Some(news) = sender.next().await {
        match sender.send(news).await {
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
    /// The header of the next payload.
    next: Header,
}

impl Sender {
    /// Waits for news, or for the listener's wish for an echo; returns `None` when the bus stops.
    async fn next(&self) -> Option<News> {
        tokio::select! {
            biased;
            news = self.line.outbox.take() => Some(news),
            () = self.line.probe.notified() => Some(News::default()),
            () = self.line.stop.cancelled() => None,
        }
    }

    /// Sends news. The rest, and all reports after a failure, go back into the outbox; signals are
    /// worth nothing later.
    async fn send(&mut self, news: News) -> Result<(), sqlx::Error> {
        if news.dropped > 0 {
            tracing::warn!(count = news.dropped, "signals to other servers dropped");
        }
        let wakes: Wakes = news.wakes.clone();
        let (payloads, rest) = frame::encode(&mut self.next, news);
        self.line.echo.sent(self.next.number - 1);
        let sent = self.notify(&payloads).await;
        if sent.is_err() {
            self.connection = None;
            self.line.outbox.merge(wakes.into());
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
