//! A room's mailbox: a bounded queue of commands, and a flag for commands beyond the bound.
//!
//! A sender whose command does not fit sets the flag, then tries to queue an empty command. The
//! task checks the flag after every command. Either the queue is full, so a command is still to
//! come, or the empty one is: the task always sees the flag after it was set, and reads from the
//! log what it missed.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
};

use tokio::{
    sync::{mpsc, oneshot},
    time::timeout_at,
};
use uuid::Uuid;

use super::{
    following::Begin,
    joining::{Done, Join, Joining, Step},
    members::{ClientId, Departure, Present, RostersRead},
};
use crate::{
    error::Error,
    model::{EncodedMessage, Relayed, Revised, Revision, Seq, Signal, Stored},
};

/// The most commands in a room's mailbox. Newly stored messages beyond it are read from the log.
pub const MAILBOX_CAPACITY: usize = 1024;
/// The most bytes of newly stored messages and of signals in a room's mailbox. Further messages are read from
/// the log, and further signals refused.
pub const MAILBOX_BYTES: usize = 1024 * 1024;

/// The most pages a joiner reads before it gives up. It needs a second one only if the room gets
/// more messages during the first read than it may hold for a joiner.
const MAX_READS: usize = 3;

/// A command to a room's task.
pub(super) enum Command {
    /// Let a client in.
    Join(Box<Joining>, Done),
    /// Let somebody follow the room, who is no member.
    Follow(Begin),
    /// Let a client out; the sender is dropped when that is done. The handle can hold the task
    /// beyond the last client.
    Leave(ClientId, Departure, RoomHandle, oneshot::Sender<()>),
    /// Deliver messages the writer has stored or found stored.
    Stored(Vec<Stored<EncodedMessage>>),
    /// Deliver the changes of a commit.
    Revised(Revised<EncodedMessage>),
    /// Deliver messages found in the log: they follow each other, and are known to no sender here.
    Found(Vec<EncodedMessage>),
    /// Compare a message of the log with the room's own; read the log if they differ.
    Seen(Seq, Uuid),
    /// Read the log up to a message unless the room has it.
    Wake(Seq),
    /// Read the changes up to a revision unless the room has them.
    WakeToChange(Revision),
    /// Read the room anew: its log has gone back.
    Anew,
    /// Forget the messages up to one: they are not in the log any more.
    Forget(Seq),
    /// Compare the newest message with the log, which seems to have gone back.
    Suspect,
    /// Look into the log now and for a while: a commit of unknown outcome may have happened or may
    /// still happen.
    Watch,
    /// Pass a signal of a client to the members, also to those on other servers.
    Signal(Signal),
    /// Take in the rosters of other servers.
    Rosters(RostersRead),
    /// Pass a signal of another server to the members here.
    RemoteSignal(Signal),
    /// Answer once the room has reached a revision, and nobody is here who may not be.
    Confirm(Revision, oneshot::Sender<()>),
    /// Answer with the members.
    Present(oneshot::Sender<Present>),
    /// Check the flag for missed commands, as after every command.
    Look,
}

impl Command {
    fn bytes(&self) -> usize {
        match self {
            Self::Stored(stored) => stored
                .iter()
                .map(|stored| stored.message.json().len())
                .sum(),
            Self::Revised(revised) => revised
                .messages
                .iter()
                .map(|message| message.json().len())
                .sum(),
            Self::Found(found) => found.iter().map(|message| message.json().len()).sum(),
            Self::Signal(signal) | Self::RemoteSignal(signal) => signal.bytes(),
            _ => 0,
        }
    }
}

/// The cursor of a room without messages in memory.
const UNLOADED: i64 = -1;

/// The state shared by both ends of a mailbox.
#[derive(Debug)]
struct Load {
    missed: AtomicBool,
    /// The bytes of the queued messages and signals.
    bytes: AtomicUsize,
    /// The newest `seq` delivered, or [`UNLOADED`].
    cursor: AtomicI64,
    /// The newest change delivered.
    revision: AtomicI64,
    /// True while the room reads its log.
    is_reading: AtomicBool,
    /// True when the room has settings, as somebody created it.
    is_created: AtomicBool,
    /// The number of members, on all servers.
    members: AtomicUsize,
}

