//! The listening to notifications.
//!
//! The loop only merges into the inbox: a listener that waits for anything else holds back the
//! database's cleaning (`backend_xmin`).

use std::{convert::Infallible, sync::Arc, time::Duration};

use sqlx::{
    Executor,
    postgres::{PgConnectOptions, PgListener, PgPool, PgPoolOptions},
};
use tokio::time::sleep;

use super::{CHANNEL, Lease, in_time};
use crate::{
    bus::{line::Line, listener::Subscriber},
    store::{Cause, direct},
};

/// The time without a notification after which the listener's connection is pinged.
pub const SILENCE: Duration = Duration::from_secs(5);

/// The time between two looks whether there is still a pooler in between.
const POOLED_PAUSE: Duration = Duration::from_secs(60);

/// The end of a listener.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    #[error(transparent)]
    Connection(Cause),
    #[error("the connection ended")]
    Ended,
    #[error("a pooler is in between; DATABASE_NOTIFY_URL can name a way around it")]
    Pooled,
    #[error("this server's own notifications do not come back")]
    Deaf,
}

impl From<sqlx::Error> for Lost {
    fn from(error: sqlx::Error) -> Self {
        if direct::is_refusal(&error) {
            Self::Pooled
        } else {
            Self::Connection(error.into())
        }
    }
}

/// The listening connection.
pub(super) struct PostgresSubscriber {
    options: PgConnectOptions,
    lease: Arc<Lease>,
}

impl PostgresSubscriber {
    pub(super) fn new(options: PgConnectOptions, lease: Arc<Lease>) -> Self {
        Self { options, lease }
    }

    /// Connects directly.
    ///
    /// A pooler may lend the connection to other clients afterwards. They would get the
    /// notifications, and many take them for errors, so nothing is listened to through a pooler.
    async fn connect(&self) -> Result<PgListener, Lost> {
        let pool = self.pool();
        let mut connection = in_time(pool.acquire()).await?;
        let is_direct = in_time(direct::is_direct(&mut connection)).await?;
        drop(connection);
        if !is_direct {
            return Err(Lost::Pooled);
        }
        let mut listener = in_time(PgListener::connect_with(&pool)).await?;
        listener.eager_reconnect(false);
        Ok(listener)
    }

    fn pool(&self) -> PgPool {
        PgPoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_lazy_with(direct::marked(self.options.clone()))
    }
}

impl Subscriber for PostgresSubscriber {
    type Lost = Lost;

    fn long_pause(lost: &Lost) -> Option<Duration> {
        matches!(lost, Lost::Pooled).then_some(POOLED_PAUSE)
    }

    async fn listen(&mut self, line: &Arc<Line>) -> Result<Infallible, Lost> {
        let mut listener = self.connect().await?;
        let _lease = self.lease.take(&mut listener).await?;
        in_time(listener.listen(CHANNEL)).await?;
        line.begin();
        loop {
            tokio::select! {
                // After a pause of the whole process, the echo is there as soon as it is overdue.
                biased;
                notification = listener.try_recv() => {
                    line.take(notification?.ok_or(Lost::Ended)?.payload());
                    continue;
                }
                () = line.echo.overdue() => return Err(Lost::Deaf),
                () = sleep(SILENCE) => {}
            }
            in_time(listener.execute("SELECT 1")).await?;
        }
    }
}
