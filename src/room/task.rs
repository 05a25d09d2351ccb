//! A room's task.

use std::sync::Arc;

use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Departure, Joined, Reset, RoomContext, RoomHandle,
    budget::Budget,
    joining::{Done, Join},
    mailbox::{self, Command, Inbox, WeakRoomHandle},
    members::Members,
    tail::Tail,
};
use crate::{error::Error, model::RoomId};

/// The lifetime of a node's rooms.
#[derive(Default)]
pub(super) struct Lifetime {
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Lifetime {
    /// Ends all rooms, and waits until they have ended.
    pub(super) async fn end(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Starts a room's task, which calls `ended` at its end.
pub(super) fn spawn(
    id: RoomId,
    context: Arc<RoomContext>,
    budget: Arc<Budget>,
    lifetime: &Lifetime,
    ended: impl FnOnce() + Send + 'static,
) -> (RoomHandle, WeakRoomHandle) {
    let (handle, inbox) = mailbox::open();
    let room = Room::new(id, context, budget, inbox);
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
}

impl Room {
    fn new(id: RoomId, context: Arc<RoomContext>, budget: Arc<Budget>, inbox: Inbox) -> Self {
        Self {
            members: Members::new(context.presence),
            tail: Tail::new(id.clone(), context.clone(), budget),
            id,
            context,
            inbox,
        }
    }

    /// Works until nobody holds a handle any more, or until `stop`.
    async fn run(mut self, stop: CancellationToken) {
        loop {
            let next_tick = self.next_tick();
            tokio::select! {
                // What was stored before the stop is delivered.
                biased;
                command = self.inbox.recv() => match command {
                    Some(command) => self.handle(command).await,
                    None => break,
                },
                () = stop.cancelled() => break,
                () = sleep_until(next_tick) => {}
            }
            if self.inbox.take_missed() {
                self.tail.look();
            }
            self.tail.keep_up().await;
            self.tell_reset();
            if let Some(presence) = self.members.tick(&self.id) {
                self.context.fanout.presence(&presence);
            }
        }
    }

    fn next_tick(&self) -> Option<Instant> {
        self.tail
            .next_tick()
            .into_iter()
            .chain(self.members.next_tick())
            .min()
    }

    async fn handle(&mut self, command: Command) {
        match command {
            Command::Join(join, done) => self.join(join, done).await,
            Command::Leave(client, how, done) => {
                self.members.leave(client, how);
                drop(done);
            }
            Command::Stored(stored) => self.tail.stored(stored),
            Command::Seen(seq, id) => self.tail.seen(seq, id),
            Command::Wake(seq) => self.tail.wake(seq),
            Command::Watch => self.tail.watch(),
            Command::Signal(signal) => self.context.fanout.signal(&self.id, &signal),
            Command::Look => {}
        }
    }

    async fn join(&mut self, join: Join, done: Done) {
        let history = self
            .tail
            .history(join.last_seq, join.limit, join.deadline)
            .await;
        self.tell_reset();
        let result = history.and_then(|(messages, has_more)| {
            // One whose connection is gone already was never here, or, if it was here before, may
            // be back soon.
            let gone = if self.members.contains(&join.user_id) {
                Departure::Broken
            } else {
                Departure::Left
            };
            self.members.enter(join.client, &join.user_id);
            let joined = Joined {
                room_id: self.id.clone(),
                user_id: join.user_id,
                messages,
                last_seq: self.tail.cursor(),
                has_more,
                members: self.members.listed(),
                member_count: self.members.count(),
            };
            if (join.welcome)(joined) {
                Ok(())
            } else {
                self.members.leave(join.client, gone);
                Err(Error::Unavailable)
            }
        });
        done.send(result).ok();
    }

    /// Tells the members of a log that has been read anew.
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
        });
    }
}

async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
