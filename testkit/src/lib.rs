//! The kit of Parlor's tests and benchmarks: one wire client, servers as processes of their own, a
//! throw-away Postgres, throw-away Redis servers, and the deadlines of every wait.
//!
//! The kit does not know Parlor's crate. A server is a program behind an address, so that the same
//! client speaks to Parlor, to the server that it is compared with, and to a bare library.

pub mod client;
mod deadline;
pub mod postgres;
pub mod process;
mod redis;
pub mod wire;

pub use self::{
    client::Client,
    deadline::{DEADLINE, eventually, within_deadline},
    postgres::Postgres,
    process::{Process, free_port},
    redis::Redis,
};

/// The advice when a program or package of the tests is missing.
pub const HOW_TO_GET_TOOLS: &str = "run `make test`, which installs what the tests need";
