//! Moderation: a program beside the server that is asked about each message before it is stored.
//!
//! The program allows the message, refuses it or changes it. Questions are asked side by side, and the
//! messages of one sender are stored in the order in which they were sent all the same: each has a
//! [`Place`] in its sender's [`Line`]. Senders wait only for themselves.
//!
//! A program that fails is not asked twice about a message. By a setting, the message is then refused
//! with [`Error::Unavailable`], and its sender tries again, or it is let through.

mod line;
mod question;
mod verdict;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::Utc;
use hyper::StatusCode;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};
use uuid::Uuid;

use self::verdict::Verdict;
pub use self::{
    line::{Line, MAX_ASKED, Place},
    question::Question,
    verdict::Replacement,
};
use crate::{
    error::Error,
    metrics,
    outbound::{HttpClient, Post, Reply, Secrets, Target},
};

/// The time limit of a question, from its place among its sender's [`MAX_ASKED`] to the end of its answer.
pub const TIME_LIMIT: Duration = Duration::from_secs(2);
/// The time without a failure after which the program counts as well: the log has a line for the begin and
/// the end of such a time, and none for each message.
const CALM: Duration = Duration::from_secs(10);
/// The most questions of a node in flight.
pub const MAX_IN_FLIGHT: usize = 128;
/// The most bytes of messages of a node that wait for their verdicts.
const WAITING_BYTES: usize = 32 * 1024 * 1024;

/// The most bytes of JSON for one byte of text: `\u00XX`.
const MAX_ESCAPED_BYTES: usize = 6;
/// The bytes of an answer beside a changed text, above all metadata.
const ANSWER_OVERHEAD_BYTES: usize = 32 * 1024;

/// The settings of moderation.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The program's URL.
    pub target: Target,
    /// The keys of the signatures; none for questions without signatures.
    pub secrets: Option<Secrets>,
    /// True when the program may have an address of this host or of a private network.
    pub allow_private: bool,
    /// True when messages are let through while the program fails.
    pub fails_open: bool,
    /// The most bytes of UTF-8 in a message.
    pub max_message_bytes: usize,
}

/// The program that is asked about messages.
pub struct Moderation {
    settings: Settings,
    client: HttpClient,
    in_flight: Semaphore,
    waiting: Arc<Semaphore>,
    /// The time of the last failure; none once [`CALM`] has passed.
    failed_at: Mutex<Option<Instant>>,
    metrics: metrics::Moderation,
}

impl Moderation {
    /// Creates the client of the program, without a connection yet.
    pub fn new(settings: Settings, metrics: metrics::Moderation) -> Self {
        let max_answer = settings.max_message_bytes * MAX_ESCAPED_BYTES + ANSWER_OVERHEAD_BYTES;
        Self {
            client: HttpClient::new(settings.allow_private, TIME_LIMIT, max_answer),
            settings,
            in_flight: Semaphore::new(MAX_IN_FLIGHT),
            waiting: Arc::new(Semaphore::new(WAITING_BYTES)),
            failed_at: Mutex::default(),
            metrics,
        }
    }

    /// Takes a place in a sender's line, for a message of so many bytes.
    ///
    /// # Errors
    ///
    /// [`Error::RateLimited`] when too many messages of the sender wait, [`Error::Unavailable`] when too
    /// many of the node do.
    pub fn enter(&self, line: &Line, bytes: usize) -> Result<Place, Error> {
        let waiting = self.waiting.clone();
        let waiting = waiting.try_acquire_many_owned(line::cost(bytes));
        line.enter(bytes, waiting.map_err(|_| Error::Unavailable)?)
    }

    /// Asks about a message. Returns the content to store instead, if it is changed. At most [`MAX_ASKED`]
    /// questions of a line are in flight; the others wait, each for [`TIME_LIMIT`] at most.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] for a refused message, with the program's reason; [`Error::Unavailable`] when
    /// the program fails closed, and for too many messages of one sender: those are never let through.
    pub async fn ask(
        &self,
        place: &Place,
        question: &Question<'_>,
    ) -> Result<Option<Replacement>, Error> {
        let asking = timeout(TIME_LIMIT, place.asking()).await;
        let _asking = asking.map_err(|_| Error::Unavailable)?;
        let begun = Instant::now();
        let asked = timeout(TIME_LIMIT, self.exchange(question)).await;
        let answer = asked.unwrap_or_else(|_| Err(format!("no answer within {TIME_LIMIT:?}")));
        let verdict = answer.and_then(|reply| self.read(&reply));
        self.note(&verdict, begun.elapsed());
        match verdict {
            Ok(Verdict::Allowed) => Ok(None),
            Ok(Verdict::Changed(replacement)) => Ok(Some(replacement)),
            Ok(Verdict::Refused(reason)) => Err(Error::Forbidden(reason)),
            Err(_) if self.settings.fails_open => Ok(None),
            Err(_) => Err(Error::Unavailable),
        }
    }

    async fn exchange(&self, question: &Question<'_>) -> Result<Reply, String> {
        let _one_of_few = self.in_flight.acquire().await;
        let (id, now) = (Uuid::now_v7().to_string(), Utc::now());
        let (timestamp, body) = (now.timestamp(), question.json(now));
        let secrets = self.settings.secrets.as_ref();
        let post = Post {
            signature: secrets.map(|secrets| secrets.sign(&id, timestamp, &body)),
            id,
            timestamp,
            body,
        };
        self.client.post(&self.settings.target, post).await
    }

    /// Reads a verdict. Any other answer than 200 and 204 is a failure.
    fn read(&self, reply: &Reply) -> Result<Verdict, String> {
        match (reply.status, &reply.body) {
            (StatusCode::NO_CONTENT, _) => Ok(Verdict::Allowed),
            (StatusCode::OK, Some(body)) => Verdict::parse(body, self.settings.max_message_bytes),
            (StatusCode::OK, None) => Err("the answer is too long or breaks off".into()),
            (status, _) => Err(format!("status {}", status.as_u16())),
        }
    }

    /// Counts a verdict, and logs the begin and the end of failures.
    fn note(&self, verdict: &Result<Verdict, String>, time: Duration) {
        let result = match verdict {
            Ok(Verdict::Allowed) => metrics::ALLOWED,
            Ok(Verdict::Changed(_)) => metrics::CHANGED,
            Ok(Verdict::Refused(_)) => metrics::REFUSED,
            Err(_) => metrics::FAILED,
        };
        self.metrics.note(result, time);
        let target = &self.settings.target;
        let mut failed_at = self
            .failed_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match verdict {
            Err(reason) => {
                if failed_at.replace(Instant::now()).is_none() {
                    let open = self.settings.fails_open;
                    tracing::warn!(%target, reason, open, "moderation fails");
                }
            }
            Ok(_) => {
                if failed_at.take_if(|at| at.elapsed() >= CALM).is_some() {
                    tracing::info!(%target, "moderation answers again");
                }
            }
        }
    }
}
