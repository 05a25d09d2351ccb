//! The tests' own kit, beside `testkit`: databases, servers in this process, clients. Every wait
//! has a deadline.

pub mod client;
pub mod coturn;
pub mod database;
pub mod engine;
pub mod faulty;
pub mod figures;
pub mod gate;
pub mod haproxy;
pub mod http;
pub mod log;
pub mod nginx;
pub mod node;
pub mod pgbouncer;
pub mod process;
pub mod program;
pub mod proxy;
pub mod raw;
pub mod relay;
pub mod server;
pub mod switch;

pub use testkit::{
    DEADLINE, HOW_TO_GET_TOOLS, eventually, postgres, process::free_port, within_deadline,
};

pub use self::{
    client::Client, database::Database, process::Process, raw::RawClient, server::Server,
};

/// The flag for a server that is sent more than one user may send.
pub const FLOODED: &str = "--messages-per-second=0";

/// Returns the text of an encoded message.
pub fn said(message: &parlor::model::EncodedMessage) -> String {
    let message: serde_json::Value = serde_json::from_str(message.json()).unwrap();
    message["message"].as_str().unwrap().to_owned()
}

/// Makes a test for each kind of database out of each function with a database.
macro_rules! conformance {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name($crate::support::Database::sqlite()).await;
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name($crate::support::Database::postgres().await).await;
            })+
        }
    };
}
pub(crate) use conformance;
