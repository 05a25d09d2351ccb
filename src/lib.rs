//! Parlor: a Socket.IO-compatible real-time chat server.
//!
//! A stock `socket.io` client joins a room, gets its history, sends messages, and never loses or
//! doubles one.
//!
//! - **The database is the log.** Every message of a room has a `seq`: 1, 2, 3, … given in the
//!   transaction that stores it ([`store`]).
//! - **An ack means committed.** A send is answered after the commit of its message, never before.
//!   Messages that arrive during one commit share the next one ([`writer`]).
//! - **A room is a task.** Everything in a room passes through its task in order: joins, history,
//!   live messages, presence. So a joiner sees history first, then live messages, with no gap and no
//!   double ([`room`]).
//! - **Layers know only the layers below them.** [`realtime`] (Socket.IO) and [`http`] stand on
//!   [`engine`] (Engine.IO) and [`net`] (TCP), and call [`chat`], which knows no transport. It drives
//!   the [`room`]s and the [`writer`], and both use the [`store`]. [`app`] builds all of them from
//!   the [`config`], runs them and stops them in order. A test holds the table of imports.
//!
//! A program of your own runs a server by [`App::open_store`], [`App::bind`] and
//! [`App::serve_until`]. Everything else is internal: `cargo doc --document-private-items` shows it.

#![forbid(unsafe_code)]
#![warn(
    missing_docs,
    clippy::missing_docs_in_private_items,
    clippy::unwrap_used
)]
#![cfg_attr(test, allow(clippy::unwrap_used))]
#![allow(
    rustdoc::private_intra_doc_links,
    reason = "the documentation is for readers of the code, and built with its private items"
)]

mod api;
mod app;
mod archive;
mod auth;
mod bus;
mod calling;
mod chat;
mod commands;
mod config;
mod contract;
mod engine;
mod error;
mod http;
mod inbox;
mod json_error;
mod metrics;
pub mod model;
mod moderation;
mod net;
mod outbound;
mod overview;
mod rates;
mod realtime;
mod retention;
mod room;
mod search;
pub mod store;
mod telemetry;
#[doc(hidden)]
pub mod testing;
mod webhooks;
mod writer;

pub use self::{app::App, commands::run, config::Config};
