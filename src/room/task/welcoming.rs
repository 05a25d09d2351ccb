//! The answers to joiners.

use tokio::time::Instant;

use super::Room;
use crate::{
    error::Error,
    model::{Revision, Seq},
    room::{
        answer::Answer,
        fanout::Joined,
        joining::{Done, Join, Joining, Proof, Step, ToProve, ToRead},
        members::Departure,
        rosters::RosterLink,
        tail::{History, Missed},
        waiting::Waiting,
    },
};

impl Room {
    pub(super) fn join(&mut self, joining: Box<Joining>, done: Done) {
        if let Some(newest) = joining.newest_read() {
            self.tail.seen(newest.seq, newest.id);
        }
        self.answer_or_wait(Waiting {
            joining,
            done,
            looked: false,
        });
    }

    /// Answers the waiting joiners once no read is in flight, and any joiner at its deadline.
    pub(super) fn answer_waiting(&mut self) {
        let is_time = |deadline| deadline <= Instant::now();
        if !self.tail.is_reading() || self.waiting.next_deadline().is_some_and(is_time) {
            for waiting in self.waiting.take() {
                self.answer_or_wait(waiting);
            }
        }
    }

    fn answer_or_wait(&mut self, mut waiting: Waiting) {
        if self.has_to_wait(&mut waiting) && Instant::now() < waiting.deadline() {
            self.waiting.push(waiting, self.tail.is_reading());
        } else {
            self.answer(waiting);
        }
    }

    /// Returns true when a joiner has to wait for a read by the room or for the rosters of other
    /// servers, and begins that read if need be. A joiner with a page of its own does not wait again.
    fn has_to_wait(&mut self, waiting: &mut Waiting) -> bool {
        let Joining { join, own, .. } = &*waiting.joining;
        if self.tail.is_loaded() {
            if own.is_some() {
                return false;
            }
            if !std::mem::replace(&mut waiting.looked, true) {
                self.tail.look_for(join.known.last_seq.unwrap_or(Seq::ZERO));
            }
        }
        let awaits_rosters = self.rosters.as_ref().is_some_and(RosterLink::is_waiting);
        self.tail.prepare() || awaits_rosters
    }

    fn answer(&mut self, Waiting { joining, done, .. }: Waiting) {
        if let Some(revision) = self.unproved(&joining) {
            let proof = ToProve {
                joining: *joining,
                store: self.context.store.clone(),
                room: self.id.clone(),
                revision,
            };
            done.send(Ok(Step::Prove(Box::new(proof)))).ok();
            return;
        }
        let Joining {
            join,
            own,
            proof,
            has_read,
        } = *joining;
        let step = match self.tail.history(join.known, join.limit, own) {
            None => Err(Error::Unavailable),
            Some(History::Answer(answer, missed)) => {
                let welcomed = self.welcome(join, proof, answer, missed);
                welcomed.map(|()| {
                    self.context.metrics.note_join(has_read);
                    Step::Welcomed
                })
            }
            Some(History::Read(page, hold, revision)) => Ok(Step::Read(Box::new(ToRead {
                join,
                proof,
                store: self.context.store.clone(),
                room: self.id.clone(),
                page,
                hold,
                revision,
            }))),
        };
        done.send(step).ok();
    }

    /// Returns the revision of the room's settings unless the joiner has proved to be allowed in as of
    /// them.
    fn unproved(&self, joining: &Joining) -> Option<Revision> {
        let settings = self.tail.settings().map(|settings| settings.revision);
        settings.filter(|revision| joining.proof.revision < *revision)
    }

    /// Makes a joiner a member and answers it.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the client is gone.
    fn welcome(
        &mut self,
        join: Join,
        proof: Proof,
        (messages, has_more): Answer,
        missed: Missed,
    ) -> Result<(), Error> {
        // If the client is gone already, a new user leaves at once; a known one gets the grace
        // period.
        let gone = if self.members.is_here(&join.user_id) {
            Departure::Broken
        } else {
            Departure::Left
        };
        self.members.enter(join.client, &join.user_id);
        self.guard.let_in(&join.user_id);
        let joined = Joined {
            room_id: self.id.clone(),
            user_id: join.user_id,
            messages,
            last_seq: self.tail.cursor(),
            has_more,
            members: self.members.listed(),
            member_count: self.members.count(),
            last_revision: missed.last_revision,
            room: self.tail.settings().cloned(),
            role: proof.role,
            read_seq: join.read_seq,
            more_changes: missed.changes.is_some().then_some(missed.more),
            changes: missed.changes,
            changes_reset: missed.reset,
        };
        if (join.welcome)(joined) {
            return Ok(());
        }
        self.members.leave(join.client, gone);
        Err(Error::Unavailable)
    }
}
