//! Messages that change.

mod follower;
mod kills;
mod model;
mod store;
mod wire;
