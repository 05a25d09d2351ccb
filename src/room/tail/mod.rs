//! The end of a room's log, as the room follows it: by the writer's reports, and by reading where
//! these do not suffice.
//!
//! Each look into the log begins with the newest message that the room had when the need for it
//! arose. Another message in its place shows that the log went back, as after a restore, or when a
//! database takes over that lags behind.
//!
//! A read goes on beside the room's task, one at a time. Reports that come meanwhile are delivered
//! if they follow the room's newest message; otherwise the room notes how far they reach, and reads
//! on if the page does not reach as far.

mod need;
mod reads;

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use uuid::Uuid;

use self::need::{Mark, Need, Purpose};
use super::{
    answer::Answer,
    budget::Budget,
    context::RoomContext,
    reading::Reading,
    recent::{Comparison, Hold, Older, Recent},
    watch::Watch,
};
use crate::{
    model::{EncodedMessage, RoomId, Seq, Stored},
    store::{Keep, Page},
};

/// The least time between two looks because of joiners that claim to have more than the room knows
/// of, and between two because of messages that the room cannot compare any more.
const LOOK_PAUSE: Duration = Duration::from_secs(1);

/// A joiner's history.
pub(super) enum History {
    /// Its messages.
    Answer(Answer),
    /// The page that the joiner has to read first, as memory does not reach so far.
    Read(Page, Hold),
}

/// The end of a room's log.
pub(super) struct Tail {
    id: RoomId,
    context: Arc<RoomContext>,
    budget: Arc<Budget>,
    /// None before the first successful read of the log.
    recent: Option<Recent>,
    /// The need that has arisen since the read under way began.
    need: Need,
    /// The newest message that was reported since then.
    reported: Seq,
    /// The room's newest message when the need arose; the next read begins with it.
    mark: Option<Mark>,
    reading: Option<Reading<Purpose>>,
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
            reported: Seq::ZERO,
            mark: None,
            reading: None,
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

    /// Returns when [`Tail::keep_up`] has to be called next; the end of a read is told by
    /// [`Tail::read`].
    pub(super) fn next_tick(&self) -> Option<Instant> {
        if self.reading.is_some() {
            return None;
        }
        let retry_at = self.retry_at.filter(|_| self.need() > Need::None);
        let looking = self.watch.as_ref().map(Watch::next_look);
        retry_at.into_iter().chain(looking).min()
    }

    /// Takes what the members are to be told of a log that was read anew.
    pub(super) fn take_reset(&mut self) -> Option<Answer> {
        self.reset.take()
    }

    /// Looks into the log at the next chance.
    pub(super) fn look(&mut self) {
        self.require(Need::Behind);
    }

    /// Looks into the log now and for a while: a write of unknown outcome may be committed yet.
    pub(super) fn watch(&mut self) {
        self.watch = Some(Watch::begin());
        self.look();
    }

    /// Looks into the log for a message that it is said to hold, unless the room has it.
    pub(super) fn wake(&mut self, seq: Seq) {
        self.reported = self.reported.max(seq);
        self.set_mark();
    }

    /// Delivers what the writer has stored. A message that does not follow the last one means that
    /// another process wrote in between; a repeat beyond the cursor, that its first attempt was
    /// committed without a word: the log is to be read first.
    pub(super) fn stored(&mut self, stored: Vec<Stored<EncodedMessage>>) {
        for Stored { message, duplicate } in stored {
            let Some(recent) = self.recent.as_ref().filter(|_| !self.is_loading()) else {
                self.wake(message.seq);
                continue;
            };
            let cursor = recent.cursor();
            if message.seq <= cursor {
                let comparison = recent.compare(message.seq, message.id);
                self.judge(comparison, duplicate);
            } else if duplicate || !self.is_trusted() || message.seq != cursor.next() {
                self.wake(message.seq);
            } else {
                self.deliver(message);
            }
        }
    }

