//! Messages that change.

pub mod follower;
mod kills;
pub mod model;
mod store;
mod wire;
