//! Read marks, followed rooms, and the list of a user's rooms.

mod nodes;
mod receipts;
mod store;
mod wire;
