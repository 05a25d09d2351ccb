//! Questions to the other servers. A server asks all of them by a signal, and asks again until each has
//! answered: signals may get lost.

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
    model::{Clients, FromStore, NodeReport, RoomId, Signal, UserId},
};

/// The longest wait for all servers.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);
/// The time after which the other servers are asked again.
const ASK_AGAIN: Duration = Duration::from_millis(200);
/// The most answers under way to one question; others are asked for again.
const ANSWERS: usize = 256;

/// The most questions of this server at once: signals of clients need the bus, too.
const QUESTIONS: usize = 64;

/// The questions that wait for answers of other servers.
#[derive(Debug)]
pub(super) struct Questions {
    asked: Mutex<HashMap<Uuid, mpsc::Sender<Answer>>>,
    pub(super) places: Semaphore,
}

/// A server's answer.
type Answer = (Uuid, Reply);

/// The content of a server's answer.
#[derive(Debug)]
pub(super) enum Reply {
    /// It is so.
    Confirmed,
    /// The clients of the user in question.
    Clients(Clients),
    /// The server's figures.
    Report(Box<NodeReport>),
}

impl Questions {
    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, mpsc::Sender<Answer>>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in the answer of another server.
    pub(super) fn answered(&self, id: Uuid, server: Uuid, reply: Reply) {
        if let Some(asking) = self.lock().get(&id) {
            asking.try_send((server, reply)).ok();
        }
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
pub(super) struct Question<'a> {
    pub(super) id: Uuid,
    answers: mpsc::Receiver<Answer>,
    questions: &'a Questions,
    /// The answers so far.
    pub(super) replies: HashMap<Uuid, Reply>,
    /// The servers without an answer so far.
    pub(super) missing: HashSet<Uuid>,
}

impl<'a> Question<'a> {
    pub(super) fn new(questions: &'a Questions) -> Self {
        let (id, (sender, answers)) = (Uuid::now_v7(), mpsc::channel(ANSWERS));
        questions.lock().insert(id, sender);
        Self {
            id,
            answers,
            questions,
            replies: HashMap::new(),
            missing: HashSet::new(),
        }
    }

    /// Asks until all servers have answered that are not known to be gone. One that shows no sign of life
    /// for a moment may deliver to its clients all the same.
    pub(super) async fn ask(
        &mut self,
        rooms: &Rooms,
        bus: &dyn Bus,
        room: &RoomId,
        question: &Signal,
    ) {
        let own = bus.rosters().server_id();
        loop {
            let listed = bus.rosters().servers().await.unwrap_or_default();
            let listed: HashSet<_> = listed.into_iter().map(|server| server.id).collect();
            let is_known = listed.contains(&own);
            self.missing = listed
                .union(&rooms.known_servers())
                .filter(|server| **server != own)
                .map(|server| server.0)
                .filter(|server| !self.replies.contains_key(server))
                .collect();
            if is_known && self.missing.is_empty() {
                return;
            }
            bus.signal(room, question);
            let ask_again = Instant::now() + ASK_AGAIN;
            while !(is_known && self.missing.is_empty()) {
                match timeout_at(ask_again, self.answers.recv()).await {
                    Ok(Some((server, reply))) => {
                        self.missing.remove(&server);
                        self.replies.entry(server).or_insert(reply);
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
    /// Asks all other servers, and returns the clients that they have found; none on a single server.
    pub(super) async fn ask(
        &self,
        room: &RoomId,
        question: impl FnOnce(Uuid) -> Signal,
    ) -> Clients {
        let Some(bus) = self.bus() else {
            return Clients::default();
        };
        let Ok(_place) = self.questions().places.acquire().await else {
            return Clients::default();
        };
        let mut asking = Question::new(self.questions());
        let question = question(asking.id);
        asking.ask(self, bus, room, &question).await;
        let mut found = Clients::default();
        for reply in std::mem::take(&mut asking.replies).into_values() {
            if let Reply::Clients(clients) = reply {
                found.merge(clients);
            }
        }
        found
    }

    /// Returns the clients of a user on the other servers, and ends their connections if asked to.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when a server does not answer in time.
    pub async fn clients_elsewhere(
        &self,
        user: &UserId,
        disconnect: bool,
    ) -> Result<Clients, Error> {
        // No room is concerned; the bus needs a name.
        let name = RoomId::from_store(user.to_string());
        let finding = self.ask(&name, |id| Signal::Find {
            id,
            user_id: user.clone(),
            disconnect,
        });
        let found = timeout(TIMEOUT, finding).await;
        found.map_err(|_| Error::Unavailable)
    }
}
