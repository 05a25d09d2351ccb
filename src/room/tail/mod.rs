//! The end of a room's log, followed by the writer's reports and, where these leave a gap, by
//! reading.
//!
//! Each read begins with the room's newest message at the time the need arose. If the log has
//! another message in its place, the log went back: after a restore, or when a lagging replica took
//! over.
//!
//! At most one read is in flight, beside the room's task. Reports during a read are delivered if
//! they follow the newest message. Otherwise the room notes the highest `seq`, and reads on if the
//! page ends before it.

mod changes;
mod missed;
mod need;
mod reads;
mod settings;
mod telling;

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use uuid::Uuid;

pub(super) use self::missed::{FromLog, Missed};
pub use self::missed::{Known, MAX_BEHIND, MAX_CHANGES};
use self::{
    changes::Changes,
    need::{Mark, Need, Purpose},
    telling::{Telling, Told},
};
use super::{
    answer::{self, Answer},
    budget::Budget,
    context::RoomContext,
    reading::Reading,
    recent::{Comparison, Hold, Recent},
    watch::Watch,
};
use crate::{
    model::{EncodedMessage, Revised, Revision, RoomId, RoomInfo, RoomSettings, Seq, Stored},
    store::{Keep, Page},
};

/// The least time between two looks for messages claimed by joiners, and between two because of
/// messages too old to be compared.
const LOOK_PAUSE: Duration = Duration::from_secs(1);

/// A joiner's history.
pub(super) enum History {
    /// The answer, from memory.
    Answer(Answer, Missed),
    /// The page the joiner has to read first, as memory does not reach far enough.
    Read(Page, Hold, Revision),
}

