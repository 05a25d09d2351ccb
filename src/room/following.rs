//! Following a room from outside: without being a member, and without being seen.

use tokio::{sync::oneshot, time::timeout};

use super::{
    READ_TIMEOUT,
    mailbox::{Command, RoomHandle},
    members::Present,
};
use crate::{
    error::Error,
    model::{Revision, RoomSettings, Seq},
};

/// The state of a room as somebody begins to follow it. The fan-out delivers everything later.
#[derive(Debug)]
pub struct Followed {
    /// The newest message.
    pub last_seq: Seq,
    /// The newest change.
    pub last_revision: Revision,
    /// The members.
    pub present: Present,
    /// The settings; none when nobody created the room.
    pub room: Option<RoomSettings>,
}

/// Subscribes a follower in the room's own task, so that the fan-out misses nothing after the state.
pub(super) type Begin = Box<dyn FnOnce(Followed) + Send>;

impl RoomHandle {
    /// Follows the room: `begin` subscribes to the fan-out in the room's task, and its result is returned.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the log cannot be read within [`READ_TIMEOUT`].
    pub async fn follow<T: Send + 'static>(
        &self,
        begin: impl FnOnce(Followed) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let (done, begun) = oneshot::channel();
        let begin: Begin = Box::new(move |followed| {
            if !done.is_closed() {
                done.send(begin(followed)).ok();
            }
        });
        let following = async {
            self.queue(Command::Follow(begin)).await?;
            begun.await.map_err(|_| Error::Unavailable)
        };
        let followed = timeout(READ_TIMEOUT, following).await;
        followed.map_err(|_| Error::Unavailable)?
    }
}
