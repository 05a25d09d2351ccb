//! The engines of a bus.

use std::sync::Arc;

use parlor::{
    store::{Encryption, Schema},
    testing::bus::{self, Bus, Settings},
};
use testkit::Redis;

use super::{connect, kill_listeners};
use crate::support::Database;

/// Makes a test for each engine out of each function with an engine.
macro_rules! conformance {
    ($($name:ident),+ $(,)?) => {
        mod postgres {
            use crate::nodes::engine::Engine;

            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(Engine::postgres().await).await;
            })+
        }
        mod redis {
            use crate::nodes::engine::Engine;

            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(Engine::redis()).await;
            })+
        }
    };
}

pub(super) use conformance;

/// A running engine; gone when dropped.
pub enum Engine {
    Postgres(Database),
    Redis(Redis),
}

impl Engine {
    pub async fn postgres() -> Self {
        Self::Postgres(Database::postgres().await)
    }

    pub fn redis() -> Self {
        Self::Redis(Redis::start(&[]))
    }

    /// Returns the database of a chat with this engine.
    pub async fn database(&self) -> Database {
        match self {
            Self::Postgres(database) => database.shared(),
            Self::Redis(_) => Database::postgres().await,
        }
    }

    /// Returns flags of a server together with the one for this engine.
    pub fn flags(&self, others: &[&str]) -> Vec<String> {
        let bus = match self {
            Self::Postgres(_) => None,
            Self::Redis(redis) => Some(format!("--bus-url={}", redis.url())),
        };
        let others = others.iter().map(ToString::to_string);
        others.chain(bus).collect()
    }

    /// Opens a server's end of a bus.
    pub fn open(&self, schema: Option<Schema>) -> Arc<dyn Bus> {
        let settings = match self {
            Self::Postgres(database) => Settings::Postgres {
                url: database.url().into(),
                encryption: Encryption::Optional,
                schema,
            },
            Self::Redis(redis) => on_redis(redis.url(), "parlor", schema),
        };
        bus::open(&settings, Default::default()).unwrap().unwrap()
    }

    /// Ends the connections of all listeners, and returns their number.
    pub async fn kill_listeners(&self) -> i64 {
        match self {
            Self::Postgres(database) => kill_listeners(&mut connect(database).await).await,
            Self::Redis(redis) => kill_subscribers(redis),
        }
    }
}

/// Returns the settings of a bus on Redis.
pub fn on_redis(url: String, prefix: &str, schema: Option<Schema>) -> Settings {
    Settings::Redis {
        url: url.into(),
        prefix: prefix.parse().unwrap(),
        schema,
    }
}

/// Ends the connections of all subscribers, and returns their number.
pub fn kill_subscribers(redis: &Redis) -> i64 {
    let killed = redis.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    killed.parse().unwrap()
}
