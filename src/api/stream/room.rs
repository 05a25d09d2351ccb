//! The events of a room: its log from the reader's place on, then its live events.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use super::{
    body::Events,
    event::{EventId, Frames},
    hub::{Packet, Step, Streams},
    outlet::Subscription,
};
use crate::{
    auth::Identity,
    chat::{Feed, FeedChange, Head, Live},
    contract::{self, event},
    error::Error,
    model::{Revision, RoomId, RoomSettings, Seq, UserId},
    net::Peer,
    room::{Followed, MessageChanged, SettingsChanged},
};

/// The name of the event that ends the reading of the log.
const READY: &str = "ready";

/// The present of a room, once a stream has reached it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ready<'a> {
    room_id: &'a RoomId,
    last_seq: Seq,
    last_revision: Revision,
    members: &'a [UserId],
    member_count: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    room: &'a Option<RoomSettings>,
}

/// The events of a room for one reader.
pub struct RoomEvents {
    feed: Feed,
    streams: Arc<Streams>,
    reader: Identity,
    peer: Peer,
    /// The reader's place; none before it is known.
    place: Option<EventId>,
    /// True while the log may have something that the reader has not.
    is_behind: bool,
    /// The end of the log to be reached.
    goal: Option<Head>,
    live: Option<Live<Subscription<RoomId>>>,
    /// The room's state as the stream began to follow it, until the reader has come there.
    followed: Option<Followed>,
    /// A live event that waits for the log before it.
    held: Option<Arc<Packet>>,
}

impl RoomEvents {
    /// Creates the events after an earlier one, or from now on.
    pub fn new(
        feed: Feed,
        streams: Arc<Streams>,
        reader: Identity,
        peer: Peer,
        last: Option<EventId>,
    ) -> Self {
        Self {
            feed,
            streams,
            reader,
            peer,
            place: last,
            is_behind: last.is_some(),
            goal: None,
            live: None,
            followed: None,
            held: None,
        }
    }

    fn place(&self) -> EventId {
        self.place.unwrap_or_default()
    }

    /// Takes a step towards the end of the log, and returns its events.
    async fn catch_up(&mut self) -> Result<Frames, Error> {
        let goal = match self.goal {
            Some(goal) => goal,
            None => self.feed.head().await?,
        };
        let place = self.place();
        if self.goal.is_none() && self.live.is_none() {
            let is_ahead = place.seq > goal.seq || place.revision > goal.revision;
            if is_ahead {
                return self.start_anew(goal).await;
            }
        }
        self.goal = Some(goal);
        if place.seq < goal.seq {
            self.read_messages(goal).await
        } else if place.revision < goal.revision {
            self.read_changes(goal).await
        } else {
            (self.goal, self.is_behind) = (None, false);
            Ok(Frames::default())
        }
    }

    /// Tells a reader who has more than the log that the log went back.
    async fn start_anew(&mut self, head: Head) -> Result<Frames, Error> {
        let room = &self.feed.reset(head).await?;
        self.is_behind = false;
        let place = EventId {
            seq: room.last_seq,
            revision: room.last_revision,
        };
        self.place = Some(place);
        let mut frames = Frames::default();
        let reset = true;
        add(
            &mut frames,
            place,
            event::HISTORY,
            &contract::Reset { reset, room },
        );
        Ok(frames)
    }

    async fn read_messages(&mut self, goal: Head) -> Result<Frames, Error> {
        let (mut place, mut frames) = (self.place(), Frames::default());
        let messages = self.feed.messages(place.seq).await?;
        for message in &messages {
            place.seq = message.seq;
            frames.add(Some(place), event::NEW_MESSAGE, message.json());
        }
        if messages.is_empty() {
            // The messages up to there are not in the log any more.
            place.seq = goal.seq;
        }
        self.place = Some(place);
        Ok(frames)
    }

