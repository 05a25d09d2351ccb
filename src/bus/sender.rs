//! The sending of news.

use std::{fmt::Display, sync::Arc, time::Duration};

use tokio::time::sleep;

use super::{
    backoff,
    dropped::Dropped,
    frame::{self, Header, Limits},
    line::Line,
    news::News,
};

/// A way to send payloads to every listener.
pub(super) trait Publisher: Send + 'static {
    /// The least time between two sends: a server under load sends once in each, and a quiet one
    /// sends at once.
    const MIN_INTERVAL: Duration;
    /// The bounds of a send.
    const LIMITS: Limits;

    /// A failure to send.
    type Error: Display + Send;

    /// Sends payloads in order, and connects first when it has no connection.
    ///
    /// # Errors
    ///
    /// The engine's, or none of its answers in time.
    fn publish(
        &mut self,
        payloads: &[String],
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Drops the connection.
    fn disconnect(&mut self);

    /// Closes the connection.
    fn close(self) -> impl Future<Output = ()> + Send;
}

/// Sends the news in the outbox until the bus stops; then once more.
pub(super) async fn run(line: Arc<Line>, publisher: impl Publisher) {
    let mut sender = Sender {
        next: line.first_header(),
        losses: line.losses(),
        line,
        publisher,
        dropped: Dropped::default(),
    };
    sender.send_all().await;
    sender.publisher.close().await;
}

struct Sender<P> {
    line: Arc<Line>,
    publisher: P,
    /// The header of the next payload.
    next: Header,
    /// The number of losses before the latest send.
    losses: u64,
    dropped: Dropped,
}

impl<P: Publisher> Sender<P> {
    async fn send_all(&mut self) {
        let mut pauses = backoff();
        while let Some(news) = self.next().await {
            match self.send(news).await {
                Ok(()) => {
                    pauses = backoff();
                    sleep(P::MIN_INTERVAL).await;
                }
                Err(error) => {
                    tracing::debug!(%error, "reports not sent to the other servers, trying again");
                    tokio::select! {
                        () = sleep(pauses.next().unwrap_or_default()) => {}
                        () = self.line.stop.cancelled() => return,
                    }
                }
            }
        }
    }

    /// Waits for news, or for the listener's wish for an echo; returns `None` when the bus stops.
    async fn next(&mut self) -> Option<News> {
        tokio::select! {
            biased;
            news = self.line.outbox.take() => Some(news),
            () = self.line.probe.notified() => Some(News::default()),
            () = self.line.stop.cancelled() => None,
        }
    }

    /// Sends news. The rest, and all reports after a failure, go back into the outbox; signals are
    /// worth nothing later.
    async fn send(&mut self, news: News) -> Result<(), P::Error> {
        let dropped = news.all_dropped();
        if let Some(count) = self.dropped.note(dropped) {
            tracing::warn!(count, "signals to other servers dropped");
        }
        self.line.metrics.dropped.inc_by(dropped as u64);
        let losses = self.line.losses();
        if std::mem::replace(&mut self.losses, losses) != losses {
            self.publisher.disconnect();
        }
        let reports = News {
            wakes: news.wakes.clone(),
            rosters: news.rosters.clone(),
            ..News::default()
        };
        let content = news.content();
        let (payloads, rest) = frame::encode(&mut self.next, news, P::LIMITS);
        self.line.echo.begin(self.next.number - 1);
        let sent = self.publisher.publish(&payloads).await;
        if sent.is_err() {
            self.publisher.disconnect();
            self.line.send(reports);
            self.line.metrics.dropped.inc_by(content.signals as u64);
            self.line.probe.notify_one();
        } else {
            self.line.echo.sent(self.next.number - 1);
            self.line.metrics.note_sent(content.without(rest.content()));
            self.line.outbox.put_back(rest);
        }
        sent
    }
}
