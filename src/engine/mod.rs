//! Engine.IO sessions, below Socket.IO: their admission, their carriers, the limits of their
//! packets, and their ends: <https://socket.io/docs/v4/engine-io-protocol/>.
//!
//! This layer reads each request once, and writes it anew for the library, so that no request is
//! ever read in two ways. The layers above close a session by its [`Session`], and report its
//! client's entry into the chat to it.

mod admission;
mod dialect;
mod endpoint;
mod forwarded;
mod frames;
mod handshake;
mod inbound;
mod library;
mod name;
mod opening;
mod packet;
mod polling;
mod polling_state;
mod query;
mod reader;
mod refusal;
mod routes;
mod session;
mod sessions;
mod trace;
mod websocket;
mod writer;

pub use self::{
    endpoint::Engine,
    forwarded::ForwardedHeaders,
    session::{EVENT_BYTES, Session, Settings},
    trace::{join as join_trace, trace_id},
};
