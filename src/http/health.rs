//! Health checks: `/healthz` decides on restarts of the process, `/readyz` on its traffic.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// The time limit for the database's answer to a readiness probe.
pub const READY_TIMEOUT: Duration = Duration::from_secs(2);

/// The time in which an answer of the database serves further probes, too.
pub const MAX_ANSWER_AGE: Duration = Duration::from_secs(1);

/// A ping of the database; true if the database answered it.
pub type Ping = Pin<Box<dyn Future<Output = bool> + Send>>;

/// The conditions under which this node is ready for traffic.
#[derive(Clone)]
pub struct Readiness {
    /// Pings the database.
    pub ping_database: Arc<dyn Fn() -> Ping + Send + Sync>,
    /// Returns true while messages are stored.
    pub is_storing: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Returns false while the bus to other servers may lose reports; none without a bus.
    pub is_bus_well: Option<Arc<dyn Fn() -> bool + Send + Sync>>,
    /// Cancelled when the tables are up to date.
    pub migrated: CancellationToken,
    /// Cancelled when the server stops.
    pub stopping: CancellationToken,
}

impl Readiness {
    /// Returns the answer of a node that is ready. The bus's state is told, and is no obstacle: the
    /// node finds other servers' messages in the log.
    fn answer(&self) -> &'static str {
        match self.is_bus_well.as_ref().map(|is_well| is_well()) {
            None => "ready\n",
            Some(true) => "ready\nbus: ok\n",
            Some(false) => "ready\nbus: degraded\n",
        }
    }
}

/// The outcome of a ping, and the time when it ended.
type Answer = Option<(Instant, bool)>;

/// The latest ping of the database, shared by all probes.
#[derive(Default)]
struct LatestPing(Mutex<Option<SharedPing>>);

struct SharedPing {
    answer: watch::Receiver<Answer>,
    /// Ends with the server, at the latest.
    _task: AbortOnDropHandle<()>,
}

impl SharedPing {
    fn spawn(ping: Ping) -> Self {
        let (sender, answer) = watch::channel(None);
        let task = tokio::spawn(async move {
            let is_good = ping.await;
            sender.send_replace(Some((Instant::now(), is_good)));
        });
        Self {
            answer,
            _task: AbortOnDropHandle::new(task),
        }
    }

    /// Returns true if the answer is outstanding, or recent.
    fn is_fresh(&self) -> bool {
        self.answer
            .borrow()
            .is_none_or(|(at, _)| at.elapsed() < MAX_ANSWER_AGE)
    }
}

impl LatestPing {
    /// Pings the database, unless a ping is in flight or has just been answered. Returns false if
    /// there is no answer in time.
    async fn wait_for_answer(&self, ready: &Readiness) -> bool {
        let mut answer = {
            let mut latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let ping = latest
                .take()
                .filter(SharedPing::is_fresh)
                .unwrap_or_else(|| SharedPing::spawn((ready.ping_database)()));
            latest.insert(ping).answer.clone()
        };
        let answered = timeout(READY_TIMEOUT, answer.wait_for(Option::is_some)).await;
        answered.is_ok_and(|answer| answer.is_ok_and(|answer| answer.is_some_and(|(_, good)| good)))
    }
}

/// Routes to both checks.
pub(super) fn routes(ready: Readiness) -> Router {
    let readiness = get(readyz).with_state(Arc::new((ready, LatestPing::default())));
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", readiness)
}

async fn readyz(State(state): State<Arc<(Readiness, LatestPing)>>) -> (StatusCode, &'static str) {
    let (ready, ping) = &*state;
    let obstacle = if ready.stopping.is_cancelled() {
        "stopping\n"
    } else if !ready.migrated.is_cancelled() {
        "waiting for the database\n"
    } else if !(ready.is_storing)() {
        "the database takes no messages\n"
    } else if !ping.wait_for_answer(ready).await {
        "the database does not answer\n"
    } else {
        return (StatusCode::OK, ready.answer());
    };
    (StatusCode::SERVICE_UNAVAILABLE, obstacle)
}
