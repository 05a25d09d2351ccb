//! The requests and answers of the contract, the same on every transport.

mod calls;
mod changes;
mod conversations;
mod events;
mod ice;
mod inbox;
mod messages;
mod payload;
mod rooms;
mod schema;
mod search;

use serde::Serialize;
use utoipa::ToSchema;

use self::rooms::FirstMembers;
pub use self::{
    calls::*, changes::*, conversations::*, events::*, ice::*, inbox::*, messages::*,
    payload::parse, rooms::*, search::*,
};
use crate::model::{Changed, EncodedMessage, Stored, WholeNumber};

/// The answer to `sendMessage`.
pub type MessageSent = Stored<EncodedMessage>;

/// The answer to a change of a message.
pub type MessageChanged = Changed<EncodedMessage>;

/// An answer without content.
#[derive(Debug, Serialize, ToSchema)]
pub struct Empty {}

/// Saturates: a number too large for a `usize` is larger than any limit.
pub fn saturating(limit: WholeNumber) -> usize {
    usize::try_from(limit.0).unwrap_or(usize::MAX)
}
