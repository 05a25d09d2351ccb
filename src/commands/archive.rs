//! `parlor export` and `parlor erase`.

use std::{
    io::{self, BufWriter, Write},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use async_trait::async_trait;
use backon::{ConstantBuilder, Retryable};
use tokio::sync::mpsc;

use crate::{
    archive::{self, Erased, Eraser, LINES_AT_ONCE, Subject},
    config::{EraseRequest, ExportRequest},
    model::{Change, RoomChange},
    store::{MessageStore, StoreError},
};

/// The attempts of a statement, beside running servers.
const ATTEMPTS: ConstantBuilder = ConstantBuilder::new()
    .with_delay(Duration::from_millis(500))
    .with_max_times(20);

/// Writes an export to standard output.
///
/// # Errors
///
/// The database's, and those of the output.
pub(super) async fn export(
    request: &ExportRequest,
    store: Arc<dyn MessageStore>,
) -> anyhow::Result<()> {
    let (room, user) = (request.room.clone(), request.user.clone());
    let subject = room.map(Subject::Room).or(user.map(Subject::User));
    let subject = subject.context("neither a room nor a user is given")?;
    let (sender, mut lines) = mpsc::channel::<String>(LINES_AT_ONCE);
    let writing = async {
        let mut output = BufWriter::new(io::stdout().lock());
        while let Some(line) = lines.recv().await {
            output.write_all(line.as_bytes())?;
        }
        output.flush()
    };
    let exporting = archive::export(&*store, &subject, sender);
    let (exported, written) = tokio::join!(exporting, writing);
    written?;
    exported?;
    store.close().await;
    Ok(())
}

/// Erases what a user has left.
///
/// # Errors
///
/// The database's. What was erased until then stays erased, and another run goes on.
pub(super) async fn erase(
    request: &EraseRequest,
    store: Arc<dyn MessageStore>,
) -> anyhow::Result<()> {
    let user = &request.user;
    let Erased {
        messages,
        reactions,
        memberships,
    } = archive::erase(&Beside(&*store), &*store, user).await?;
    store.close().await;
    println!(
        "erased {messages} messages, {reactions} reactions and {memberships} memberships of {user:?}"
    );
    Ok(())
}

/// Writes into the database beside running servers.
struct Beside<'a>(&'a dyn MessageStore);

#[async_trait]
impl Eraser for Beside<'_> {
    type Error = anyhow::Error;

    async fn change(&self, changes: Vec<Change>) -> anyhow::Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let committing = (|| self.0.commit(&[], &changes)).retry(ATTEMPTS);
        let committed = committing.when(is_passing).await?;
        let mut answers = committed.changes.iter();
        match answers.find_map(|answer| answer.as_ref().err()) {
            None => Ok(()),
            Some(refusal) => anyhow::bail!("a change was refused: {refusal:?}"),
        }
    }

    async fn change_room(&self, change: RoomChange) -> anyhow::Result<()> {
        let changing = (|| self.0.rooms().change(&change)).retry(ATTEMPTS);
        let changed = changing.when(is_passing).await?;
        changed
            .map(drop)
            .map_err(|refusal| anyhow::anyhow!("a change was refused: {refusal:?}"))
    }
}

/// Returns true for a failure that another attempt may not have.
fn is_passing(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Conflict(_) | StoreError::Locked { .. } | StoreError::Unavailable(_)
    )
}
