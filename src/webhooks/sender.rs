//! The sender of an endpoint: some rooms at once, each in order.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
    time::Duration,
};

use chrono::{DateTime, Utc};
use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::{
    ROOMS_AT_ONCE,
    delivery::{Delivery, End},
    feed::{Feed, Fresh},
};
use crate::{model::RoomId, store::StoreError};

/// The most rooms with a request in flight to an endpoint.
pub const AT_ONCE: usize = 16;
/// The most rooms known to have events. Rounds find the others.
const MAX_ROOMS: usize = 16_384;
/// The pause after a failed read.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// The time for requests in flight at the stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// The reason for the end of a sender.
#[derive(Debug)]
pub(super) enum Finish {
    /// Another sender is at work, or the places were moved by hand.
    Lost,
    /// The server stops.
    Stopped,
    /// The endpoint gets no more events.
    Disabled(String),
}

/// A room with events.
enum State {
    /// In the queue.
    Queued,
    /// With a delivery under way; true when there are events that it may not know.
    Sending(bool),
    /// With an attempt due later.
    Waiting,
}

/// A room's delivery under way.
type Sending<'a> = BoxFuture<'a, (RoomId, End)>;

/// A page of a round: the rooms after one with events to deliver.
type Paging<'a> = BoxFuture<'a, Result<Vec<RoomId>, StoreError>>;

/// The sender of an endpoint.
pub(super) struct Sender<'a> {
    delivery: &'a Delivery<'a>,
    feed: &'a Feed,
    rooms: HashMap<RoomId, State>,
    queue: VecDeque<RoomId>,
    due: BinaryHeap<Reverse<(Instant, RoomId)>>,
    sending: FuturesUnordered<Sending<'a>>,
    paging: Option<Paging<'a>>,
    round_at: Instant,
    /// The end of a pause asked for by the receiver.
    paused_until: Instant,
}

impl<'a> Sender<'a> {
    pub(super) fn new(delivery: &'a Delivery<'a>, feed: &'a Feed) -> Self {
        let now = Instant::now();
        Self {
            delivery,
            feed,
            rooms: HashMap::new(),
            queue: VecDeque::new(),
            due: BinaryHeap::new(),
            sending: FuturesUnordered::new(),
            paging: None,
            round_at: now,
            paused_until: now,
        }
    }

    /// Sends events under an epoch until its end or `stop`.
    pub(super) async fn run(mut self, epoch: i64, stop: &CancellationToken) -> Finish {
        let delivery = self.delivery;
        let endpoint = delivery.endpoint.id();
        let (webhooks, database) = (delivery.webhooks, delivery.database);
        let commits = delivery.commits.run(webhooks, database, endpoint, epoch);
        tokio::select! {
            () = commits => Finish::Lost,
            finish = self.send(stop) => finish,
        }
    }

    async fn send(&mut self, stop: &CancellationToken) -> Finish {
        loop {
            self.start();
            let wake_at = self.wake_at();
            let finish = tokio::select! {
                () = stop.cancelled() => Some(self.drain().await),
                Some((room, end)) = self.sending.next() => self.take(room, end),
                Some(page) = next_page(&mut self.paging) => {
                    self.take_page(page);
                    None
                }
                fresh = self.feed.next() => {
                    self.take_fresh(fresh);
                    None
                }
                () = sleep_until(wake_at) => {
                    self.wake();
                    None
                }
            };
            if let Some(finish) = finish {
                return finish;
            }
        }
    }

    /// Begins deliveries, as many as may be under way.
    fn start(&mut self) {
        if Instant::now() < self.paused_until {
            return;
        }
        while self.sending.len() < AT_ONCE
            && let Some(room) = self.queue.pop_front()
        {
            self.rooms.insert(room.clone(), State::Sending(false));
            let delivery = self.delivery;
            self.sending.push(Box::pin(async move {
                let end = delivery.deliver(&room).await;
                (room, end)
            }));
        }
    }

    /// Returns the next time with something to do.
    fn wake_at(&self) -> Instant {
        let mut at = self.round_at;
        if let Some(Reverse((due, _))) = self.due.peek() {
            at = at.min(*due);
        }
        if !self.queue.is_empty() && self.sending.len() < AT_ONCE {
            at = at.min(self.paused_until);
        }
        at
    }

