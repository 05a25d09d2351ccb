//! Read marks, followed rooms, and the list of a user's rooms.

mod device;
mod kills;
mod model;
mod nodes;
mod receipts;
mod store;
mod wire;
