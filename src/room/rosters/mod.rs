//! The roster keeper: it writes the members of this node's rooms for the other servers, and brings
//! the rooms the rosters of the others.
//!
//! Writes go together, at most four times a second. A read follows each report of another server;
//! as reports may be lost, a slow round over all rooms makes up for them.

mod link;
mod liveness;
mod queue;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use self::liveness::Liveness;
pub(super) use self::{link::RosterLink, queue::RosterQueue};
use super::{
    members::{INTERVAL, RostersRead},
    registry::Rooms,
};
use crate::{
    bus::{Bus, Roster, RosterError, Rosters, Server, ServerId},
    model::RoomId,
};

/// The time between two looks at the other servers.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// The time between two looks while a server is absent, or reports may be lost.
const LOOK_INTERVAL_DEGRADED: Duration = Duration::from_secs(1);
/// The time between two attempts after a failure.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// The most rooms in a read.
const MAX_READ: usize = 1_000;

/// Keeps the rosters of a node's rooms.
pub struct RosterKeeper {
    rooms: Rooms,
    queue: Arc<RosterQueue>,
    bus: Arc<dyn Bus>,
    /// This server's rosters.
    own: HashMap<RoomId, Roster>,
    /// False until all rosters are written at once.
    is_listed: bool,
    revision: u64,
    liveness: Liveness,
    round: Round,
    look_at: Instant,
    batch_at: Instant,
    is_failing: bool,
}

/// A slow round of reads over all rooms.
#[derive(Debug, Default)]
struct Round {
    /// The rooms not read yet.
    left: Vec<RoomId>,
    /// The other servers' revisions at its begin.
    revisions: HashMap<ServerId, u64>,
}

impl RosterKeeper {
    pub(super) fn new(rooms: Rooms, queue: Arc<RosterQueue>, bus: Arc<dyn Bus>) -> Self {
        Self {
            rooms,
            queue,
            bus,
            own: HashMap::new(),
            is_listed: false,
            revision: 0,
            liveness: Liveness::default(),
            round: Round::default(),
            look_at: Instant::now(),
            batch_at: Instant::now(),
            is_failing: false,
        }
    }

    /// Keeps the rosters until `stop`. They stay listed: the others count this server's members as
    /// present until it is gone for some seconds, which is the grace period of clients that move.
    pub async fn run(mut self, stop: CancellationToken) {
        stop.run_until_cancelled(async {
            loop {
                let done = self.work().await;
                self.note(&done);
                self.wait(done.is_err()).await;
            }
        })
        .await;
    }

    /// Waits until there is something to do.
    async fn wait(&self, failed: bool) {
        if failed {
            return tokio::time::sleep(RETRY_INTERVAL).await;
        }
        let next = if self.queue.has_batch() {
            self.look_at.min(self.batch_at)
        } else {
            self.look_at
        };
        tokio::select! {
            () = self.queue.added() => {}
            () = sleep_until(next) => {}
        }
    }

    /// Does the work that is due.
    ///
    /// # Errors
    ///
    /// The engine's. What was not done is done again.
    async fn work(&mut self) -> Result<(), RosterError> {
        let now = Instant::now();
        if self.look_at <= now {
            self.look(now).await?;
        }
        let opened = Vec::from_iter(self.queue.take_opened());
        self.read(&opened).await?;
        if self.batch_at <= now && self.queue.has_batch() {
            self.batch_at = now + INTERVAL;
            self.write().await?;
            self.read_told().await?;
        }
        Ok(())
    }

    /// Looks at the other servers: removes those that are gone, and goes on with the round.
    async fn look(&mut self, now: Instant) -> Result<(), RosterError> {
        let rosters = self.bus.rosters();
        let (own, others): (Vec<_>, Vec<_>) = rosters
            .servers()
            .await?
            .into_iter()
            .partition(|server| server.id == rosters.server_id());
        if own.is_empty() || !self.is_listed {
            self.list().await?;
        }
        let gone = self.liveness.look(now, &others);
        self.queue.note_servers(self.liveness.known().copied());
        if !gone.is_empty() {
            tracing::info!(count = gone.len(), "servers are gone, with their members");
            self.queue.tell(HashSet::new(), true);
            self.bus.rosters().remove(&gone).await?;
        }
        self.go_round(&others).await?;
        let is_quiet = self.bus.is_well() && !self.liveness.is_anyone_absent();
        self.look_at = now
            + if is_quiet {
                LOOK_INTERVAL
            } else {
                LOOK_INTERVAL_DEGRADED
            };
        Ok(())
    }