    /// Queues the rooms that are due, and begins a round if it is time.
    fn wake(&mut self) {
        let now = Instant::now();
        while let Some(Reverse((due, room))) = self.due.pop() {
            if due > now {
                self.due.push(Reverse((due, room)));
                break;
            }
            self.queue(room);
        }
        if now >= self.round_at {
            let interval = self.delivery.settings.timing.round;
            self.round_at = now + interval.mul_f64(1.0 - fastrand::f64() / 2.0);
            if self.paging.is_none() {
                self.page_after(None);
            }
        }
    }

    fn queue(&mut self, room: RoomId) {
        self.rooms.insert(room.clone(), State::Queued);
        self.queue.push_back(room);
    }

    /// Adds a room with new events.
    fn add(&mut self, room: RoomId) {
        let is_full = self.rooms.len() >= MAX_ROOMS;
        match self.rooms.get_mut(&room) {
            Some(State::Sending(again)) => *again = true,
            Some(State::Queued | State::Waiting) => {}
            None if is_full => self.round_soon(),
            None => self.queue(room),
        }
    }

    fn take_fresh(&mut self, fresh: Fresh) {
        if fresh.any {
            self.round_soon();
        }
        fresh.rooms.into_iter().for_each(|room| self.add(room));
    }

    fn round_soon(&mut self) {
        self.round_at = self.round_at.min(Instant::now() + RETRY_DELAY);
    }

    /// Reads the next page of a round.
    fn page_after(&mut self, last: Option<RoomId>) {
        let delivery = self.delivery;
        self.paging = Some(Box::pin(async move {
            let _reading = delivery.database.read().await;
            let behind =
                delivery
                    .webhooks
                    .behind(delivery.endpoint.id(), last.as_ref(), ROOMS_AT_ONCE);
            behind.await
        }));
    }

    /// Takes a page of a round. A round ends early when many rooms are known; another one follows.
    fn take_page(&mut self, page: Result<Vec<RoomId>, StoreError>) {
        self.paging = None;
        let rooms = match page {
            Ok(rooms) => rooms,
            Err(cause) => {
                tracing::debug!(%cause, "rooms with events for webhooks not read, trying again");
                return self.round_soon();
            }
        };
        let (count, last) = (rooms.len(), rooms.last().cloned());
        rooms.into_iter().for_each(|room| self.add(room));
        if count >= ROOMS_AT_ONCE && self.rooms.len() < MAX_ROOMS {
            self.page_after(last);
        }
    }

    /// Takes the end of a delivery.
    fn take(&mut self, room: RoomId, end: End) -> Option<Finish> {
        let again = matches!(self.rooms.remove(&room), Some(State::Sending(true)));
        match end {
            End::Done if !again => {}
            End::Done | End::More => self.queue(room),
            End::Later { due, pause } => {
                if let Some(pause) = pause {
                    self.paused_until = self.paused_until.max(Instant::now() + pause);
                }
                self.wait(room, until(due));
            }
            End::Unread(cause) => {
                tracing::debug!(%cause, "events for webhooks not read, trying again");
                self.wait(room, Instant::now() + RETRY_DELAY);
            }
            End::Disabled(reason) => return Some(Finish::Disabled(reason)),
            End::Lost => return Some(Finish::Lost),
        }
        None
    }

    /// Waits with a room, unless a round finds it in time.
    fn wait(&mut self, room: RoomId, due: Instant) {
        if due > Instant::now() + self.delivery.settings.timing.round * 2 {
            return;
        }
        self.rooms.insert(room.clone(), State::Waiting);
        self.due.push(Reverse((due, room)));
    }

    /// Lets requests in flight come to their end.
    async fn drain(&mut self) -> Finish {
        let draining = async { while self.sending.next().await.is_some() {} };
        timeout(STOP_TIMEOUT, draining).await.ok();
        Finish::Stopped
    }
}

/// Waits for a page of a round; none when there is no round.
async fn next_page(paging: &mut Option<Paging<'_>>) -> Option<Result<Vec<RoomId>, StoreError>> {
    match paging {
        Some(page) => Some(page.await),
        None => None,
    }
}

/// Returns the moment of a time.
fn until(due: DateTime<Utc>) -> Instant {
    let wait = (due - Utc::now()).to_std().unwrap_or_default();
    Instant::now() + wait
}
