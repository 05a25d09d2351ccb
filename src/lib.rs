//! Parlor: a Socket.IO-compatible real-time chat server.
//!
//! A stock `socket.io` client joins a room, gets its history, sends messages, and never loses or
//! doubles one.
//!
//! - **The database is the log.** Every message of a room has a `seq`: 1, 2, 3, … given in the
//!   transaction that stores it ([`store`]).
//! - **An ack means committed.** A send is answered after the commit that holds the message, never
//!   before. What piles up while one batch commits goes out as the next one ([`writer`]).
//! - **A room is a task.** Everything that happens in a room passes through it in order: joins,
//!   history, live messages, presence. So a joiner sees history first, then live messages, with no
//!   gap and no double ([`room`]).
//! - **Layers know only what is below them:** [`app`] puts together [`realtime`] (Socket.IO) and
//!   [`http`]; these call [`chat`], which knows neither; it drives the [`room`]s and the
//!   [`writer`], and they the [`store`].

#![forbid(unsafe_code)]
#![warn(missing_docs, clippy::unwrap_used)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod app;
pub mod auth;
pub mod chat;
mod commands;
pub mod config;
pub mod engine;
pub mod error;
pub mod http;
mod json_error;
pub mod model;
pub mod net;
pub mod rates;
pub mod realtime;
pub mod room;
pub mod store;
pub mod telemetry;
pub mod writer;

pub use self::commands::run;
