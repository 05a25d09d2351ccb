//! TCP: the listener, the admission of connections, and HTTP on them.

mod address;
mod admission;
mod connection;
mod listener;
mod server;
mod slots;

pub(crate) use self::connection::Connection;
pub use self::{
    address::{TrustedProxies, client_network},
    admission::{Admission, AdmissionSettings},
    connection::{ConnectionHandle, Peer},
    listener::{BACKLOG, Listener, Timeouts, listen},
    server::{MAX_HEADER_BYTES, serve},
    slots::{Slot, Slots},
};
