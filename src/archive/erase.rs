//! Erasure: messages and reactions go as changes that everybody sees, then the memberships.

use async_trait::async_trait;
use serde::Serialize;
use utoipa::ToSchema;

use super::{AT_ONCE, Rooms, archive};
use crate::{
    model::{Action, Authority, Change, RoomAction, RoomChange, RoomId, Seq, UserId},
    store::{MembershipOf, MessageStore, StoreError},
};

/// The number of things erased.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Erased {
    /// The messages; those deleted before are not counted.
    pub messages: usize,
    /// The reactions.
    pub reactions: usize,
    /// The memberships.
    pub memberships: usize,
}

/// The way of an erasure into the database.
#[async_trait]
pub trait Eraser: Sync {
    /// The failure of a change.
    type Error: From<StoreError> + Send;

    /// Stores changes of messages.
    ///
    /// # Errors
    ///
    /// The eraser's; some of the changes may be stored.
    async fn change(&self, changes: Vec<Change>) -> Result<(), Self::Error>;

    /// Stores the change of a room.
    ///
    /// # Errors
    ///
    /// The eraser's.
    async fn change_room(&self, change: RoomChange) -> Result<(), Self::Error>;
}

/// Erases what a user has left.
///
/// # Errors
///
/// The eraser's. What was erased until then stays erased, and another run goes on.
pub async fn erase<E: Eraser>(
    eraser: &E,
    store: &dyn MessageStore,
    user: &UserId,
) -> Result<Erased, E::Error> {
    let erasure = Erasure {
        eraser,
        store,
        user,
    };
    let archive = archive(store)?;
    let (mut rooms, mut erased) = (Rooms::of(archive), Erased::default());
    while let Some(room) = rooms.next().await? {
        erased.messages += erasure.messages(&room).await?;
        erased.reactions += erasure.reactions(&room).await?;
    }
    let memberships = archive.memberships(user).await?;
    for membership in &memberships {
        erasure.leave(membership).await?;
    }
    archive.forget(user).await?;
    erased.memberships = memberships.len();
    Ok(erased)
}

/// An erasure under way.
struct Erasure<'a, E> {
    eraser: &'a E,
    store: &'a dyn MessageStore,
    user: &'a UserId,
}

impl<E: Eraser> Erasure<'_, E> {
    async fn messages(&self, room: &RoomId) -> Result<usize, E::Error> {
        let (archive, mut after, mut erased) = (archive(self.store)?, Seq::ZERO, 0);
        loop {
            let said = archive.said(self.user, room, after, AT_ONCE).await?;
            let Some(last) = said.last() else {
                return Ok(erased);
            };
            after = last.seq;
            let left = said.iter().filter(|message| !message.is_deleted());
            let deletions = left.map(|message| self.change(room, message.seq, Action::Delete));
            let deletions = Vec::from_iter(deletions);
            erased += deletions.len();
            self.eraser.change(deletions).await?;
        }
    }

    async fn reactions(&self, room: &RoomId) -> Result<usize, E::Error> {
        let (archive, mut erased) = (archive(self.store)?, 0);
        loop {
            let reacted = archive.reacted(self.user, room, AT_ONCE).await?;
            if reacted.is_empty() {
                return Ok(erased);
            }
            let back = reacted.iter().map(|by| {
                let (reaction, on) = (by.reaction.clone(), false);
                self.change(room, by.seq, Action::React { reaction, on })
            });
            erased += reacted.len();
            self.eraser.change(back.collect()).await?;
        }
    }

    /// Lets the user leave a room that somebody created, so that running servers put its clients out.
    async fn leave(&self, membership: &MembershipOf) -> Result<(), E::Error> {
        if membership.role.is_none() {
            return Ok(());
        }
        let user = self.user.clone();
        let change = RoomChange {
            room_id: membership.room_id.clone(),
            user_id: user.clone(),
            // Even the only owner.
            authority: Authority::Operator,
            action: RoomAction::Remove { user },
        };
        self.eraser.change_room(change).await
    }

    fn change(&self, room: &RoomId, seq: Seq, action: Action) -> Change {
        Change::new(room.clone(), seq, self.user.clone(), false, action)
    }
}
