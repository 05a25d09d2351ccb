//! A room's own reads of its log, beside its task and one at a time.

use tokio::time::Instant;

use super::{
    Tail,
    need::{Mark, Need, Purpose, goes_on},
};
use crate::{
    model::{EncodedMessage, Message, Revision, Seq},
    room::{
        answer::fit,
        budget::Share,
        reading::{RETRY_DELAY, Reading, Unread},
        recent::{CAPACITY, Recent},
    },
    store::{Keep, Loaded, Page},
};

impl Tail {
    /// Returns true while messages missed by the members are being read.
    pub(in crate::room) fn is_catching_up(&self) -> bool {
        matches!(self.purpose(), Some(Purpose::CatchUp(..)))
    }

    /// Begins the read a joiner depends on, if any. Returns true while a read is in flight.
    pub(in crate::room) fn prepare(&mut self) -> bool {
        if self.reading.is_none() {
            if !self.is_loaded() {
                self.load();
            } else if !self.is_paused() {
                self.catch_up();
            }
        }
        self.reading.is_some()
    }

    /// Begins a read if there is need, after a failure not before [`RETRY_DELAY`].
    pub(in crate::room) fn keep_up(&mut self) {
        if self.reading.is_some() {
            return;
        }
        self.look_while_watching();
        if self.recent.is_none() || self.is_paused() {
            return;
        }
        match self.need() {
            Need::Anew => self.load(),
            Need::None => self.catch_up_with_changes(),
            _ => self.catch_up(),
        }
    }

    fn look_while_watching(&mut self) {
        let now = Instant::now();
        if let Some(watch) = self.watch.filter(|watch| watch.next_look() <= now) {
            self.watch = watch.after_look(now);
            self.look_for_all();
        }
    }

    /// Forgets messages that are not in the log any more.
    pub(in crate::room) fn forget_through(&mut self, seq: Seq) {
        if let Some(recent) = &mut self.recent {
            recent.forget_through(seq);
        }
        self.changes.forget_through(seq);
        self.telling.forget_through(seq);
    }

    fn is_paused(&self) -> bool {
        self.retry_at
            .is_some_and(|retry_at| Instant::now() < retry_at)
    }

    fn load(&mut self) {
        let (store, room) = (self.context.store.clone(), self.id.clone());
        self.begin(Reading::load(Purpose::Load, store, room, CAPACITY + 1));
    }

    /// Begins to read from the mark on, if there is need.
    fn catch_up(&mut self) {
        let need = self.need();
        let Some(mark) = self.mark.or_else(|| self.newest()) else {
            return;
        };
        if need > Need::None {
            let page = Page {
                after: mark.seq.previous(),
                before: Seq::END,
                limit: CAPACITY + 1,
                keep: Keep::Oldest,
            };
            let (store, room) = (self.context.store.clone(), self.id.clone());
            let purpose = Purpose::CatchUp(mark, need);
            self.begin(Reading::page_of(purpose, store, room, page));
        }
    }

    fn begin(&mut self, reading: Reading<Purpose>) {
        self.reading = Some(reading);
        self.need = Need::None;
        self.reported = Seq::ZERO;
        self.mark = None;
        self.retry_at = None;
    }

    /// Begins to read the changes after the newest delivered one, if any were reported. Every
    /// message is delivered before its changes.
    fn catch_up_with_changes(&mut self) {
        if let Some(reported) = self.changes.missing() {
            let (store, room) = (self.context.store.clone(), self.id.clone());
            let (purpose, after) = (Purpose::Changes(reported), self.changes.cursor());
            self.changes.begin_read();
            self.begin(Reading::changes(purpose, store, room, after, CAPACITY));
        }
    }

    /// Waits for the read in flight, and takes its page. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`Unread`] when the read failed; it is tried again.
    pub(in crate::room) async fn read(&mut self) -> Result<(), Unread> {
        let Some(reading) = &mut self.reading else {
            return std::future::pending().await;
        };
        let (page, purpose) = (reading.page().await, reading.purpose());
        self.reading = None;
        match (page, purpose) {
            (Ok(newest), Purpose::Load) => self.start_from(newest),
            (Ok(page), Purpose::CatchUp(mark, need)) => self.go_on(&page.messages, mark, need),
            (Ok(page), Purpose::Changes(reported)) => {
                self.take_settings(page.settings);
                self.take_changes(&page.messages, reported);
                self.tell_settings();
            }
            (Err(unread), purpose) => {
                self.retry(purpose);
                return Err(unread);
            }
        }
        Ok(())
    }

    /// Replaces the room's messages by the newest ones of the log.
    fn start_from(&mut self, loaded: Loaded) {
        let Loaded {
            messages: newest,
            revision,
            settings,
        } = loaded;
        self.changes.start_from(revision);
        self.telling.start_from(revision);
        self.told = settings.as_ref().map(|settings| settings.info.clone());
        if self.recent.is_some() {
            self.changes.forget_reports();
            let messages = newest.iter().map(EncodedMessage::from);
            self.reset = Some(fit(messages, self.context.history_limit, Keep::Newest));
        }
        let kept = &newest[newest.len().saturating_sub(CAPACITY)..];
        let complete = kept.len() == newest.len();
        let share = Share::new(self.budget.clone());
        self.recent = Some(Recent::new(kept, complete, share));
        self.take_settings(settings);
        self.mark = None;
        self.set_mark();
    }

    /// Delivers the messages of a page after the mark; asks for another page if there may be more.
    fn go_on(&mut self, messages: &[Message], mark: Mark, need: Need) {
        if !goes_on(messages.first(), mark, need) {
            self.went_back();
        }
        if self.need == Need::Anew {
            return;
        }
        self.verified_at = Some(Instant::now());
        let cursor = self.cursor();
        for message in messages.iter().filter(|message| message.seq > cursor) {
            self.deliver(message.into());
        }
        if self.need < Need::Suspect {
            self.mark = None;
        }
        if messages.len() > CAPACITY {
            self.look();
        }
        self.set_mark();
    }

    /// Delivers changes read after the newest delivered one.
    fn take_changes(&mut self, changes: &[Message], reported: Revision) {
        for message in changes {
            if message.seq > self.cursor() {
                // Its message comes first.
                self.wake(message.seq);
                return self.changes.look();
            }
            if message.revision() > self.changes.cursor() {
                self.tell_settings_before(message.revision());
                self.deliver_change(message.into());
            }
        }
        if changes.len() < CAPACITY {
            self.changes.skip_to(reported);
        } else {
            self.changes.look();
        }
    }

    /// Restores the need for a failed read. The first load is tried again by the next joiner only.
    fn retry(&mut self, failed: Purpose) {
        if self.recent.is_none() {
            return;
        }
        self.retry_at = Some(Instant::now() + RETRY_DELAY);
        match failed {
            Purpose::Load => self.need = Need::Anew,
            Purpose::CatchUp(mark, need) => {
                self.need = self.need.max(need);
                self.mark = Some(mark);
            }
            Purpose::Changes(_) => self.changes.look(),
        }
    }
}