/// A room's address. The room's task lives as long as one of its handles does.
#[derive(Debug, Clone)]
pub struct RoomHandle {
    commands: mpsc::Sender<Command>,
    load: Arc<Load>,
}

/// A room's address without a hold on its task.
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
    let load = Arc::new(Load {
        missed: AtomicBool::new(false),
        bytes: AtomicUsize::new(0),
        cursor: AtomicI64::new(UNLOADED),
        revision: AtomicI64::new(0),
        is_reading: AtomicBool::new(false),
        is_created: AtomicBool::new(false),
        members: AtomicUsize::new(0),
    });
    let handle = RoomHandle {
        commands: sender,
        load: load.clone(),
    };
    (handle, Inbox { commands, load })
}

impl RoomHandle {
    /// Joins the room. Reads the log in the caller's task where the room's memory does not reach.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the log cannot be read by the deadline or the client is gone;
    /// [`Error::Internal`] when the log holds nothing readable.
    pub async fn join(&self, join: Join) -> Result<(), Error> {
        let (mut step, mut pages) = (self.ask(Joining::from(join)).await?, 0);
        loop {
            step = match step {
                Step::Welcomed => return Ok(()),
                Step::Read(page) if pages < MAX_READS => {
                    pages += 1;
                    self.ask(page.read().await?).await?
                }
                Step::Read(_) => return Err(Error::Unavailable),
                // Another proof is needed when the members change meanwhile; the deadline ends this.
                Step::Prove(proof) => self.ask(proof.read().await?).await?,
            };
        }
    }

    async fn ask(&self, joining: Joining) -> Result<Step, Error> {
        let (done, reply) = oneshot::channel();
        let deadline = joining.join.deadline;
        let asking = self.commands.send(Command::Join(Box::new(joining), done));
        if !matches!(timeout_at(deadline, asking).await, Ok(Ok(()))) {
            return Err(Error::Unavailable);
        }
        reply.await.unwrap_or(Err(Error::Unavailable))
    }

    /// Queues a command, and waits for a place in the mailbox.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the room has ended.
    pub(super) async fn queue(&self, command: Command) -> Result<(), Error> {
        let queued = self.commands.send(command).await;
        queued.map_err(|_| Error::Unavailable)
    }

    /// Returns true when somebody created the room, as far as it knows.
    pub fn is_created(&self) -> bool {
        self.load.is_created.load(Ordering::Relaxed)
    }

    /// Leaves the room, and waits until it has forgotten the client.
    pub async fn leave(&self, client: ClientId, how: Departure) {
        let (done, ended) = oneshot::channel();
        let leaving = self
            .commands
            .send(Command::Leave(client, how, self.clone(), done));
        if leaving.await.is_ok() {
            ended.await.ok();
        }
    }

    /// Waits until the room has reached a revision, and nobody is here who may not be.
    pub(super) async fn confirm(&self, revision: Revision) {
        let (done, confirmed) = oneshot::channel();
        let asking = self.commands.send(Command::Confirm(revision, done));
        if asking.await.is_ok() {
            confirmed.await.ok();
        }
    }

    /// Returns the members, or none when the room ends.
    pub(super) async fn present(&self) -> Option<Present> {
        let (answer, present) = oneshot::channel();
        self.commands.send(Command::Present(answer)).await.ok()?;
        present.await.ok()
    }

    /// Passes a signal on to the members, unless the mailbox is full. Never waits.
    pub fn signal(&self, signal: Signal) {
        self.try_queue(Command::Signal(signal));
    }

    /// Relays a client's own event. Never waits.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the mailbox is full.
    pub fn relay(&self, relayed: Relayed) -> Result<(), Error> {
        let command = Command::Signal(Signal::Relayed(relayed.into()));
        let queued = self.try_queue(command).then_some(());
        queued.ok_or(Error::Unavailable)
    }

    /// Passes a signal of another server on to the members here. Returns false when the mailbox is full.
    pub(super) fn signal_from_afar(&self, signal: Signal) -> bool {
        self.try_queue(Command::RemoteSignal(signal))
    }

