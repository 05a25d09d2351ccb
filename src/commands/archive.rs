//! `parlor export` and `parlor erase`: what a room or a user has left, as lines of JSON, and the end
//! of what a user has left.

use std::{
    io::{self, BufWriter, Write},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use serde::Serialize;

use crate::{
    config::{EraseRequest, ExportRequest},
    model::{
        Action, Authority, Change, Message, RoomAction, RoomChange, RoomId, RoomSettings, Seq,
        UserId,
    },
    store::{ArchiveStore, Keep, MembershipOf, MessageStore, Page, ReactionBy, StoreError},
};

/// The entries in a statement: few enough not to hold up the senders in a room.
const AT_ONCE: usize = 200;
/// The pause before a failed statement is tried again.
const RETRY_DELAY: Duration = Duration::from_millis(500);
/// The attempts of a statement.
const ATTEMPTS: u32 = 20;

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

/// Writes an export to standard output.
///
/// # Errors
///
/// The database's, and those of the output.
pub(super) async fn export(
    request: &ExportRequest,
    store: Arc<dyn MessageStore>,
) -> anyhow::Result<()> {
    let mut lines = Lines(BufWriter::new(io::stdout().lock()));
    match (&request.room, &request.user) {
        (Some(room), _) => export_room(&mut lines, &*store, room).await?,
        (None, Some(user)) => export_user(&mut lines, &*store, user).await?,
        (None, None) => {}
    }
    lines.0.flush()?;
    store.close().await;
    Ok(())
}

/// The lines of an export.
struct Lines<W: Write>(BufWriter<W>);

impl<W: Write> Lines<W> {
    fn write(&mut self, line: &Line<'_>) -> anyhow::Result<()> {
        serde_json::to_writer(&mut self.0, line)?;
        Ok(self.0.write_all(b"\n")?)
    }
}

async fn export_room<W: Write>(
    lines: &mut Lines<W>,
    store: &dyn MessageStore,
    room: &RoomId,
) -> anyhow::Result<()> {
    if let Some(settings) = store.rooms().settings(room).await? {
        lines.write(&Line::Room(&settings))?;
    }
    let mut after = Seq::ZERO;
    loop {
        let page = Page {
            after,
            before: Seq::END,
            limit: AT_ONCE,
            keep: Keep::Oldest,
        };
        let messages = store.read(room, page).await?;
        let Some(last) = messages.last() else {
            break;
        };
        after = last.seq;
        for message in &messages {
            lines.write(&Line::Message(message))?;
        }
    }
    for membership in archive(store)?.members(room).await? {
        lines.write(&Line::Membership(&membership))?;
    }
    Ok(())
}

async fn export_user<W: Write>(
    lines: &mut Lines<W>,
    store: &dyn MessageStore,
    user: &UserId,
) -> anyhow::Result<()> {
    let archive = archive(store)?;
    let mut rooms = Rooms::of(archive);
    while let Some(room) = rooms.next().await? {
        let mut after = Seq::ZERO;
        loop {
            let said = archive.said(user, &room, after, AT_ONCE).await?;
            let Some(last) = said.last() else {
                break;
            };
            after = last.seq;
            for message in &said {
                lines.write(&Line::Message(message))?;
            }
        }
        for reaction in archive.reacted(user, &room, usize::MAX).await? {
            lines.write(&Line::Reaction(&reaction))?;
        }
    }
    for membership in archive.memberships(user).await? {
        lines.write(&Line::Membership(&membership))?;
    }
    Ok(())
}

/// The number of things erased.
#[derive(Default)]
struct Erased {
    messages: usize,
    reactions: usize,
}

/// Erases what a user has left: messages and reactions as changes that everybody sees, then the
/// memberships.
///
/// # Errors
///
/// The database's. What was erased until then stays erased, and another run goes on.
pub(super) async fn erase(
    request: &EraseRequest,
    store: Arc<dyn MessageStore>,
) -> anyhow::Result<()> {
    let (user, archive) = (&request.user, archive(&*store)?);
    let (mut rooms, mut erased) = (Rooms::of(archive), Erased::default());
    while let Some(room) = rooms.next().await? {
        erased.messages += erase_messages(&*store, user, &room).await?;
        erased.reactions += erase_reactions(&*store, user, &room).await?;
    }
    let memberships = archive.memberships(user).await?;
    for membership in &memberships {
        leave(&*store, user, membership).await?;
    }
    archive.forget(user).await?;
    let memberships = memberships.len();
    store.close().await;
    println!(
        "erased {} messages, {} reactions and {memberships} memberships of {user:?}",
        erased.messages, erased.reactions
    );
    Ok(())
}

async fn erase_messages(
    store: &dyn MessageStore,
    user: &UserId,
    room: &RoomId,
) -> anyhow::Result<usize> {
    let (archive, mut after, mut erased) = (archive(store)?, Seq::ZERO, 0);
    loop {
        let said = archive.said(user, room, after, AT_ONCE).await?;
        let Some(last) = said.last() else {
            return Ok(erased);
        };
        after = last.seq;
        let left = said.iter().filter(|message| !message.is_deleted());
        let deletions = left.map(|message| change(user, room, message.seq, Action::Delete));
        let deletions: Vec<_> = deletions.collect();
        erased += deletions.len();
        commit(store, &deletions).await?;
    }
}

async fn erase_reactions(
    store: &dyn MessageStore,
    user: &UserId,
    room: &RoomId,
) -> anyhow::Result<usize> {
    let (archive, mut erased) = (archive(store)?, 0);
    loop {
        let reacted = archive.reacted(user, room, AT_ONCE).await?;
        if reacted.is_empty() {
            return Ok(erased);
        }
        let back = reacted.iter().map(|by| {
            let reaction = by.reaction.clone();
            change(
                user,
                room,
                by.seq,
                Action::React {
                    reaction,
                    on: false,
                },
            )
        });
        erased += reacted.len();
        commit(store, &Vec::from_iter(back)).await?;
    }
}

/// Lets a user leave a room that somebody created, so that running servers put its clients out.
async fn leave(
    store: &dyn MessageStore,
    user: &UserId,
    membership: &MembershipOf,
) -> anyhow::Result<()> {
    if membership.role.is_none() {
        return Ok(());
    }
    let action = RoomAction::Remove { user: user.clone() };
    let change = RoomChange {
        room_id: membership.room_id.clone(),
        user_id: user.clone(),
        // Even the only owner.
        authority: Authority::Operator,
        action,
    };
    let changed = retried(async || store.rooms().change(&change).await).await?;
    changed
        .map(drop)
        .map_err(|refusal| anyhow::anyhow!("a change was refused: {refusal:?}"))
}

fn change(user: &UserId, room: &RoomId, seq: Seq, action: Action) -> Change {
    Change::new(room.clone(), seq, user.clone(), false, action)
}

/// Commits changes, beside those of running servers.
async fn commit(store: &dyn MessageStore, changes: &[Change]) -> anyhow::Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    let committed = retried(async || store.commit(&[], changes).await).await?;
    let mut answers = committed.changes.iter();
    match answers.find_map(|answer| answer.as_ref().err()) {
        None => Ok(()),
        Some(refusal) => anyhow::bail!("a change was refused: {refusal:?}"),
    }
}

/// Writes until the database takes it, beside running servers.
async fn retried<T>(write: impl AsyncFn() -> Result<T, StoreError>) -> anyhow::Result<T> {
    let mut attempt = 1;
    loop {
        match write().await {
            Err(
                StoreError::Conflict(_) | StoreError::Locked { .. } | StoreError::Unavailable(_),
            ) if attempt < ATTEMPTS => {
                attempt += 1;
                tokio::time::sleep(RETRY_DELAY).await;
            }
            written => return Ok(written?),
        }
    }
}

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

fn archive(store: &dyn MessageStore) -> anyhow::Result<&dyn ArchiveStore> {
    store.archive().context("this store has no archive")
}
