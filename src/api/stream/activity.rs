//! The events of a user: the activity in its rooms. It has no identifiers; after a break, the list of the
//! user's rooms tells what was missed.

use bytes::Bytes;

use super::{body::Events, event::Frames, outlet::Subscription};
use crate::{chat::Watching, error::Error, model::UserId};

/// The activity in a user's rooms.
pub struct ActivityEvents {
    subscription: Subscription<UserId>,
    _watching: Watching,
}

impl ActivityEvents {
    /// Tells a subscription's packets.
    pub fn new(subscription: Subscription<UserId>, watching: Watching) -> Self {
        Self {
            subscription,
            _watching: watching,
        }
    }
}

impl Events for ActivityEvents {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let Some(packet) = self.subscription.next().await else {
            return Ok(None);
        };
        let mut frames = Frames::default();
        frames.add(None, packet.name, &packet.data);
        Ok(frames.bytes())
    }
}
