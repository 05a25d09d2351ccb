//! Values parsed at the edge: all code inside can trust them.

mod entry;
mod ids;
mod message;
mod number;
mod signal;
mod visible;

pub use self::{
    entry::{Entry, Outcome},
    ids::{ClientMessageId, InvalidIdentifier, MAX_IDENTIFIER_BYTES, RoomId, Seq, UserId},
    message::{Body, Draft, EncodedMessage, Message, Stored},
    number::WholeNumber,
    signal::Signal,
};
pub(crate) use self::{ids::FromStore, message::iso8601_millis};
