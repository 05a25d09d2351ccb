//! A room's mailbox: the commands that wait for its task, and a flag in place of those that it
//! could not take.
//!
//! Whoever gives up a command sets the flag first and then makes sure that the mailbox holds a
//! command; the task looks at the flag after every command. So the flag is seen after the last
//! command that was given up, and the room reads from the log what that would have told it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use tokio::{
    sync::{mpsc, oneshot},
    time::timeout_at,
};
use uuid::Uuid;

use super::{
    ClientId, Departure,
    joining::{Done, Join},
};
use crate::{
    error::Error,
    model::{EncodedMessage, Seq, Signal, Stored},
};

/// The most commands that wait for a room. Newly stored messages beyond it are read from the log.
pub const MAILBOX_CAPACITY: usize = 1024;
/// The most bytes of newly stored messages that wait for a room. Further ones are read from the
/// log.
pub const MAILBOX_BYTES: usize = 1024 * 1024;

/// A command to a room's task.
pub(super) enum Command {
    /// Let a client in.
    Join(Join, Done),
    /// Let a client out; the sender is dropped when that is done.
    Leave(ClientId, Departure, oneshot::Sender<()>),
    /// Deliver messages that the writer has stored, or found stored.
    Stored(Vec<Stored<EncodedMessage>>),
    /// Compare a message of the log with the room's own, and read the log if they differ.
    Seen(Seq, Uuid),
    /// Read the log up to a message, unless the room has it.
    Wake(Seq),
    /// Look into the log now and for a while: a commit of unknown outcome may be in it, or may come
    /// to be.
    Watch,
    /// Pass a signal to the members.
    Signal(Signal),
    /// Look at the flag for missed commands, as is done after every command.
    Look,
}

impl Command {
    fn bytes(&self) -> usize {
        match self {
            Self::Stored(stored) => stored
                .iter()
                .map(|stored| stored.message.json().len())
                .sum(),
            _ => 0,
        }
    }
}

/// The state that both ends of a mailbox share.
#[derive(Debug, Default)]
struct Load {
    missed: AtomicBool,
    /// The bytes of the messages that wait.
    bytes: AtomicUsize,
}

/// A handle that gives commands to a room's task and keeps it alive.
#[derive(Debug, Clone)]
pub struct RoomHandle {
    commands: mpsc::Sender<Command>,
    load: Arc<Load>,
}

/// A handle that does not keep the room's task alive.
#[derive(Debug)]
pub(super) struct WeakRoomHandle {
    commands: mpsc::WeakSender<Command>,
    load: Arc<Load>,
}

/// The task's end of the mailbox.
pub(super) struct Inbox {
    commands: mpsc::Receiver<Command>,
    load: Arc<Load>,
}

/// Opens a mailbox.
pub(super) fn open() -> (RoomHandle, Inbox) {
    let (sender, commands) = mpsc::channel(MAILBOX_CAPACITY);
    let load = Arc::<Load>::default();
    let handle = RoomHandle {
        commands: sender,
        load: load.clone(),
    };
    (handle, Inbox { commands, load })
}

impl RoomHandle {
    /// Lets a client in; see [`Join`].
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the log cannot be read by the deadline, or the client is gone.
    pub async fn join(&self, join: Join) -> Result<(), Error> {
        let (done, ended) = oneshot::channel();
        let deadline = join.deadline;
        let sending = self.commands.send(Command::Join(join, done));
        if !matches!(timeout_at(deadline, sending).await, Ok(Ok(()))) {
            return Err(Error::Unavailable);
        }
        ended.await.unwrap_or(Err(Error::Unavailable))
    }

    /// Lets a client out, and waits until the room has forgotten it.
    pub async fn leave(&self, client: ClientId, how: Departure) {
        let (done, ended) = oneshot::channel();
        let leaving = self.commands.send(Command::Leave(client, how, done));
        if leaving.await.is_ok() {
            ended.await.ok();
        }
    }

    /// Passes a signal to the members, unless the room is busy. Never waits.
    pub fn signal(&self, signal: Signal) {
        self.commands.try_send(Command::Signal(signal)).ok();
    }

    /// Tells the room the newest message of a page of its log that was just read. Never waits.
    pub fn saw(&self, seq: Seq, id: Uuid) {
        self.tell(Command::Seen(seq, id));
    }

    /// Gives the room a command without waiting. One that the mailbox cannot take is missed, and
    /// the room reads the log instead.
    fn tell(&self, command: Command) {
        let bytes = command.bytes();
        let waiting = self.load.bytes.fetch_add(bytes, Ordering::Relaxed);
        if (bytes == 0 || waiting <= MAILBOX_BYTES) && self.commands.try_send(command).is_ok() {
            return;
        }
        self.load.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.load.missed.store(true, Ordering::Release);
        // The task may have emptied the mailbox meanwhile; without a command in it, it would not
        // look at the flag.
        self.commands.try_send(Command::Look).ok();
    }

    pub(super) fn downgrade(&self) -> WeakRoomHandle {
        WeakRoomHandle {
            commands: self.commands.downgrade(),
            load: self.load.clone(),
        }
    }
}

impl WeakRoomHandle {
    /// Returns a handle that keeps the task alive, unless the task has none left.
    pub(super) fn upgrade(&self) -> Option<RoomHandle> {
        Some(RoomHandle {
            commands: self.commands.upgrade()?,
            load: self.load.clone(),
        })
    }

    /// Returns true when nothing keeps the task alive.
    pub(super) fn is_closed(&self) -> bool {
        self.commands.strong_count() == 0
    }

    /// Gives the room, if it is still alive, a command without waiting. One that the mailbox cannot
    /// take is missed, and the room reads the log instead.
    pub(super) fn tell(&self, command: Command) {
        if let Some(handle) = self.upgrade() {
            handle.tell(command);
        }
    }
}

impl Inbox {
    /// Waits for the next command; returns none once all handles are dropped.
    pub(super) async fn recv(&mut self) -> Option<Command> {
        let command = self.commands.recv().await?;
        self.load
            .bytes
            .fetch_sub(command.bytes(), Ordering::Relaxed);
        Some(command)
    }

    /// Returns true when commands were missed since the last call.
    pub(super) fn take_missed(&self) -> bool {
        self.load.missed.swap(false, Ordering::AcqRel)
    }
}