    /// Notices a message of the log that the room has not had.
    pub(super) fn seen(&mut self, seq: Seq, id: Uuid) {
        match &self.recent {
            Some(recent) if seq <= recent.cursor() && !self.is_loading() => {
                if recent.compare(seq, id) == Comparison::Other {
                    self.went_back();
                }
            }
            _ => self.wake(seq),
        }
    }

    fn judge(&mut self, comparison: Comparison, duplicate: bool) {
        match comparison {
            Comparison::Other => self.went_back(),
            Comparison::Gap if !duplicate => self.went_back(),
            // A look may have brought more than is kept before the writer's word came.
            Comparison::Forgotten if !duplicate && is_past(self.verified_at) => {
                self.require(Need::Suspect);
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
            self.require(Need::Anew);
        }
    }

    fn require(&mut self, need: Need) {
        self.need = self.need.max(need);
        self.set_mark();
    }

    /// Marks the room's newest message, unless one was marked when an earlier need arose.
    fn set_mark(&mut self) {
        if self.mark.is_none() && self.need() > Need::None {
            self.mark = self.newest();
        }
    }

    fn newest(&self) -> Option<Mark> {
        self.recent.as_ref().map(|recent| Mark {
            seq: recent.cursor(),
            id: recent.newest_id(),
        })
    }

    fn need(&self) -> Need {
        if self.reported > self.cursor() {
            self.need.max(Need::Behind)
        } else {
            self.need
        }
    }

    /// Returns true while the log is not suspected to have gone back.
    fn is_trusted(&self) -> bool {
        let reading = match self.purpose() {
            Some(Purpose::CatchUp(_, need)) => need,
            Some(Purpose::Load) => Need::Anew,
            None => Need::None,
        };
        self.need.max(reading) <= Need::Behind
    }

    /// Returns true while the room's messages are to be read anew, or are read.
    fn is_loading(&self) -> bool {
        self.need == Need::Anew || matches!(self.purpose(), Some(Purpose::Load))
    }

    /// Returns true when the room's messages are in memory and are those of the log.
    pub(super) fn is_loaded(&self) -> bool {
        self.recent.is_some() && !self.is_loading()
    }

    fn deliver(&mut self, message: EncodedMessage) {
        if let Some(recent) = &mut self.recent {
            self.context.fanout.message(&message);
            recent.push(message);
        }
        if self.need() == Need::None {
            self.mark = None;
        }
    }

    /// Returns true while a read is under way.
    pub(super) fn is_reading(&self) -> bool {
        self.reading.is_some()
    }

    fn purpose(&self) -> Option<Purpose> {
        self.reading.as_ref().map(Reading::purpose)
    }

    /// Looks for a message that a joiner claims to have, unless that was done a moment ago.
    pub(super) fn look_for(&mut self, claimed: Seq) {
        let looked = self
            .claim
            .is_some_and(|(seq, at)| seq >= claimed && !is_past(Some(at)));
        if claimed > self.cursor() && !looked {
            self.claim = Some((claimed, Instant::now()));
            self.wake(claimed);
        }
    }

    /// Returns a joiner's history: the newest `limit` messages after its last one. Returns none when
    /// the log cannot be read.
    pub(super) fn history(
        &mut self,
        last_seq: Option<Seq>,
        limit: usize,
        older: Option<Older>,
    ) -> Option<History> {
        if self.is_loading() {
            return None;
        }
        let recent = self.recent.as_mut()?;
        let after = last_seq.unwrap_or(Seq::ZERO);
        let answer = recent
            .newest(after, limit)
            .or_else(|| recent.newest_with(older?, limit));
        Some(answer.map_or_else(
            || {
                let page = Page {
                    after,
                    before: recent.cursor().next(),
                    limit: limit + 1,
                    keep: Keep::Newest,
                };
                History::Read(page, recent.hold())
            },
            History::Answer,
        ))
    }
}

/// Returns true when a time is far enough in the past for the next look.
fn is_past(time: Option<Instant>) -> bool {
    time.is_none_or(|time| time.elapsed() >= LOOK_PAUSE)
}
