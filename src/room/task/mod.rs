//! A room's task.

mod following;
mod welcoming;

use std::sync::Arc;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::following::Waiters;
use super::{
    budget::Budget,
    context::RoomContext,
    fanout::Reset,
    guard::{Excluded, Guard},
    lifetime::Lifetime,
    mailbox::{self, Command, Inbox, RoomHandle, WeakRoomHandle},
    members::{Members, RostersRead},
    reading::Unread,
    reads::Reads,
    rosters::{RosterLink, RosterQueue},
    tail::Tail,
    waiting::{WaitingList, sleep_until},
};
use crate::{
    error::Error,
    metrics::Tally,
    model::{RoomId, Signal},
};

/// Starts a room's task; it calls `ended` when it is over.
pub(super) fn spawn(
    id: RoomId,
    context: Arc<RoomContext>,
    budget: Arc<Budget>,
    rosters: Option<Arc<RosterQueue>>,
    lifetime: &Lifetime,
    ended: impl FnOnce() + Send + 'static,
) -> (RoomHandle, WeakRoomHandle) {
    let (handle, inbox) = mailbox::open();
    let room = Room::new(id, context, budget, rosters, inbox);
    let stop = lifetime.stop.clone();
    lifetime.tasks.spawn(async move {
        room.run(stop).await;
        ended();
    });
    let weak = handle.downgrade();
    (handle, weak)
}

/// The state of a room's task.
struct Room {
    id: RoomId,
    context: Arc<RoomContext>,
    inbox: Inbox,
    tail: Tail,
    members: Members,
    guard: Guard,
    reads: Reads,
    /// None on a single server.
    rosters: Option<RosterLink>,
    waiting: WaitingList,
    /// Those who wait to follow the room.
    followers: Waiters,
}

impl Room {
    fn new(
        id: RoomId,
        context: Arc<RoomContext>,
        budget: Arc<Budget>,
        rosters: Option<Arc<RosterQueue>>,
        inbox: Inbox,
    ) -> Self {
        Self {
            members: Members::new(
                context.presence,
                Tally::new(context.metrics.members.clone()),
            ),
            guard: Guard::default(),
            reads: Reads::new(),
            rosters: rosters.map(|queue| RosterLink::open(id.clone(), queue)),
            tail: Tail::new(id.clone(), context.clone(), budget),
            id,
            context,
            inbox,
            waiting: WaitingList::default(),
            followers: Waiters::default(),
        }
    }

    /// Runs until all handles are dropped, or until `stop`.
    async fn run(mut self, stop: CancellationToken) {
        loop {
            let next_tick = self.next_tick();
            tokio::select! {
                // Commands before the stop: messages already stored are still delivered.
                biased;
                read = self.tail.read() => self.finish(read),
                excluded = self.guard.excluded() => self.put_out(excluded),
                command = self.inbox.recv() => match command {
                    Some(command) => self.handle(command),
                    None => break,
                },
                () = stop.cancelled(), if !self.tail.is_catching_up() => break,
                () = sleep_until(next_tick) => {}
            }
            if self.inbox.take_missed() {
                self.tail.look_for_all();
            }
            self.answer_waiting();
            self.let_follow();
            self.tail.keep_up();
            self.tail.tell_changes();
            self.keep_guard();
            let (cursors, is_created) =
                (self.tail.loaded_cursors(), self.tail.settings().is_some());
            self.inbox
                .publish(cursors, self.tail.is_reading(), is_created);
            if let Some(presence) = self.members.tick(&self.id) {
                self.context.fanout.presence(&presence);
            }
            self.inbox.publish_members(self.members.count());
            if let Some(reads) = self.reads.tick(&self.id, self.members.count()) {
                self.context.fanout.reads(&reads);
            }
            if let Some(rosters) = &mut self.rosters {
                rosters.keep_up(&mut self.members);
            }
        }
    }

    fn next_tick(&self) -> Option<Instant> {
        let rosters = self.rosters.as_ref();
        self.tail
            .next_tick()
            .into_iter()
            .chain(self.tail.next_telling())
            .chain(self.guard.next_tick())
            .chain(self.members.next_tick())
            .chain(self.reads.next_tick())
            .chain(self.waiting.next_deadline())
            .chain(rosters.and_then(|rosters| rosters.next_tick(&self.members)))
            .min()
    }

