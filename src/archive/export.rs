//! Exports: lines of JSON.

use serde::Serialize;
use serde_json::json;
use tokio::sync::mpsc::Sender;

use super::{AT_ONCE, Rooms, archive};
use crate::{
    model::{Message, RoomId, RoomSettings, Seq, UserId},
    store::{Keep, MembershipOf, MessageStore, Page, ReactionBy, StoreError},
};

/// The lines that wait for the reader of an export.
pub const LINES_AT_ONCE: usize = 64;

/// The subject of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A room: its settings, messages and memberships.
    Room(RoomId),
    /// A user: messages, reactions and memberships. Reads the whole database.
    User(UserId),
}

/// A line of an export.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Line<'a> {
    /// A message, as clients get it.
    Message(&'a Message),
    Reaction(&'a ReactionBy),
    Membership(&'a MembershipOf),
    /// The settings of a room that somebody created.
    Room(&'a RoomSettings),
}

/// Sends the lines of an export, each with its end, until the reader is gone.
///
/// # Errors
///
/// See [`StoreError`]. The lines until then are a part of the export.
pub async fn export(
    store: &dyn MessageStore,
    subject: &Subject,
    lines: Sender<String>,
) -> Result<(), StoreError> {
    let export = Export { store, lines };
    match subject {
        Subject::Room(room) => export.room(room).await,
        Subject::User(user) => export.user(user).await,
    }
}

/// An export under way.
struct Export<'a> {
    store: &'a dyn MessageStore,
    lines: Sender<String>,
}

impl Export<'_> {
    async fn write(&self, line: Line<'_>) {
        self.lines.send(format!("{}\n", json!(line))).await.ok();
    }

    async fn messages(&self, messages: &[Message]) {
        for message in messages {
            self.write(Line::Message(message)).await;
        }
    }

    async fn memberships(&self, memberships: &[MembershipOf]) {
        for membership in memberships {
            self.write(Line::Membership(membership)).await;
        }
    }

    async fn room(&self, room: &RoomId) -> Result<(), StoreError> {
        if let Some(settings) = self.store.rooms().settings(room).await? {
            self.write(Line::Room(&settings)).await;
        }
        let mut after = Seq::ZERO;
        while !self.lines.is_closed() {
            let page = Page {
                after,
                before: Seq::END,
                limit: AT_ONCE,
                keep: Keep::Oldest,
            };
            let messages = self.store.read(room, page).await?;
            let Some(last) = messages.last() else {
                break;
            };
            after = last.seq;
            self.messages(&messages).await;
        }
        self.memberships(&archive(self.store)?.members(room).await?)
            .await;
        Ok(())
    }

    async fn user(&self, user: &UserId) -> Result<(), StoreError> {
        let archive = archive(self.store)?;
        let mut rooms = Rooms::of(archive);
        while let Some(room) = rooms.next().await? {
            let mut after = Seq::ZERO;
            while !self.lines.is_closed() {
                let said = archive.said(user, &room, after, AT_ONCE).await?;
                let Some(last) = said.last() else {
                    break;
                };
                after = last.seq;
                self.messages(&said).await;
            }
            for reaction in archive.reacted(user, &room, usize::MAX).await? {
                self.write(Line::Reaction(&reaction)).await;
            }
            if self.lines.is_closed() {
                break;
            }
        }
        self.memberships(&archive.memberships(user).await?).await;
        Ok(())
    }
}
