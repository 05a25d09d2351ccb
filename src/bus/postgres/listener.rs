//! The listening to reports.
//!
//! The loop only merges into the inbox: a listener that waits for anything else holds back the
//! database's cleaning (`backend_xmin`).

use std::{
    convert::Infallible,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use sqlx::{
    Executor,
    postgres::{PgListener, PgPool, PgPoolOptions},
};
use tokio::time::sleep;

use super::{CHANNEL, Line, backoff, frame, in_time};
use crate::{bus::news::Wakes, store::direct};

/// The time without a notification after which the listener's connection is pinged.
pub const SILENCE: Duration = Duration::from_secs(5);

/// Lets the database notice within 11 s that the other end of the connection is gone.
const KEEPALIVE: &str =
    "SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3";

/// The end of a listener.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error(transparent)]
    Connection(sqlx::Error),
    #[error("the connection ended")]
    Ended,
    #[error("a pooler is in between; DATABASE_NOTIFY_URL can name a way around it")]
    Pooled,
    #[error("this server's own notifications do not come back")]
    Deaf,
}

/// Listens until the bus stops. Every failure begins anew: first listen, then report that anything
/// may have been missed.
pub(super) async fn run(line: Arc<Line>) {
    let mut listener = Listener {
        line,
        pauses: backoff(),
        is_reported: false,
    };
    let stop = listener.line.stop.clone();
    stop.run_until_cancelled(async {
        loop {
            let Err(lost) = listener.listen().await;
            listener.note_loss(&lost);
            sleep(listener.pauses.next().unwrap_or_default()).await;
        }
    })
    .await;
}

impl From<sqlx::Error> for Lost {
    fn from(error: sqlx::Error) -> Self {
        if direct::is_refusal(&error) {
            Self::Pooled
        } else {
            Self::Connection(error)
        }
    }
}

struct Listener {
    line: Arc<Line>,
    pauses: backon::ExponentialBackoff,
    /// True when the present loss stands in the log.
    is_reported: bool,
}

impl Listener {
    /// Connects, and takes notifications in.
    ///
    /// A pooler may lend the connection to other clients afterwards. They would get the
    /// notifications, and many take them for errors, so nothing is listened to through a pooler.
    async fn listen(&mut self) -> Result<Infallible, Lost> {
        let pool = self.pool();
        let mut connection = in_time(pool.acquire()).await?;
        let is_direct = in_time(direct::is_direct(&mut connection)).await?;
        drop(connection);
        if !is_direct {
            return Err(Lost::Pooled);
        }
        let mut listener = in_time(PgListener::connect_with(&pool)).await?;
        listener.eager_reconnect(false);
        self.take_lease(&mut listener).await?;
        in_time(listener.listen(CHANNEL)).await?;
        self.line.echo.forget();
        self.line.probe.notify_one();
        self.line.inbox.merge(Wakes::any().into());
        loop {
            tokio::select! {
                // After a pause of the whole process, the echo is there as soon as it is overdue.
                biased;
                notification = listener.try_recv() => {
                    self.take(notification?.ok_or(Lost::Ended)?.payload());
                    continue;
                }
                () = self.line.echo.overdue() => return Err(Lost::Deaf),
                () = sleep(SILENCE) => {}
            }
            in_time(listener.execute("SELECT 1")).await?;
        }
    }

    /// Takes the lock of this server's life. The database soon notices when this machine is gone.
    async fn take_lease(&self, listener: &mut PgListener) -> Result<(), Lost> {
        in_time(listener.execute(KEEPALIVE)).await?;
        let lock = sqlx::query("SELECT pg_advisory_lock_shared($1)").bind(self.line.lease());
        in_time(listener.execute(lock)).await?;
        self.line.has_lease.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn pool(&self) -> PgPool {
        PgPoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_lazy_with(direct::marked(self.line.options.clone()))
    }

    fn take(&mut self, payload: &str) {
        match frame::decode(payload) {
            Some(frame) if frame.header.node == self.line.node => {
                self.line.echo.heard(frame.header.number);
                self.note_echo();
            }
            Some(mut frame) => {
                if frame.header.schema != self.line.schema {
                    frame.news.signals.clear();
                    frame.news.rosters.clear();
                }
                if !frame.news.is_empty() {
                    self.line.inbox.merge(frame.news);
                }
            }
            None => self.line.inbox.merge(Wakes::any().into()),
        }
    }

    fn note_echo(&mut self) {
        self.pauses = backoff();
        if !self.line.is_well.swap(true, Ordering::Relaxed) {
            self.is_reported = false;
            tracing::info!("bus: ok");
            self.line.inbox.merge(Wakes::any().into());
        }
    }

    /// Notes a loss; a tailer that waits for the next sweep wakes up. Only the first of several in a
    /// row is logged.
    fn note_loss(&mut self, lost: &Lost) {
        self.line.is_well.store(false, Ordering::Relaxed);
        self.line.has_lease.store(false, Ordering::Relaxed);
        self.line.inbox.merge(Wakes::any().into());
        if std::mem::replace(&mut self.is_reported, true) {
            tracing::debug!(reason = %lost, "bus: degraded");
        } else {
            tracing::warn!(reason = %lost, "bus: degraded; messages of other servers arrive a little later");
        }
    }
}
