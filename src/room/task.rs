//! A room's task.

use std::sync::{Arc, atomic::Ordering};

use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    Budget, Command, Departure, Join, Joined, Reset, RoomContext, Shared, members::Members,
    queued_bytes, tail::Tail,
};
use crate::{error::Error, model::RoomId};

/// The state of a room's task.
pub(crate) struct Room {
    id: RoomId,
    context: Arc<RoomContext>,
    commands: mpsc::Receiver<Command>,
    shared: Arc<Shared>,
    tail: Tail,
    members: Members,
}

impl Room {
    pub(crate) fn new(
        id: RoomId,
        context: Arc<RoomContext>,
        budget: Arc<Budget>,
        commands: mpsc::Receiver<Command>,
        shared: Arc<Shared>,
    ) -> Self {
        let members = Members::new(context.presence);
        let tail = Tail::new(id.clone(), context.clone(), budget);
        Self {
            id,
            context,
            commands,
            shared,
            tail,
            members,
        }
    }

    /// Works until nobody holds a handle any more, or until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        loop {
            let next_tick = self.next_tick();
            tokio::select! {
                // What was stored before the stop is delivered.
                biased;
                command = self.commands.recv() => match command {
                    Some(command) => self.obey(command).await,
                    None => break,
                },
                () = stop.cancelled() => break,
                () = sleep_until(next_tick) => {}
            }
            if self.shared.missed.swap(false, Ordering::AcqRel) {
                self.tail.look();
            }
            self.tail.keep_up().await;
            self.tell_reset();
            self.shared
                .cursor
                .store(self.tail.cursor().get(), Ordering::Release);
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

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Join(join) => self.join(join).await,
            Command::Leave(client, how, done) => {
                self.members.leave(client, how);
                drop(done);
            }
            Command::Stored(stored) => {
                self.shared
                    .queued
                    .fetch_sub(queued_bytes(&stored), Ordering::Relaxed);
                self.tail.stored(stored);
            }
            Command::Seen(seq, id) => self.tail.seen(seq, id),
            Command::Wake => self.tail.wake(),
            Command::Signal(signal) => self.context.fanout.signal(&self.id, &signal),
            Command::Look => {}
        }
    }

    async fn join(&mut self, join: Join) {
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
        join.done.send(result).ok();
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