/// The end of a room's log.
pub(super) struct Tail {
    id: RoomId,
    context: Arc<RoomContext>,
    budget: Arc<Budget>,
    /// None before the first successful read.
    recent: Option<Recent>,
    /// The need since the last read began.
    need: Need,
    /// The newest message reported since then.
    reported: Seq,
    /// The room's newest message when the need arose, and the start of the next read.
    mark: Option<Mark>,
    reading: Option<Reading<Purpose>>,
    retry_at: Option<Instant>,
    watch: Option<Watch>,
    verified_at: Option<Instant>,
    changes: Changes,
    telling: Telling,
    /// None when nobody created the room.
    settings: Option<RoomSettings>,
    /// The settings that the members know.
    told: Option<RoomInfo>,
    /// The newest message claimed by a joiner, and the time of the look for it.
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
            changes: Changes::default(),
            telling: Telling::default(),
            settings: None,
            told: None,
            claim: None,
            reset: None,
        }
    }

    /// Returns the newest delivered `seq`; 0 before the first read.
    pub(super) fn cursor(&self) -> Seq {
        self.recent.as_ref().map_or(Seq::ZERO, Recent::cursor)
    }

    /// Returns the newest delivered message and change; none while memory has no messages of the
    /// log.
    pub(super) fn loaded_cursors(&self) -> Option<(Seq, Revision)> {
        self.is_loaded().then(|| (self.cursor(), self.revision()))
    }

    /// Returns the time of the next [`Tail::keep_up`]; none while [`Tail::read`] is in flight.
    pub(super) fn next_tick(&self) -> Option<Instant> {
        if self.reading.is_some() {
            return None;
        }
        let is_behind = self.need() > Need::None || self.changes.missing().is_some();
        let retry_at = self.retry_at.filter(|_| is_behind);
        let looking = self.watch.as_ref().map(Watch::next_look);
        retry_at.into_iter().chain(looking).min()
    }

    /// Takes the messages for the members of a log that was read anew.
    pub(super) fn take_reset(&mut self) -> Option<Answer> {
        self.reset.take()
    }

    /// Asks for a look into the log.
    pub(super) fn look(&mut self) {
        self.require(Need::Behind);
    }

    /// Asks for a look into the log and for changes, after reports were missed.
    pub(super) fn look_for_all(&mut self) {
        self.look();
        self.changes.look();
    }

    /// Asks for a comparison with the log, which seems to have gone back.
    pub(super) fn suspect(&mut self) {
        self.require(Need::Suspect);
    }

    /// Asks to read the room anew: its log is known to have gone back.
    pub(super) fn read_anew(&mut self) {
        self.went_back();
    }

    /// Asks for looks into the log now and for a while, after a commit of unknown outcome.
    pub(super) fn watch(&mut self) {
        self.watch = Some(Watch::begin());
        self.look_for_all();
    }

    /// Takes a report that the log has reached `seq`; asks for a look if the room has not.
    pub(super) fn wake(&mut self, seq: Seq) {
        self.reported = self.reported.max(seq);
        self.set_mark();
    }

    /// Delivers messages the writer has stored. A gap before a message means that another process
    /// wrote; a repeat beyond the cursor, that its first attempt was committed unreported. In both
    /// cases the log is read first.
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

    /// Takes a report that the room's changes have reached a revision.
    pub(super) fn wake_to_change(&mut self, revision: Revision) {
        self.changes.report(revision);
    }

    /// Delivers the changes of one commit. A gap before them means that another process wrote: then
    /// the changes are read.
    pub(super) fn revised(&mut self, revised: Revised<EncodedMessage>) {
        let last = revised.last(|message| message.revision);
        let newest = revised.messages.iter().map(|message| message.seq).max();
        let follows = self.is_loaded()
            && self.changes.missing().is_none()
            && revised.base == self.changes.cursor()
            && newest.is_none_or(|newest| newest <= self.cursor());
        if !follows {
            return self.changes.report(last);
        }
        for message in revised.messages {
            self.deliver_change(message);
        }
    }

    fn deliver_change(&mut self, message: EncodedMessage) {
        if let Some(recent) = &mut self.recent {
            recent.replace(&message);
        }
        self.changes.push(message.clone());
        self.telling.add(Told::Message(message));
        self.tell_changes();
    }

    /// Returns the newest delivered change.
    pub(super) fn revision(&self) -> Revision {
        self.changes.cursor()
    }

    /// Delivers messages of the log that somebody else has read, oldest first. Those that do not
    /// follow the cursor are read again, if they are new.
    pub(super) fn found(&mut self, found: Vec<EncodedMessage>) {
        for message in found {
            if self.is_loaded() && self.is_trusted() && message.seq == self.cursor().next() {
                self.deliver(message);
            } else {
                self.seen(message.seq, message.id);
            }
        }
    }

    /// Takes a report of a message read from the log by somebody else.
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
            // A read may have brought more than memory keeps before the writer's report came.
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

    /// Marks the room's newest message, unless an earlier need has a mark.
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

    /// Returns false while the log is suspected to have gone back.
    fn is_trusted(&self) -> bool {
        let reading = match self.purpose() {
            Some(Purpose::CatchUp(_, need)) => need,
            Some(Purpose::Load) => Need::Anew,
            Some(Purpose::Changes(_)) | None => Need::None,
        };
        self.need.max(reading) <= Need::Behind
    }

    /// Returns true while the room's messages are being read anew, or are to be.
    fn is_loading(&self) -> bool {
        self.need == Need::Anew || matches!(self.purpose(), Some(Purpose::Load))
    }

    /// Returns true when memory has messages, and they are those of the log.
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

    /// Returns true while a read is in flight.
    pub(super) fn is_reading(&self) -> bool {
        self.reading.is_some()
    }

    fn purpose(&self) -> Option<Purpose> {
        self.reading.as_ref().map(Reading::purpose)
    }

    /// Asks for a look for a message claimed by a joiner, unless there was one a moment ago.
    pub(super) fn look_for(&mut self, claimed: Seq) {
        let looked = self
            .claim
            .is_some_and(|(seq, at)| seq >= claimed && !is_past(Some(at)));
        if claimed > self.cursor() && !looked {
            self.claim = Some((claimed, Instant::now()));
            self.wake(claimed);
        }
    }

    /// Returns the newest `limit` messages after a joiner's last one, with the changes that it asks for, or
    /// the page to read for them. Returns `None` while the room is not loaded.
    pub(super) fn history(
        &mut self,
        known: Known,
        limit: usize,
        own: Option<FromLog>,
    ) -> Option<History> {
        if self.is_loading() {
            return None;
        }
        let recent = self.recent.as_mut()?;
        let after = known.last_seq.unwrap_or(Seq::ZERO);
        let missed = Missed::new(&self.changes, known, own.as_ref());
        let messages = recent.newest(after, limit).or_else(|| {
            let FromLog {
                mut older, read_at, ..
            } = own?;
            let is_whole = self.changes.update(&mut older.messages, read_at);
            recent.newest_with(older, limit).filter(|_| is_whole)
        });
        let answer = messages.zip(missed).map(|((messages, has_more), missed)| {
            let missed = missed.fit(known.last_revision, answer::bytes_left(&messages));
            (messages, has_more, missed)
        });
        Some(match answer {
            Some((messages, has_more, missed)) => History::Answer((messages, has_more), missed),
            None => {
                let page = Page {
                    after,
                    before: recent.cursor().next(),
                    limit: limit + 1,
                    keep: Keep::Newest,
                };
                History::Read(page, recent.hold(), self.changes.cursor())
            }
        })
    }
}

/// Returns true when a time is at least [`LOOK_PAUSE`] ago.
fn is_past(time: Option<Instant>) -> bool {
    time.is_none_or(|time| time.elapsed() >= LOOK_PAUSE)
}
