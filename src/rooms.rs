//! The registry of active rooms: a room's task starts with its first joiner and ends when nobody holds it any more.
//!
//! The registry itself holds rooms weakly. A joiner either gets a handle that keeps the running task alive, or, when that
//! task has nobody left, a handle to a new one; so nobody is lost between the two.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    model::{Post, Posted, RoomId},
    room::{Command, MAILBOX_CAPACITY, Room, RoomContext, RoomHandle},
    writer::Outcome,
};

/// All active rooms of this node.
#[derive(Clone)]
pub struct Rooms(Arc<Registry>);

struct Registry {
    context: Arc<RoomContext>,
    active: Mutex<HashMap<RoomId, Active>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

struct Active {
    mailbox: mpsc::WeakSender<Command>,
    missed: Arc<AtomicBool>,
}

impl Rooms {
    /// A node without active rooms.
    pub fn new(context: RoomContext) -> Self {
        Self(Arc::new(Registry {
            context: Arc::new(context),
            active: Mutex::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        }))
    }

    /// A handle to the room's task, which is started if it does not run.
    pub fn enter(&self, id: &RoomId) -> RoomHandle {
        let mut active = self.active();
        let running = active.get(id).and_then(|room| room.mailbox.upgrade());
        RoomHandle(running.unwrap_or_else(|| {
            let (mailbox, commands) = mpsc::channel(MAILBOX_CAPACITY);
            let missed = Arc::new(AtomicBool::new(false));
            let room = Room::new(id.clone(), self.0.context.clone(), commands, missed.clone());
            self.0.tasks.spawn(self.clone().run(id.clone(), room));
            let mailbox_weak = mailbox.downgrade();
            active.insert(id.clone(), Active { mailbox: mailbox_weak, missed });
            mailbox
        }))
    }

    /// Passes on what the writer has to say to the rooms that it concerns.
    pub fn observe(&self, outcome: Outcome) {
        match outcome {
            Outcome::Stored(posted) => {
                for (room, posts) in by_room(posted) {
                    self.tell(&room, Command::Stored(posts));
                }
            }
            Outcome::Unknown(rooms) => {
                for room in rooms {
                    self.tell(&room, Command::Wake);
                }
            }
        }
    }

    /// How many rooms are active.
    pub fn count(&self) -> usize {
        self.active().len()
    }

    /// Ends all rooms, and waits until they have ended.
    pub async fn stop(&self) {
        self.0.stop.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    async fn run(self, id: RoomId, room: Room) {
        room.run(self.0.stop.clone()).await;
        let mut active = self.active();
        if active.get(&id).is_some_and(|room| room.mailbox.strong_count() == 0) {
            active.remove(&id);
        }
    }

    /// Never waits: what a full mailbox cannot take, the room reads from the log.
    fn tell(&self, room: &RoomId, command: Command) {
        let active = self.active();
        let Some(room) = active.get(room) else {
            return;
        };
        let Some(mailbox) = room.mailbox.upgrade() else {
            return;
        };
        if mailbox.try_send(command).is_err() {
            room.missed.store(true, Ordering::Release);
            // In case the mailbox has been emptied since: with nothing in it, nobody would look at the flag.
            mailbox.try_send(Command::Wake).ok();
        }
    }

    fn active(&self) -> MutexGuard<'_, HashMap<RoomId, Active>> {
        self.0.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The messages that were new, by room, in order.
fn by_room(posted: Vec<Posted>) -> HashMap<RoomId, Vec<Post>> {
    let mut rooms = HashMap::<_, Vec<_>>::new();
    for Posted { post, .. } in posted.into_iter().filter(|posted| !posted.duplicate) {
        rooms.entry(post.room_id.clone()).or_default().push(post);
    }
    rooms
}
