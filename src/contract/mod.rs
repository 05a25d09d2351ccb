//! The requests and answers of the contract, the same on every transport.

mod changes;
mod inbox;
mod messages;
mod payload;
mod rooms;
mod search;

use serde::Serialize;

pub use self::{changes::*, inbox::*, messages::*, payload::parse, rooms::*, search::*};
use crate::model::WholeNumber;

/// An answer without content.
#[derive(Debug, Serialize)]
pub struct Empty {}

/// Saturates: a number too large for a `usize` is larger than any limit.
pub fn saturating(limit: WholeNumber) -> usize {
    usize::try_from(limit.0).unwrap_or(usize::MAX)
}
