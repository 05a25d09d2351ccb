//! The registry of active rooms: a room's task starts with its first joiner and ends when nobody
//! holds it any more.
//!
//! The registry itself holds rooms weakly. A joiner either gets a handle that keeps the running
//! task alive, or, when that task has nobody left, a handle to a new one; so nobody is lost between
//! the two.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    model::{EncodedMessage, Outcome, RoomId, Stored},
    room::{Budget, Command, MAILBOX_CAPACITY, Room, RoomContext, RoomHandle, Shared, tell},
};

/// All active rooms of this node.
#[derive(Clone)]
pub struct Rooms(Arc<Registry>);

struct Registry {
    context: Arc<RoomContext>,
    budget: Arc<Budget>,
    active: Mutex<HashMap<RoomId, Active>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

struct Active {
    mailbox: mpsc::WeakSender<Command>,
    shared: Arc<Shared>,
}

impl Rooms {
    /// A node without active rooms.
    pub fn new(context: RoomContext) -> Self {
        Self(Arc::new(Registry {
            context: Arc::new(context),
            budget: Arc::default(),
            active: Mutex::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        }))
    }

    /// A handle to the room's task, which is started if it does not run.
    pub fn enter(&self, id: &RoomId) -> RoomHandle {
        let mut active = self.active();
        if let Some(room) = active.get(id)
            && let Some(mailbox) = room.mailbox.upgrade()
        {
            return RoomHandle {
                mailbox,
                shared: room.shared.clone(),
            };
        }
        let (mailbox, commands) = mpsc::channel(MAILBOX_CAPACITY);
        let shared = Arc::<Shared>::default();
        let Registry {
            context,
            budget,
            tasks,
            ..
        } = &*self.0;
        let room = Room::new(
            id.clone(),
            context.clone(),
            budget.clone(),
            commands,
            shared.clone(),
        );
        tasks.spawn(self.clone().run(id.clone(), room));
        active.insert(
            id.clone(),
            Active {
                mailbox: mailbox.downgrade(),
                shared: shared.clone(),
            },
        );
        RoomHandle { mailbox, shared }
    }

    /// Passes on what the writer has to say to the rooms that it concerns.
    pub fn observe(&self, outcome: Outcome) {
        match outcome {
            Outcome::Stored(stored) => {
                for (room, stored) in by_room(stored) {
                    self.tell(&room, Command::Stored(stored));
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
        if active
            .get(&id)
            .is_some_and(|room| room.mailbox.strong_count() == 0)
        {
            active.remove(&id);
        }
    }

    fn tell(&self, room: &RoomId, command: Command) {
        let active = self.active();
        let Some(room) = active.get(room) else {
            return;
        };
        if let Some(mailbox) = room.mailbox.upgrade() {
            tell(&mailbox, &room.shared, command);
        }
    }

    fn active(&self) -> MutexGuard<'_, HashMap<RoomId, Active>> {
        self.0.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writer's answers by room, in order.
fn by_room(stored: Vec<Stored<EncodedMessage>>) -> HashMap<RoomId, Vec<Stored<EncodedMessage>>> {
    let mut rooms = HashMap::<_, Vec<_>>::new();
    for stored in stored {
        rooms
            .entry(stored.message.room_id.clone())
            .or_default()
            .push(stored);
    }
    rooms
}