    fn handle(&mut self, command: Command) {
        match command {
            Command::Join(joining, done) => self.join(joining, done),
            Command::Follow(begin) => self.followers.push(begin),
            Command::Leave(client, how, handle, done) => {
                self.waiting.forget(client);
                self.members.leave(client, how);
                self.hold(handle);
                drop(done);
            }
            Command::Stored(stored) => self.tail.stored(stored),
            Command::Revised(revised) => self.tail.revised(revised),
            Command::Found(found) => self.tail.found(found),
            Command::Seen(seq, id) => self.tail.seen(seq, id),
            Command::Wake(seq) => self.tail.wake(seq),
            Command::WakeToChange(revision) => self.tail.wake_to_change(revision),
            Command::Suspect => self.tail.suspect(),
            Command::Forget(seq) => self.tail.forget_through(seq),
            Command::Anew => self.tail.read_anew(),
            Command::Watch => self.tail.watch(),
            Command::Signal(signal) => self.signal(signal),
            Command::Rosters(rosters) => self.read_rosters(rosters),
            Command::RemoteSignal(signal) => self.tell_here(signal),
            Command::Confirm(revision, done) => {
                self.tail.wake_to_change(revision);
                self.guard.confirm(revision, done);
            }
            Command::Present(answer) => _ = answer.send(self.members.present()),
            Command::Look => {}
        }
    }

    /// Checks the users here when the settings are new, and answers those who wait for it.
    fn keep_guard(&mut self) {
        let settings = self.tail.settings().map(|settings| settings.revision);
        let (fanout, members) = (&self.context.fanout, &self.members);
        let users = || [members.users_here(), fanout.followers(&self.id)].concat();
        self.guard.keep_up(settings, users, &self.id, &self.context);
        let (tail, is_empty) = (&self.tail, members.is_empty_here());
        self.guard
            .answer(settings, |revision| match tail.loaded_cursors() {
                Some((_, reached)) => reached >= revision,
                None => is_empty && !tail.is_reading() && !fanout.is_followed(&self.id),
            });
    }

    /// Puts users out who may not be here any more.
    fn put_out(&mut self, excluded: Excluded) {
        if !excluded.is_empty() {
            self.members.put_out(&excluded);
            self.context.fanout.removed(&self.id, &excluded);
        }
    }

    fn read_rosters(&mut self, rosters: RostersRead) {
        if let Some(link) = &mut self.rosters {
            let is_followed = self.context.fanout.is_followed(&self.id);
            link.read(&mut self.members, rosters, is_followed);
        }
    }

    /// Holds the task while a user may be in its grace period, if other servers know of the user.
    fn hold(&mut self, handle: RoomHandle) {
        if let Some(link) = self.rosters.as_mut().filter(|_| self.members.has_away()) {
            link.hold(handle);
        }
    }

    /// Passes a client's signal on, also to the other servers. Nothing comes from a client that was put out.
    fn signal(&mut self, signal: Signal) {
        if let Signal::Relayed(relayed) = &signal
            && !self.members.has(relayed.client)
        {
            return;
        }
        if let Some(bus) = &self.context.bus {
            bus.signal(&self.id, &signal);
        }
        self.tell_here(signal);
    }

    /// Passes a signal on to the members here.
    fn tell_here(&mut self, signal: Signal) {
        match signal {
            Signal::Typing { user_id, is_typing } => {
                self.context.fanout.typing(&self.id, &user_id, is_typing);
            }
            Signal::Read { user_id, seq } => self.reads.add(user_id, seq),
            Signal::Relayed(relayed) => self.context.fanout.relayed(&self.id, &relayed),
            // Of no concern to a room's other members.
            _ => {}
        }
    }

    /// Handles the end of a read. While the room is not loaded, a failure refuses all waiting
    /// joiners. A timeout refuses none: some may have come later, and have time for another read.
    fn finish(&mut self, read: Result<(), Unread>) {
        match read {
            Ok(()) => self.tell_reset(),
            Err(Unread::Failed(cause)) => {
                let error = Error::from(cause);
                if !self.tail.is_loaded() {
                    self.waiting.refuse_all(&error);
                    self.followers.refuse_all();
                }
            }
            Err(Unread::TimedOut) => {}
        }
    }

    /// Sends the members a log that was read anew.
    fn tell_reset(&mut self) {
        let Some((messages, has_more)) = self.tail.take_reset() else {
            return;
        };
        self.context.fanout.reset(&Reset {
            room_id: self.id.clone(),
            messages,
            last_seq: self.tail.cursor(),
            has_more,
            members: self.members.listed(),
            member_count: self.members.count(),
            last_revision: self.tail.revision(),
            room: self.tail.settings().cloned(),
        });
    }
}
