//! The end of a room's log, as the room follows it: by what the writer says, and by reading where
//! that does not suffice.
//!
//! Each look into the log begins with the newest message that the room has had. Another one in its
//! place shows that the log went back, as after a restore, or when a database takes over that lags
//! behind.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::{
    RoomContext,
    answer::fit,
    budget::{Budget, Share},
    recent::{CAPACITY, Comparison, Recent},
};
use crate::{
    error::Error,
    model::{EncodedMessage, Message, RoomId, Seq, Stored},
    store::{Keep, Page},
};

/// The longest that a room or a joiner waits for the log.
pub const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause before a failed read is tried again.
pub const RETRY_DELAY: Duration = Duration::from_secs(1);
/// How long a room looks into the log now and then after the outcome of a write was unknown: a
/// database may still commit what nobody waits for.
pub const WATCH_PERIOD: Duration = Duration::from_secs(300);
/// The pause before the first of these looks. The pauses grow with the time that has passed, up to
/// a quarter of it.
pub const FIRST_LOOK: Duration = Duration::from_secs(1);
/// The least time between two looks because of joiners that claim to have more than the room knows
/// of, and between two because of messages that the room cannot compare any more.
const LOOK_PAUSE: Duration = Duration::from_secs(1);

/// Messages for an answer, and whether it left out older ones.
type Answer = (Vec<EncodedMessage>, bool);

/// The reason to read the log; later ones count more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Need {
    /// None: everything up to the cursor was delivered, and nothing is known to follow.
    None,
    /// There may be messages after the cursor.
    Behind,
    /// A message was stored before the cursor, and the room does not keep what it had there.
    Suspect,
    /// The log went back.
    Anew,
}

/// The time after an unknown outcome.
#[derive(Debug)]
struct Watch {
    since: Instant,
    next_look: Instant,
}

/// The end of a room's log.
pub(super) struct Tail {
    id: RoomId,
    context: Arc<RoomContext>,
    budget: Arc<Budget>,
    /// Nothing before the first successful read of the log.
    recent: Option<Recent>,
    need: Need,
    retry_at: Option<Instant>,
    watch: Option<Watch>,
    verified_at: Option<Instant>,
    /// The newest message that a joiner claimed to have, and when that was looked for.
    claim: Option<(Seq, Instant)>,
    reset: Option<Answer>,
}

impl Tail {
    pub(super) fn new(id: RoomId, context: Arc<RoomContext>, budget: Arc<Budget>) -> Self {
        Self {
            id,
            context,
            budget,
            recent: None,
            need: Need::None,
            retry_at: None,
            watch: None,
            verified_at: None,
            claim: None,
            reset: None,
        }
    }

    /// Returns the newest `seq` that was delivered; 0 before the first read of the log.
    pub(super) fn cursor(&self) -> Seq {
        self.recent.as_ref().map_or(Seq::ZERO, Recent::cursor)
    }

    /// Returns when [`Tail::keep_up`] has to be called next.
    pub(super) fn next_tick(&self) -> Option<Instant> {
        let looking = self.watch.as_ref().map(|watch| watch.next_look);
        self.retry_at.into_iter().chain(looking).min()
    }

    /// Takes what the members are to be told of a log that was read anew.
    pub(super) fn take_reset(&mut self) -> Option<Answer> {
        self.reset.take()
    }

    /// Looks into the log at the next chance.
    pub(super) fn look(&mut self) {
        self.need = self.need.max(Need::Behind);
    }

    /// Looks into the log now and for a while: a write of unknown outcome may be committed yet.
    pub(super) fn watch(&mut self) {
        let since = Instant::now();
        self.watch = Some(Watch {
            since,
            next_look: since + FIRST_LOOK,
        });
        self.look();
    }

    /// Looks into the log for a message that it is said to hold, unless the room has it.
    pub(super) fn wake(&mut self, seq: Seq) {
        if seq > self.cursor() {
            self.look();
        }
    }

    /// Delivers what the writer has stored. A message that does not follow the last one means that
    /// another process wrote in between; a repeat beyond the cursor, that its first attempt was
    /// committed without a word: the log is to be read first.
    pub(super) fn stored(&mut self, stored: Vec<Stored<EncodedMessage>>) {
        for Stored { message, duplicate } in stored {
            let Some(recent) = &self.recent else { return };
            let cursor = recent.cursor();
            if message.seq <= cursor {
                let comparison = recent.compare(message.seq, message.id);
                self.judge(comparison, duplicate);
            } else if duplicate || self.need > Need::None || message.seq != cursor.next() {
                self.look();
            } else {
                self.deliver(message);
            }
        }
    }

    /// Notices a message of the log that the room has not had.
    pub(super) fn seen(&mut self, seq: Seq, id: Uuid) {
        let Some(recent) = &self.recent else { return };
        if seq > recent.cursor() {
            self.look();
        } else if recent.compare(seq, id) == Comparison::Other {
            self.went_back();
        }
    }

    fn judge(&mut self, comparison: Comparison, duplicate: bool) {
        match comparison {
            Comparison::Other => self.went_back(),
            Comparison::Gap if !duplicate => self.went_back(),
            // A look may have brought more than is kept before the writer's word came.
            Comparison::Forgotten if !duplicate && is_past(self.verified_at) => {
                self.need = self.need.max(Need::Suspect)
            }
            Comparison::Same | Comparison::Gap | Comparison::Forgotten => {}
        }
    }

