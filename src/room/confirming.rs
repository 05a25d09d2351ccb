//! Confirmation that nobody is in a room any more who may not be, on any server.
//!
//! Whoever removes a member is answered once this holds. The server asks all others by a signal, and
//! asks again until each has answered: signals may get lost.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Semaphore, mpsc},
    time::{Instant, timeout, timeout_at},
};
use uuid::Uuid;

use super::registry::Rooms;
use crate::{
    bus::Bus,
    error::Error,
    model::{Revision, RoomId, Signal},
};

/// The longest wait for all servers.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The time after which the other servers are asked again.
const ASK_AGAIN: Duration = Duration::from_millis(200);
/// The most answers under way to one question; others are asked for again.
const ANSWERS: usize = 256;

/// The most questions of this server at once: signals of clients need the bus, too.
const QUESTIONS: usize = 64;

/// The questions that wait for answers of other servers.
#[derive(Debug)]
pub(super) struct Questions {
    asked: Mutex<HashMap<Uuid, mpsc::Sender<Uuid>>>,
    places: Semaphore,
}

impl Questions {
    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, mpsc::Sender<Uuid>>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Questions {
    fn default() -> Self {
        Self {
            asked: Mutex::default(),
            places: Semaphore::new(QUESTIONS),
        }
    }
}

/// A question to the other servers; it ends when it is dropped.
struct Question<'a> {
    id: Uuid,
    answers: mpsc::Receiver<Uuid>,
    questions: &'a Questions,
}

impl<'a> Question<'a> {
    fn new(questions: &'a Questions) -> Self {
        let (id, (sender, answers)) = (Uuid::now_v7(), mpsc::channel(ANSWERS));
        questions.lock().insert(id, sender);
        Self {
            id,
            answers,
            questions,
        }
    }

    /// Asks until all servers have answered that are not known to be gone. One that shows no sign of life
    /// for a moment may deliver to its clients all the same.
    async fn ask(&mut self, rooms: &Rooms, bus: &dyn Bus, room: &RoomId, revision: Revision) {
        let question = Signal::Confirm {
            id: self.id,
            revision,
        };
        let own = bus.rosters().server_id();
        let mut answered = HashSet::from([own.0]);
        loop {
            let listed = bus.rosters().servers().await.unwrap_or_default();
            let listed: HashSet<_> = listed.into_iter().map(|server| server.id).collect();
            let is_known = listed.contains(&own);
            let mut missing: HashSet<_> = listed
                .union(&rooms.known_servers())
                .map(|server| server.0)
                .filter(|server| !answered.contains(server))
                .collect();
            if is_known && missing.is_empty() {
                return;
            }
            bus.signal(room, &question);
            let ask_again = Instant::now() + ASK_AGAIN;
            while !(is_known && missing.is_empty()) {
                match timeout_at(ask_again, self.answers.recv()).await {
                    Ok(Some(server)) => {
                        missing.remove(&server);
                        answered.insert(server);
                    }
                    _ => break,
                }
            }
        }
    }
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        self.questions.lock().remove(&self.id);
    }
}

impl Rooms {
    /// Waits until no server has anybody in a room who may not be there, as of a revision.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when a server has not confirmed it in time.
    pub async fn confirm(&self, room: &RoomId, revision: Revision) -> Result<(), Error> {
        let confirming = async {
            let elsewhere = async {
                if let Some(bus) = self.bus() {
                    let _place = self.questions().places.acquire().await;
                    let mut question = Question::new(self.questions());
                    question.ask(self, bus, room, revision).await;
                }
            };
            tokio::join!(self.confirm_here(room, revision), elsewhere);
        };
        let confirmed = timeout(TIMEOUT, confirming).await;
        confirmed.map_err(|_| Error::Unavailable)
    }

    /// Waits until nobody is in a room here who may not be, as of a revision. A room that is not
    /// active reads its settings anew.
    async fn confirm_here(&self, room: &RoomId, revision: Revision) {
        if let Some(handle) = self.find(room) {
            handle.confirm(revision).await;
        }
    }

    /// Answers another server's question, or takes in an answer.
    pub(super) fn hear(&self, room: &RoomId, signal: Signal) {
        match signal {
            Signal::Confirm { id, revision } => {
                let (rooms, room) = (self.clone(), room.clone());
                tokio::spawn(timeout(TIMEOUT, async move {
                    rooms.confirm_here(&room, revision).await;
                    if let Some(bus) = rooms.bus() {
                        let server = bus.rosters().server_id().0;
                        bus.signal(&room, &Signal::Confirmed { id, server });
                    }
                }));
            }
            Signal::Confirmed { id, server } => {
                if let Some(asking) = self.questions().lock().get(&id) {
                    asking.try_send(server).ok();
                }
            }
            other => self.signal(room, other),
        }
    }
}
