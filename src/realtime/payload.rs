//! An event's payload, parsed.

use std::{convert::Infallible, sync::Arc};

use serde::de::DeserializeOwned;
use socketioxide::{
    adapter::LocalAdapter,
    handler::{FromMessageParts, Value},
    socket::Socket,
};

use super::protocol;
use crate::error::Error;

/// The first argument of an event; the library's own extractor would leave a bad one unanswered.
#[derive(Debug)]
pub struct Payload<T>(pub Result<T, Error>);

impl<T: DeserializeOwned> FromMessageParts<LocalAdapter> for Payload<T> {
    type Error = Infallible;

    fn from_message_parts(_: &Arc<Socket>, packet: &mut Value, _: &Option<i64>) -> Result<Self, Infallible> {
        let argument = protocol::first_argument(packet.as_str().map_or("", |text| text));
        Ok(Self(argument.and_then(|json| protocol::parse(json.get()))))
    }
}