    async fn read_changes(&mut self, goal: Head) -> Result<Frames, Error> {
        let (mut place, mut frames) = (self.place(), Frames::default());
        let after = Head {
            seq: place.seq,
            revision: place.revision,
        };
        let (changes, reached) = self.feed.changes(after, goal.revision).await?;
        for change in changes {
            let (room_id, previous) = (self.feed.room().clone(), place.revision);
            let revision = change.revision();
            place.revision = revision;
            match change {
                FeedChange::Message(message) => {
                    let changed = MessageChanged {
                        room_id,
                        revision,
                        previous,
                        message,
                    };
                    add(&mut frames, place, event::MESSAGE_CHANGED, &changed);
                }
                FeedChange::Settings(room) => {
                    let changed = SettingsChanged {
                        room_id,
                        revision,
                        previous,
                        room,
                    };
                    add(&mut frames, place, event::ROOM_CHANGED, &changed);
                }
            }
        }
        place.revision = reached;
        self.place = Some(place);
        if reached < goal.revision {
            // Messages may come first by now.
            self.goal = None;
        }
        Ok(frames)
    }

    /// Subscribes to the room, and notes the place from which on it tells everything.
    async fn follow(&mut self) -> Result<(), Error> {
        let (streams, room) = (self.streams.clone(), self.feed.room().clone());
        let (reader, peer) = (self.reader.clone(), self.peer.clone());
        let begin = move |followed| (streams.follow(room, reader, &peer), followed);
        let Live {
            subscription: (subscription, followed),
            room,
        } = self.feed.follow(begin).await?;
        let present = EventId {
            seq: followed.last_seq,
            revision: followed.last_revision,
        };
        let place = *self.place.get_or_insert(present);
        self.is_behind = place.seq < present.seq || place.revision < present.revision;
        self.followed = Some(followed);
        self.live = Some(Live { subscription, room });
        Ok(())
    }

    /// Returns the event that says that the reader has come to the room's present.
    fn ready(&self, followed: &Followed) -> Frames {
        let (place, mut frames) = (self.place(), Frames::default());
        let ready = Ready {
            room_id: self.feed.room(),
            last_seq: place.seq,
            last_revision: place.revision,
            members: &followed.present.members,
            member_count: followed.present.member_count,
            room: &followed.room,
        };
        add(&mut frames, place, READY, &ready);
        frames
    }

    /// Returns a live event, or nothing for one that the reader has. One with a gap before it is held, and
    /// the log is read first.
    fn tell(&mut self, packet: Arc<Packet>, was_held: bool) -> Frames {
        let (mut place, mut frames) = (self.place(), Frames::default());
        match packet.step {
            Step::Message(seq) if seq <= place.seq => return frames,
            Step::Change { revision, .. } if revision <= place.revision => return frames,
            Step::Message(seq) if seq > place.seq.next() && !was_held => {
                (self.is_behind, self.held) = (true, Some(packet));
                return frames;
            }
            Step::Change { previous, .. } if previous > place.revision && !was_held => {
                (self.is_behind, self.held) = (true, Some(packet));
                return frames;
            }
            Step::Message(seq) => place.seq = seq,
            Step::Change { revision, .. } => place.revision = revision,
            Step::Reset(seq, revision) => place = EventId { seq, revision },
            Step::Signal => {
                frames.add(None, packet.name, &packet.data);
                return frames;
            }
        }
        self.place = Some(place);
        frames.add(Some(place), packet.name, &packet.data);
        frames
    }
}

impl Events for RoomEvents {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let frames = if self.is_behind {
                self.catch_up().await?
            } else if let Some(followed) = self.followed.take() {
                self.ready(&followed)
            } else if let Some(live) = &mut self.live {
                let held = self.held.take();
                let was_held = held.is_some();
                let packet = match held {
                    Some(packet) => Some(packet),
                    None => live.subscription.next().await,
                };
                let Some(packet) = packet else {
                    return Ok(None);
                };
                self.tell(packet, was_held)
            } else {
                self.follow().await?;
                continue;
            };
            if let Some(bytes) = frames.bytes() {
                return Ok(Some(bytes));
            }
        }
    }
}

fn add(frames: &mut Frames, place: EventId, name: &str, data: &impl Serialize) {
    let json = serde_json::to_string(data).expect("texts, numbers and times are JSON");
    frames.add(Some(place), name, &json);
}