    fn went_back(&mut self) {
        if self.need < Need::Anew {
            tracing::error!(
                room = %self.id,
                cursor = self.cursor().get(),
                "the log went back: the database has lost messages that were delivered; reading the room anew"
            );
            self.need = Need::Anew;
        }
    }

    fn deliver(&mut self, message: EncodedMessage) {
        if let Some(recent) = &mut self.recent {
            self.context.fanout.message(&message);
            recent.push(message);
        }
    }

    /// Returns a joiner's answer: the newest `limit` messages after its last one.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the log cannot be read by the deadline.
    pub(super) async fn history(
        &mut self,
        last_seq: Option<Seq>,
        limit: usize,
        deadline: Instant,
    ) -> Result<Answer, Error> {
        if self.recent.is_none() || self.need == Need::Anew {
            self.load(limit, deadline).await?;
        }
        let after = last_seq.unwrap_or(Seq::ZERO);
        self.look_for(after);
        // What cannot be read now comes live, after what the joiner is told.
        self.keep_up().await;
        if let Some(newest) = self
            .recent
            .as_ref()
            .and_then(|recent| recent.newest(after, limit))
        {
            return Ok(newest);
        }
        let page = Page {
            after,
            before: self.cursor().next(),
            limit: limit + 1,
            keep: Keep::Newest,
        };
        let messages = self.read(page, deadline).await?;
        if let Some(newest) = messages.last() {
            self.seen(newest.seq, newest.id);
        }
        Ok(fit(
            messages.iter().map(EncodedMessage::from),
            limit,
            Keep::Newest,
        ))
    }

    /// Looks for a message that a joiner claims to have, unless that was done a moment ago.
    fn look_for(&mut self, claimed: Seq) {
        let looked = self
            .claim
            .is_some_and(|(seq, at)| seq >= claimed && !is_past(Some(at)));
        if claimed > self.cursor() && !looked {
            self.claim = Some((claimed, Instant::now()));
            self.look();
        }
    }

    /// Reads the newest messages, in place of those that were had before.
    async fn load(&mut self, limit: usize, deadline: Instant) -> Result<(), Error> {
        let limit = limit.max(self.context.history_limit).clamp(1, CAPACITY);
        let page = Page {
            after: Seq::ZERO,
            before: Seq::END,
            limit: limit + 1,
            keep: Keep::Newest,
        };
        let newest = self.read(page, deadline).await?;
        if self.recent.is_some() {
            self.reset = Some(fit(
                newest.iter().map(EncodedMessage::from),
                self.context.history_limit,
                Keep::Newest,
            ));
        }
        self.recent = Some(Recent::new(
            &newest,
            newest.len() <= limit,
            Share::of(self.budget.clone()),
        ));
        self.need = Need::None;
        self.retry_at = None;
        Ok(())
    }

    /// Reads the log if there is need; what fails is tried again after a pause.
    pub(super) async fn keep_up(&mut self) {
        let now = Instant::now();
        self.look_while_watching(now);
        if self.recent.is_none() || self.retry_at.is_some_and(|retry_at| now < retry_at) {
            return;
        }
        let deadline = now + READ_TIMEOUT;
        while self.need > Need::None {
            let read = match self.need {
                Need::Anew => self.load(0, deadline).await,
                _ => self.catch_up(deadline).await,
            };
            if read.is_err() {
                self.retry_at = Some(Instant::now() + RETRY_DELAY);
                return;
            }
        }
        self.retry_at = None;
    }

    fn look_while_watching(&mut self, now: Instant) {
        let Some(watch) = self.watch.as_mut().filter(|watch| watch.next_look <= now) else {
            return;
        };
        let passed = now - watch.since;
        watch.next_look = now + FIRST_LOOK.max(passed / 4);
        if passed > WATCH_PERIOD {
            self.watch = None;
        }
        self.look();
    }

    /// Delivers what the log holds after the cursor, or a part of it.
    async fn catch_up(&mut self, deadline: Instant) -> Result<(), Error> {
        let cursor = self.cursor();
        let page = Page {
            after: cursor.previous(),
            before: Seq::END,
            limit: CAPACITY + 1,
            keep: Keep::Oldest,
        };
        let messages = self.read(page, deadline).await?;
        if !self.goes_on(messages.first()) {
            self.went_back();
            return Ok(());
        }
        self.verified_at = Some(Instant::now());
        self.need = if messages.len() > CAPACITY {
            Need::Behind
        } else {
            Need::None
        };
        for message in messages.iter().filter(|message| message.seq > cursor) {
            self.deliver(message.into());
        }
        Ok(())
    }

    /// Returns whether the log goes on from what was delivered, by the first of its messages from
    /// the cursor on. The one at the cursor may have been removed by hand.
    fn goes_on(&self, first: Option<&Message>) -> bool {
        let Some(recent) = &self.recent else {
            return true;
        };
        match first {
            Some(first) if first.seq == recent.cursor() => {
                recent.compare(first.seq, first.id) == Comparison::Same
            }
            Some(_) => true,
            None => self.need < Need::Suspect,
        }
    }

    async fn read(&self, page: Page, deadline: Instant) -> Result<Vec<Message>, Error> {
        let reading = self.context.store.read(&self.id, page);
        match timeout_at(deadline, reading).await {
            Ok(Ok(messages)) => Ok(messages),
            Ok(Err(cause)) => Err(cause.into()),
            Err(_) => Err(Error::Unavailable),
        }
    }
}

/// Returns whether a time is far enough in the past for the next look.
fn is_past(time: Option<Instant>) -> bool {
    time.is_none_or(|time| time.elapsed() >= LOOK_PAUSE)
}
