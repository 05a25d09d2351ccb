//! A client's way into a room.

use tokio::{sync::oneshot, time::Instant};

use super::{ClientId, Welcome};
use crate::{
    error::Error,
    model::{Seq, UserId},
};

/// A client's request to enter a room.
pub struct Join {
    /// The client.
    pub client: ClientId,
    /// The user it speaks for.
    pub user_id: UserId,
    /// The newest message that it has.
    pub last_seq: Option<Seq>,
    /// The most messages that it wants.
    pub limit: usize,
    /// The end of its patience.
    pub deadline: Instant,
    /// Called with the answer.
    pub welcome: Welcome,
}

/// The way back to the joiner.
pub(super) type Done = oneshot::Sender<Result<(), Error>>;
