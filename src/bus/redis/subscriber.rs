//! The listening to payloads.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, ErrorKind, FromRedisValue, Msg, PushInfo, PushKind, RedisError, Value,
    aio::MultiplexedConnection,
};
use tokio::{
    sync::Notify,
    time::{Instant, interval_at},
};

use super::{RedisUrl, in_time};
use crate::bus::{line::Line, listener::Subscriber};

/// The time between two questions of the listening connection for its server's role.
pub const KEEP_ALIVE: Duration = Duration::from_secs(4);

/// The end of a connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    #[error(transparent)]
    Connection(#[from] RedisError),
    #[error("the connection ended")]
    Ended,
    #[error("the server is a replica")]
    Replica,
    #[error("this server's own reports do not come back")]
    Deaf,
}

/// The listening connection.
pub(super) struct RedisSubscriber {
    url: RedisUrl,
    channel: String,
}

impl RedisSubscriber {
    pub(super) fn new(url: RedisUrl, channel: String) -> Self {
        Self { url, channel }
    }
}

impl Subscriber for RedisSubscriber {
    type Lost = Lost;

    async fn listen(&mut self, line: &Arc<Line>) -> Result<Infallible, Lost> {
        let inlet = Inlet::open(line);
        let mut connection = self.url.connect(inlet.config()).await?;
        check_role(&mut connection).await?;
        in_time(connection.subscribe(&self.channel)).await?;
        line.begin();
        let mut checks = interval_at(Instant::now() + KEEP_ALIVE, KEEP_ALIVE);
        loop {
            let is_overdue = tokio::select! {
                () = inlet.0.ended.notified() => return Err(Lost::Ended),
                () = line.echo.overdue() => true,
                _ = checks.tick() => false,
            };
            // After a pause of the whole process, the echo comes before the answer.
            check_role(&mut connection).await?;
            if is_overdue && line.echo.is_overdue() {
                return Err(Lost::Deaf);
            }
        }
    }
}

/// Asks a server for its role, which keeps the connection alive, too. A server that does not say
/// is none of a group.
///
/// # Errors
///
/// When it does not answer, or is a replica.
async fn check_role(connection: &mut MultiplexedConnection) -> Result<(), Lost> {
    let question = redis::cmd("HELLO");
    let asking = question.query_async::<HashMap<String, Value>>(connection);
    let mut answer = match in_time(asking).await {
        Err(error) if matches!(error.kind(), ErrorKind::Server(_)) => return Ok(()),
        answer => answer?,
    };
    let role = answer.remove("role").map(String::from_redis_value);
    match role {
        Some(Ok(role)) if role == "replica" || role == "slave" => Err(Lost::Replica),
        _ => Ok(()),
    }
}

/// A connection's way into the line; shut for good when dropped, as the connection's task may end a
/// little later.
struct Inlet(Arc<Way>);

struct Way {
    /// None once it is shut.
    line: Mutex<Option<Arc<Line>>>,
    ended: Notify,
}

impl Inlet {
    fn open(line: &Arc<Line>) -> Self {
        Self(Arc::new(Way {
            line: Mutex::new(Some(line.clone())),
            ended: Notify::new(),
        }))
    }

    /// Returns the settings of a connection with this inlet. Nothing waits on the way, so no queue
    /// is needed.
    fn config(&self) -> AsyncConnectionConfig {
        let way = self.0.clone();
        AsyncConnectionConfig::new().set_push_sender(move |push| {
            way.take(push);
            Ok::<_, Infallible>(())
        })
    }
}

impl Drop for Inlet {
    fn drop(&mut self) {
        let mut line = self.0.line.lock().unwrap_or_else(PoisonError::into_inner);
        *line = None;
    }
}

impl Way {
    fn take(&self, push: PushInfo) {
        match push.kind {
            PushKind::Message => self.pass(push),
            PushKind::Disconnection | PushKind::Unsubscribe => self.ended.notify_one(),
            _ => {}
        }
    }

    fn pass(&self, push: PushInfo) {
        let Some(message) = Msg::from_push_info(push) else {
            return;
        };
        let line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = &*line {
            line.take(str::from_utf8(message.get_payload_bytes()).unwrap_or_default());
        }
    }
}
