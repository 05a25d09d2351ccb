//! Parlor: a Socket.IO-compatible real-time chat server.

#![forbid(unsafe_code)]
#![warn(missing_docs, clippy::unwrap_used)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod auth;
pub mod chat;
pub mod error;
pub mod model;
pub mod room;
pub mod rooms;
pub mod store;
pub mod writer;