    /// Reads the next rooms of the round; begins another one when rosters were written since.
    async fn go_round(&mut self, others: &[Server]) -> Result<(), RosterError> {
        if self.round.left.is_empty() {
            // A server that comes back with the same revision is news, too.
            let present = others
                .iter()
                .filter(|server| !self.liveness.is_gone(&server.id));
            let revisions = present.map(|server| (server.id, server.revision)).collect();
            if revisions != self.round.revisions {
                self.round.left = self.rooms.ids();
                self.round.revisions = revisions;
            }
        }
        let first = self.round.left.len().saturating_sub(MAX_READ);
        let rooms = self.round.left.split_off(first);
        self.read(&rooms).await
    }

    /// Writes all rosters.
    async fn list(&mut self) -> Result<(), RosterError> {
        self.take_changed();
        self.revision += 1;
        let rosters = Vec::from_iter(self.own.clone());
        self.bus.rosters().list(self.revision, &rosters).await?;
        self.is_listed = true;
        if !rosters.is_empty() {
            self.bus.tell_any();
        }
        Ok(())
    }

    /// Writes the rosters that have changed.
    async fn write(&mut self) -> Result<(), RosterError> {
        if !self.is_listed {
            return self.list().await;
        }
        let changed = self.take_changed();
        if changed.is_empty() {
            return Ok(());
        }
        // After a failure, all are written again.
        self.is_listed = false;
        self.revision += 1;
        if !self.bus.rosters().update(self.revision, &changed).await? {
            return self.list().await;
        }
        self.is_listed = true;
        for (room, _) in &changed {
            self.bus.tell_roster(room);
        }
        Ok(())
    }

    /// Takes the changed rosters over. Returns them without those that change nothing.
    fn take_changed(&mut self) -> Vec<(RoomId, Roster)> {
        let mut changed = Vec::from_iter(self.queue.take_changed());
        changed.retain(|(room, roster)| {
            if roster.is_empty() {
                self.own.remove(room).is_some()
            } else {
                self.own.insert(room.clone(), roster.clone()).as_ref() != Some(roster)
            }
        });
        changed
    }

    async fn read_told(&mut self) -> Result<(), RosterError> {
        let (told, any) = self.queue.take_told();
        let rooms = if any {
            self.rooms.ids()
        } else {
            self.rooms.active_of(told)
        };
        self.read(&rooms).await
    }

    /// Reads the rosters of rooms, and brings them to the rooms. After a failure, all are read again.
    async fn read(&mut self, rooms: &[RoomId]) -> Result<(), RosterError> {
        for rooms in rooms.chunks(MAX_READ) {
            let read = self.bus.rosters().read(rooms).await;
            self.bring(
                rooms,
                read.inspect_err(|_| self.queue.tell(HashSet::new(), true))?,
            );
        }
        Ok(())
    }

    /// Brings rosters to their rooms. A room with a full mailbox is read once more.
    fn bring(&mut self, rooms: &[RoomId], read: Rosters) {
        let own = self.bus.rosters().server_id();
        let mut listed = HashSet::<_>::from_iter(read.servers);
        listed.retain(|server| *server != own && !self.liveness.is_gone(server));
        self.liveness.note(&listed);
        let kept = self
            .liveness
            .known()
            .filter(|server| !listed.contains(server));
        let kept = Arc::new(kept.copied().collect());
        let mut of_rooms = HashMap::<_, Vec<_>>::new();
        for (room, server, roster) in read.rosters {
            if listed.contains(&server) {
                of_rooms.entry(room).or_default().push((server, roster));
            }
        }
        for room in rooms {
            let news = RostersRead {
                rosters: of_rooms.remove(room).unwrap_or_default(),
                kept: Arc::clone(&kept),
            };
            if !self.rooms.rosters(room, news) {
                self.queue.tell([room.clone()].into(), false);
            }
        }
    }

    /// Notes a success or a failure.
    fn note(&mut self, done: &Result<(), RosterError>) {
        let was_failing = std::mem::replace(&mut self.is_failing, done.is_err());
        self.queue.set_answering(done.is_ok());
        if let Err(reason) = done {
            self.liveness.pause();
            // Rooms that come and go meanwhile must not pile up.
            if !self.take_changed().is_empty() {
                self.is_listed = false;
            }
            if was_failing {
                tracing::debug!(%reason, "presence of other servers is unknown");
            } else {
                tracing::warn!(%reason, "presence of other servers is unknown; members on this one are");
            }
        } else if was_failing {
            tracing::info!("presence of other servers is known again");
        }
    }
}