    /// Passes on the rosters of other servers. Returns false when the mailbox is full.
    pub(super) fn rosters(&self, rosters: RostersRead) -> bool {
        self.commands.try_send(Command::Rosters(rosters)).is_ok()
    }

    /// Reports the newest message of a page just read from the room's log. Never waits.
    pub fn saw(&self, seq: Seq, id: Uuid) {
        self.tell(Command::Seen(seq, id));
    }

    /// Queues a command without waiting. If it does not fit, the room reads the log instead.
    fn tell(&self, command: Command) {
        if self.try_queue(command) {
            return;
        }
        self.load.missed.store(true, Ordering::Release);
        // The task may have emptied the mailbox meanwhile; without a command it would not check the
        // flag.
        self.commands.try_send(Command::Look).ok();
    }

    /// Queues a command without waiting. Returns false when it does not fit.
    fn try_queue(&self, command: Command) -> bool {
        let bytes = command.bytes();
        let waiting = self.load.bytes.fetch_add(bytes, Ordering::Relaxed);
        let fits =
            (bytes == 0 || waiting <= MAILBOX_BYTES) && self.commands.try_send(command).is_ok();
        if !fits {
            self.load.bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        fits
    }

    pub(super) fn downgrade(&self) -> WeakRoomHandle {
        WeakRoomHandle {
            commands: self.commands.downgrade(),
            load: self.load.clone(),
        }
    }
}

impl WeakRoomHandle {
    /// Returns a handle, unless the task has none left.
    pub(super) fn upgrade(&self) -> Option<RoomHandle> {
        Some(RoomHandle {
            commands: self.commands.upgrade()?,
            load: self.load.clone(),
        })
    }

    /// Returns true when the task has no handle left.
    pub(super) fn is_closed(&self) -> bool {
        self.commands.strong_count() == 0
    }

    /// Returns the newest `seq` delivered, or none while no message is in memory.
    pub(super) fn cursor(&self) -> Option<Seq> {
        self.load.cursor.load(Ordering::Relaxed).try_into().ok()
    }

    /// Returns the newest message and the newest change delivered, or none while no message is in
    /// memory.
    pub(super) fn cursors(&self) -> Option<(Seq, Revision)> {
        let revision = self.load.revision.load(Ordering::Relaxed);
        Some((self.cursor()?, revision.try_into().unwrap_or_default()))
    }

    /// Returns the number of members, on all servers.
    pub(super) fn members(&self) -> usize {
        self.load.members.load(Ordering::Relaxed)
    }

    /// Returns true while the room reads its log.
    pub(super) fn is_reading(&self) -> bool {
        self.load.is_reading.load(Ordering::Relaxed)
    }

    /// Queues a command without waiting, if the task has a handle left. If the command does not
    /// fit, the room reads the log instead.
    pub(super) fn tell(&self, command: Command) {
        if let Some(handle) = self.upgrade() {
            handle.tell(command);
        }
    }
}

impl Inbox {
    /// Waits for the next command; returns `None` once all handles are dropped.
    pub(super) async fn recv(&mut self) -> Option<Command> {
        let command = self.commands.recv().await?;
        self.load
            .bytes
            .fetch_sub(command.bytes(), Ordering::Relaxed);
        Some(command)
    }

    /// Publishes the newest message and the newest change delivered, or that no message is in
    /// memory; whether the room is reading its log, and whether somebody created it.
    pub(super) fn publish(
        &self,
        cursors: Option<(Seq, Revision)>,
        is_reading: bool,
        is_created: bool,
    ) {
        let (cursor, revision) =
            cursors.map_or((UNLOADED, 0), |(seq, revision)| (seq.get(), revision.get()));
        self.load.revision.store(revision, Ordering::Relaxed);
        self.load.cursor.store(cursor, Ordering::Relaxed);
        self.load.is_reading.store(is_reading, Ordering::Relaxed);
        self.load.is_created.store(is_created, Ordering::Relaxed);
    }

    /// Publishes the number of members.
    pub(super) fn publish_members(&self, count: usize) {
        self.load.members.store(count, Ordering::Relaxed);
    }

    /// Returns true when a command was missed since the last call.
    pub(super) fn take_missed(&self) -> bool {
        self.load.missed.swap(false, Ordering::AcqRel)
    }
}
