//! The reading of a page past unreadable rows, until the page is full.

use super::{
    error::StoreError,
    page::{Keep, Page},
};
use crate::model::{Message, Seq};

/// A page, as far as it is read.
pub(super) struct Reading {
    page: Page,
    /// The rest of the page; none when the reading is done.
    rest: Option<Page>,
    messages: Vec<Message>,
    unreadable: Vec<StoreError>,
}

impl Reading {
    pub(super) fn new(page: Page) -> Self {
        Self {
            page,
            rest: Some(page),
            messages: vec![],
            unreadable: vec![],
        }
    }

    pub(super) fn rest(&self) -> Option<Page> {
        self.rest
    }

    /// Takes the rows of the page's rest, from the kept end on.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unreadable`] when the last row has no readable place.
    pub(super) fn take<T>(
        &mut self,
        rows: &[T],
        seq: impl Fn(&T) -> Result<Seq, StoreError>,
        message: impl Fn(&T) -> Result<Message, StoreError>,
    ) -> Result<(), StoreError> {
        for read in rows.iter().map(message) {
            match read {
                Ok(message) => self.messages.push(message),
                Err(error) => self.unreadable.push(error),
            }
        }
        let missing = self.page.limit.saturating_sub(self.messages.len());
        let ended = self.rest.is_none_or(|rest| rows.len() < rest.limit);
        self.rest = match rows.last() {
            Some(last) if missing > 0 && !ended => Some(self.after(seq(last)?, missing)),
            _ => None,
        };
        Ok(())
    }

    fn after(&self, last: Seq, limit: usize) -> Page {
        match self.page.keep {
            Keep::Oldest => Page {
                after: last,
                limit,
                ..self.page
            },
            Keep::Newest => Page {
                before: last,
                limit,
                ..self.page
            },
        }
    }

    /// Returns the messages, oldest first.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unreadable`] when there are rows and all are unreadable: the log is not empty.
    pub(super) fn finish(mut self) -> Result<Vec<Message>, StoreError> {
        let count = self.unreadable.len();
        if let Some(first) = self.unreadable.into_iter().next() {
            if self.messages.is_empty() {
                return Err(first);
            }
            tracing::error!(count, %first, "unreadable rows skipped");
        }
        if self.page.keep == Keep::Newest {
            self.messages.reverse();
        }
        Ok(self.messages)
    }
}
