//! Health, for whoever restarts the process or sends it traffic.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{store::MessageStore, writer::Health};

/// How long the database may take to answer a readiness probe.
pub const READY_TIMEOUT: Duration = Duration::from_secs(2);

/// The age up to which the database's answer to a probe serves another one.
pub const MAX_ANSWER_AGE: Duration = Duration::from_secs(1);

/// What decides whether this node should get traffic.
#[derive(Clone)]
pub struct Readiness {
    /// The database.
    pub store: Arc<dyn MessageStore>,
    /// Whether messages are stored.
    pub writing: Health,
    /// Cancelled when the tables are up to date.
    pub migrated: CancellationToken,
    /// Cancelled when the server stops.
    pub stopping: CancellationToken,
}

/// An answer of the database: when it came, and whether it was a good one.
type Answer = Option<(Instant, bool)>;

/// The question to the database, asked once at a time and for all who want to know.
#[derive(Default)]
struct Question(Mutex<Option<Asked>>);

struct Asked {
    answer: watch::Receiver<Answer>,
    /// Ends with the server, at the latest.
    _asking: AbortOnDropHandle<()>,
}

impl Asked {
    fn now(store: Arc<dyn MessageStore>) -> Self {
        let (sender, answer) = watch::channel(None);
        let asking = tokio::spawn(async move {
            let good = store.ping().await.is_ok();
            sender.send_replace(Some((Instant::now(), good)));
        });
        Self {
            answer,
            _asking: AbortOnDropHandle::new(asking),
        }
    }

    /// Tells whether the answer is still to come, or has just come.
    fn is_fresh(&self) -> bool {
        self.answer
            .borrow()
            .is_none_or(|(at, _)| at.elapsed() < MAX_ANSWER_AGE)
    }
}

impl Question {
    /// Asks the database, unless it is being asked or has just answered; false when it does not
    /// answer in time.
    async fn ask(&self, store: &Arc<dyn MessageStore>) -> bool {
        let mut answer = {
            let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let fresh = asked
                .take()
                .filter(Asked::is_fresh)
                .unwrap_or_else(|| Asked::now(store.clone()));
            asked.insert(fresh).answer.clone()
        };
        let answered = timeout(READY_TIMEOUT, answer.wait_for(Option::is_some)).await;
        answered.is_ok_and(|answer| answer.is_ok_and(|answer| answer.is_some_and(|(_, good)| good)))
    }
}

/// The routes of both kinds of health.
pub(super) fn routes(ready: Readiness) -> Router {
    let readiness = get(readyz).with_state(Arc::new((ready, Question::default())));
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", readiness)
}

async fn readyz(State(state): State<Arc<(Readiness, Question)>>) -> (StatusCode, &'static str) {
    let (ready, database) = &*state;
    if ready.stopping.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    }
    if !ready.migrated.is_cancelled() {
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            "waiting for the database\n",
        );
    }
    if !ready.writing.is_good() {
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            "the database takes no messages\n",
        );
    }
    if database.ask(&ready.store).await {
        (StatusCode::OK, "ready\n")
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "the database does not answer\n",
        )
    }
}
