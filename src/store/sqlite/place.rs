//! A watch on the database's file: once deleted or replaced under a running server, it would take
//! messages and lose them.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use super::super::error::{Cause, StoreError};

/// A file's identity under any name: its device and its number there.
type FileId = (u64, u64);

/// The path of the database, and the files opened there.
#[derive(Debug)]
pub(super) struct Place {
    file: PathBuf,
    log: PathBuf,
    opened: Mutex<Opened>,
    /// Set while other files are in their places, so that each change is logged once.
    moved: AtomicBool,
}

#[derive(Debug, Default)]
struct Opened {
    /// None before the tables are up to date.
    file: Option<FileId>,
    /// The write-ahead log, kept open by the writing connection; none before its first write.
    log: Option<FileId>,
    /// Set once the write-ahead log is gone, along with any messages not yet in the main file.
    log_lost: bool,
}

impl Place {
    pub(super) fn new(file: &Path) -> Self {
        let mut log = file.to_owned();
        log.as_mut_os_string().push("-wal");
        Self {
            file: file.to_owned(),
            log,
            opened: Mutex::default(),
            moved: AtomicBool::new(false),
        }
    }

    /// Notes the file as the one in use from here on.
    pub(super) fn note(&self) -> io::Result<()> {
        let file = identity(&self.file)?;
        self.opened().file.get_or_insert(file);
        Ok(())
    }

    /// Forgets the write-ahead log, as the writing connection ends or is a new one: its next log
    /// may be another file.
    pub(super) fn forget_log(&self) {
        self.opened().log = None;
    }

    /// Compares the files in their places with the opened ones, at the cost of two looks into a
    /// folder and no connection.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] when a file is another one, or gone.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        self.look()
            .map_err(|error| StoreError::Unavailable(Cause::from(error)))
    }

    pub(super) fn look(&self) -> io::Result<()> {
        let same = self.is_same();
        if self.moved.swap(!same, Ordering::Relaxed) == same {
            let file = self.file.display();
            if same {
                tracing::info!(%file, "the database's file is in its place again");
            } else {
                tracing::error!(%file, "the database's file was deleted or replaced: no messages are taken until it is back in its place; after a restart, the file there is used");
            }
        }
        if same {
            Ok(())
        } else {
            Err(io::Error::other(
                "the database's file was deleted or replaced",
            ))
        }
    }

    fn is_same(&self) -> bool {
        let mut opened = self.opened();
        let file_same = opened
            .file
            .is_none_or(|file| identity(&self.file).is_ok_and(|now| now == file));
        let log_same = opened
            .log
            .is_none_or(|log| identity(&self.log).is_ok_and(|now| now == log));
        opened.log_lost |= file_same && !log_same;
        file_same && !opened.log_lost
    }

    /// Notes the write-ahead log after the writing connection's first write.
    pub(super) fn note_log(&self) {
        let mut opened = self.opened();
        if opened.log.is_none() {
            opened.log = identity(&self.log).ok();
        }
    }

    fn opened(&self) -> std::sync::MutexGuard<'_, Opened> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(unix)]
fn identity(path: &Path) -> io::Result<FileId> {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Elsewhere, an open file can be neither deleted nor replaced.
#[cfg(not(unix))]
fn identity(path: &Path) -> io::Result<FileId> {
    fs::metadata(path).map(|_| (0, 0))
}
