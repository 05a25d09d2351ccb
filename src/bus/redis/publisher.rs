//! The sending of payloads.

use std::time::Duration;

use redis::{AsyncConnectionConfig, RedisError, aio::MultiplexedConnection};

use super::{RedisUrl, in_time};
use crate::bus::{frame::Limits, sender::Publisher};

/// The sending connection, connected when needed.
pub(super) struct RedisPublisher {
    url: RedisUrl,
    channel: String,
    connection: Option<MultiplexedConnection>,
}

impl RedisPublisher {
    pub(super) fn new(url: RedisUrl, channel: String) -> Self {
        Self {
            url,
            channel,
            connection: None,
        }
    }
}

impl Publisher for RedisPublisher {
    const MIN_INTERVAL: Duration = Duration::from_millis(2);

    /// A slow listener's backlog on the server is bounded, too: 32 MB by default.
    ///
    /// <https://redis.io/docs/latest/develop/reference/clients/#output-buffer-limits>
    const LIMITS: Limits = Limits {
        bytes: 65_536,
        payloads: 32,
    };

    type Error = RedisError;

    async fn publish(&mut self, payloads: &[String]) -> Result<(), RedisError> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(self.url.connect(AsyncConnectionConfig::new()).await?),
        };
        let mut pipeline = redis::pipe();
        for payload in payloads {
            pipeline
                .cmd("PUBLISH")
                .arg(&self.channel)
                .arg(payload)
                .ignore();
        }
        in_time(pipeline.query_async(connection)).await
    }

    fn disconnect(&mut self) {
        self.connection = None;
    }

    async fn close(self) {}
}
