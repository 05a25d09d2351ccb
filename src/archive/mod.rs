//! The archive: what a room or a user has left in the database, as lines of JSON, and the end of what a
//! user has left.

mod erase;
mod export;

pub use self::{
    erase::{Erased, Eraser, erase},
    export::{LINES_AT_ONCE, Subject, export},
};
use crate::{
    model::RoomId,
    store::{ArchiveStore, MessageStore, StoreError},
};

/// The entries in a statement: few enough not to hold up the senders in a room.
const AT_ONCE: usize = 200;

/// All rooms with messages, one after another.
struct Rooms<'a> {
    archive: &'a dyn ArchiveStore,
    page: std::vec::IntoIter<RoomId>,
    last: Option<RoomId>,
    is_done: bool,
}

impl<'a> Rooms<'a> {
    fn of(archive: &'a dyn ArchiveStore) -> Self {
        Self {
            archive,
            page: vec![].into_iter(),
            last: None,
            is_done: false,
        }
    }

    async fn next(&mut self) -> Result<Option<RoomId>, StoreError> {
        if self.page.len() == 0 && !self.is_done {
            let page = self.archive.rooms(self.last.as_ref(), AT_ONCE).await?;
            self.is_done = page.is_empty();
            self.page = page.into_iter();
        }
        self.last = self.page.next();
        Ok(self.last.clone())
    }
}

fn archive(store: &dyn MessageStore) -> Result<&dyn ArchiveStore, StoreError> {
    let missing = || StoreError::Unreadable("this store has no archive".into());
    store.archive().ok_or_else(missing)
}
