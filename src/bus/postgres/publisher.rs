//! The sending of notifications.

use std::time::Duration;

use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};

use super::{CHANNEL, in_time};
use crate::{
    bus::{frame::Limits, sender::Publisher},
    store::Cause,
};

const NOTIFY: &str = "SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload";

/// The sending connection, connected when needed.
pub(super) struct PostgresPublisher {
    options: PgConnectOptions,
    connection: Option<PgConnection>,
}

impl PostgresPublisher {
    pub(super) fn new(options: PgConnectOptions) -> Self {
        Self {
            options,
            connection: None,
        }
    }
}

impl Publisher for PostgresPublisher {
    /// At most 50 notifying transactions a second.
    const MIN_INTERVAL: Duration = Duration::from_millis(20);

    /// Postgres refuses 8,000 bytes.
    ///
    /// <https://www.postgresql.org/docs/current/sql-notify.html>
    const LIMITS: Limits = Limits {
        bytes: 7_900,
        payloads: 32,
    };

    type Error = Cause;

    async fn publish(&mut self, payloads: &[String]) -> Result<(), Cause> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(in_time(PgConnection::connect_with(&self.options)).await?),
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
        .await?;
        Ok(())
    }

    fn disconnect(&mut self) {
        self.connection = None;
    }

    async fn close(self) {
        if let Some(connection) = self.connection {
            in_time(connection.close()).await.ok();
        }
    }
}
