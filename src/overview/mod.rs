//! The state of the whole chat in figures, for administrators: its servers, its busiest rooms, the
//! database, the bus and the receivers of webhooks.
//!
//! All figures are counters that exist anyway; nothing looks at sockets one by one. An overview is read
//! at most once a second, however many administrators ask.

mod receivers;

use std::{cmp::Reverse, collections::HashMap, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use self::receivers::Receiver;
use crate::{
    bus::Bus,
    metrics,
    model::{MAX_BUSIEST, NodeReport, PoolLoad, RoomLoad},
    room::{Rooms, Survey},
    store::MessageStore,
    writer::Writer,
};

/// The most servers in an overview; their number is told anyway.
pub const MAX_NODES: usize = 64;
/// The most receivers of webhooks in an overview.
pub const MAX_RECEIVERS: usize = 32;

/// The time for which an overview serves further requests, too.
pub const MAX_AGE: Duration = Duration::from_secs(1);
/// The same for the receivers of webhooks: the database counts what they have not got.
pub const MAX_RECEIVERS_AGE: Duration = Duration::from_secs(10);

/// The longest wait for the database.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(2);

/// The parts of a server whose figures an overview has.
pub struct Sources {
    /// The active rooms, with the way to the other servers' figures.
    pub rooms: Rooms,
    /// The writer's queue.
    pub writer: Writer,
    /// The database.
    pub store: Arc<dyn MessageStore>,
    /// The database's name: postgres or sqlite.
    pub database: &'static str,
    /// The way to the other servers; none on a single server.
    pub bus: Option<Arc<dyn Bus>>,
    /// The name of the bus's engine.
    pub bus_mode: &'static str,
    /// The figures of the sockets.
    pub realtime: metrics::Realtime,
    /// The figures of the API.
    pub api: metrics::Api,
    /// The figures of the rooms.
    pub rooms_metrics: metrics::Rooms,
    /// Cancelled once the tables are up to date.
    pub migrated: CancellationToken,
}

/// The reader of overviews.
pub struct Overview {
    sources: Sources,
    id: Uuid,
    started_at: DateTime<Utc>,
    latest: Mutex<Latest>,
}

/// The latest answers.
#[derive(Default)]
struct Latest {
    state: Option<(Instant, Arc<State>)>,
    receivers: Option<(Instant, Option<Vec<Receiver>>)>,
}

/// A server with its figures.
#[derive(Debug, Clone)]
pub struct Node {
    /// The server.
    pub id: Uuid,
    /// Its figures; none when it did not answer in time.
    pub report: Option<NodeReport>,
}

/// The state of the chat.
#[derive(Debug)]
pub struct State {
    /// The time of the figures.
    pub at: DateTime<Utc>,
    /// The number of servers.
    pub node_count: usize,
    /// The servers, at most [`MAX_NODES`]: first the one that was asked, then those that answered.
    pub nodes: Vec<Node>,
    /// The sums over all servers that answered.
    pub totals: Totals,
    /// The active rooms with the most members, at most [`MAX_BUSIEST`].
    pub rooms: Vec<RoomLoad>,
    /// The database's name.
    pub database: &'static str,
    /// True when the database answers, and messages are stored.
    pub is_database_well: bool,
    /// The name of the bus's engine.
    pub bus_mode: &'static str,
    /// False while reports of other servers may get lost.
    pub is_bus_well: bool,
    /// The receivers of webhooks; none when the database did not tell them.
    pub receivers: Option<Vec<Receiver>>,
}

/// The sums over all servers that answered.
#[derive(Debug, Clone, Copy, Default)]
pub struct Totals {
    /// The Socket.IO clients.
    pub connections: usize,
    /// The streams of server-sent events.
    pub streams: usize,
    /// The users present in rooms, once for each room and server.
    pub members: usize,
    /// The messages and changes that wait to be stored.
    pub queue_entries: usize,
}

impl Overview {
    /// Creates the reader. It answers the other servers, too.
    pub fn new(sources: Sources) -> Arc<Self> {
        let bus = sources.bus.as_ref();
        let overview = Arc::new(Self {
            id: bus.map_or_else(Uuid::now_v7, |bus| bus.rosters().server_id().0),
            started_at: Utc::now(),
            latest: Mutex::default(),
            sources,
        });
        // The rooms must not keep what keeps the rooms.
        let weak = Arc::downgrade(&overview);
        let reporter = move || weak.upgrade().map(|overview| overview.report());
        overview.sources.rooms.report_by(reporter);
        overview
    }

    /// Returns the state of the chat, a second old at most.
    pub async fn state(&self) -> Arc<State> {
        let mut latest = self.latest.lock().await;
        if let Some((at, state)) = &latest.state
            && at.elapsed() < MAX_AGE
        {
            return state.clone();
        }
        let (survey, is_answering, ()) = tokio::join!(
            self.sources.rooms.survey(),
            self.is_database_answering(),
            self.read_receivers(&mut latest.receivers),
        );
        let receivers = latest.receivers.as_ref();
        let receivers = receivers.and_then(|(_, receivers)| receivers.clone());
        let state = Arc::new(self.put_together(survey, is_answering, receivers));
        latest.state = Some((Instant::now(), state.clone()));
        state
    }

    fn put_together(
        &self,
        survey: Survey,
        is_answering: bool,
        receivers: Option<Vec<Receiver>>,
    ) -> State {
        let own = self.report();
        let (is_storing, is_bus_well) = (own.is_storing, own.is_bus_well);
        let mut nodes = nodes((self.id, own), survey);
        let reports = || nodes.iter().filter_map(|node| node.report.as_ref());
        let (totals, rooms) = (sum(reports()), busiest(reports()));
        let node_count = nodes.len();
        nodes.truncate(MAX_NODES);
        State {
            at: Utc::now(),
            node_count,
            nodes,
            totals,
            rooms,
            database: self.sources.database,
            is_database_well: is_answering && is_storing,
            bus_mode: self.sources.bus_mode,
            is_bus_well,
            receivers,
        }
    }

    /// Returns the figures of this server.
    fn report(&self) -> NodeReport {
        let sources = &self.sources;
        let connections = sources.store.connections();
        NodeReport {
            version: env!("CARGO_PKG_VERSION").into(),
            started_at: self.started_at,
            connections: metrics::reading(&sources.realtime.clients),
            streams: metrics::reading(&sources.api.streams),
            members: metrics::reading(&sources.rooms_metrics.members),
            rooms: sources.rooms.count(),
            messages: sources.realtime.sends.stored(),
            queue_entries: sources.writer.queued(),
            queue_bytes: sources.writer.queued_bytes(),
            is_storing: sources.migrated.is_cancelled() && sources.writer.health().is_good(),
            is_bus_well: sources.bus.as_ref().is_none_or(|bus| bus.is_well()),
            pool: PoolLoad {
                open: connections.open,
                in_use: connections.in_use(),
                max: connections.max,
            },
            busiest: sources.rooms.busiest(MAX_BUSIEST),
        }
    }

    async fn is_database_answering(&self) -> bool {
        let ping = timeout(DATABASE_TIMEOUT, self.sources.store.ping());
        matches!(ping.await, Ok(Ok(())))
    }

    /// Reads the receivers of webhooks, unless that was done a moment ago.
    async fn read_receivers(&self, latest: &mut Option<(Instant, Option<Vec<Receiver>>)>) {
        let is_fresh = |at: &Instant| at.elapsed() < MAX_RECEIVERS_AGE;
        if latest.as_ref().is_some_and(|(at, _)| is_fresh(at)) {
            return;
        }
        let receivers = match self.sources.store.webhooks() {
            None => Some(vec![]),
            Some(store) => {
                let statuses = timeout(DATABASE_TIMEOUT, store.statuses()).await;
                let statuses = statuses.ok().and_then(Result::ok);
                statuses.map(receivers::listed)
            }
        };
        *latest = Some((Instant::now(), receivers));
    }
}

/// Puts the server that was asked first, then those that answered, the oldest first.
fn nodes((id, own): (Uuid, NodeReport), survey: Survey) -> Vec<Node> {
    let mut others: Vec<_> = survey.reports;
    others.sort_by_key(|(id, report)| (report.started_at, *id));
    let answered = [(id, own)].into_iter().chain(others);
    let answered = answered.map(|(id, report)| (id, Some(report)));
    let silent = survey.silent.into_iter().map(|id| (id, None));
    let nodes = answered.chain(silent);
    nodes.map(|(id, report)| Node { id, report }).collect()
}

fn sum<'a>(reports: impl Iterator<Item = &'a NodeReport>) -> Totals {
    reports.fold(Totals::default(), |sum, report| Totals {
        connections: sum.connections + report.connections,
        streams: sum.streams + report.streams,
        members: sum.members + report.members,
        queue_entries: sum.queue_entries + report.queue_entries,
    })
}

/// Merges the busiest rooms of all servers. Each server counts the members on all of them, so the largest
/// count is the latest one that is complete.
fn busiest<'a>(reports: impl Iterator<Item = &'a NodeReport>) -> Vec<RoomLoad> {
    let mut rooms = HashMap::<_, RoomLoad>::new();
    for room in reports.flat_map(|report| &report.busiest) {
        let known = rooms.entry(&room.room_id).or_insert_with(|| room.clone());
        known.members = known.members.max(room.members);
        known.last_seq = known.last_seq.max(room.last_seq);
    }
    let mut rooms: Vec<_> = rooms.into_values().collect();
    rooms.sort_by_cached_key(|room| (Reverse(room.members), room.room_id.clone()));
    rooms.truncate(MAX_BUSIEST);
    rooms
}
