//! A client that keeps the present state of a room's messages, as the contract says.

use std::{collections::BTreeMap, net::SocketAddr};

use serde_json::{Value, json};

use crate::support::{RawClient, raw::Packet};

/// A member of a room with a copy of it.
pub struct Follower {
    user: String,
    client: RawClient,
    pub messages: BTreeMap<i64, Value>,
    /// The room's settings; null when nobody created it.
    pub settings: Value,
    last_seq: i64,
    last_revision: i64,
    /// True when a change is missing.
    is_behind: bool,
    /// Changes taken in so far.
    pub changes: usize,
}

impl Follower {
    /// Joins the room.
    pub async fn join(address: SocketAddr, user: &str) -> Self {
        let mut follower = Self {
            user: user.to_owned(),
            client: RawClient::connect(address, user).await,
            messages: BTreeMap::new(),
            settings: Value::Null,
            last_seq: 0,
            last_revision: 0,
            is_behind: false,
            changes: 0,
        };
        follower.resume().await;
        follower
    }

    /// Breaks the connection, and comes back, perhaps to another server.
    pub async fn come_back(&mut self, address: SocketAddr) {
        self.client = RawClient::connect(address, &self.user).await;
        self.resume().await;
    }

    async fn resume(&mut self) {
        let joining =
            json!({ "roomId": "r", "lastSeq": self.last_seq, "lastRevision": self.last_revision });
        let joined = self.call("joinRoom", joining).await;
        assert_eq!(joined["status"], "ok", "{joined}");
        assert_eq!(joined.get("changesReset"), None, "{joined}");
        for message in joined["messages"].as_array().unwrap() {
            self.put(message);
        }
        let known = self.last_seq;
        self.last_seq = known.max(joined["lastSeq"].as_i64().unwrap());
        self.take_changes(&joined);
        if joined["hasMore"] == true {
            self.fill(known).await;
        }
        self.catch_up().await;
    }

    /// Reads the messages after the last one known before an answer. Some of them may be known from
    /// a page that ran ahead of the room's packets: their changes are not in the answer.
    async fn fill(&mut self, mut after: i64) {
        loop {
            let ask = json!({ "roomId": "r", "afterSeq": after, "limit": 200 });
            let page = self.call("getHistory", ask).await;
            for message in page["messages"].as_array().unwrap() {
                self.put(message);
                after = number_of(message);
            }
            if page["hasMore"] == false {
                return;
            }
        }
    }

    /// Keeps the newest state of a message.
    fn put(&mut self, message: &Value) {
        let seq = message["seq"].as_i64().unwrap();
        let revision = |message: &Value| message["revision"].as_i64().unwrap_or_default();
        let known = self.messages.get(&seq).map(revision);
        if known.is_none_or(|known| known <= revision(message)) {
            self.messages.insert(seq, message.clone());
        }
    }

    /// Keeps the newest settings of the room.
    fn set(&mut self, settings: &Value) {
        let revision = |settings: &Value| settings["revision"].as_i64().unwrap_or_default();
        if revision(&self.settings) <= revision(settings) {
            self.settings = settings.clone();
        }
    }

    /// Notes a change that was told.
    fn follow(&mut self, changed: &Value) {
        let number = |field: &str| changed[field].as_i64().unwrap();
        let (revision, previous) = (number("revision"), number("previous"));
        assert!(previous < revision, "{changed}");
        self.changes += 1;
        if previous <= self.last_revision {
            self.last_revision = self.last_revision.max(revision);
        } else {
            self.is_behind = true;
        }
    }

    fn take_changes(&mut self, answer: &Value) {
        if let Some(settings) = answer.get("room") {
            self.set(settings);
        }
        for message in answer["changes"].as_array().into_iter().flatten() {
            self.put(message);
            self.changes += 1;
        }
        self.last_revision = answer["lastRevision"].as_i64().unwrap();
        self.is_behind = answer["moreChanges"] == true;
    }

    /// Asks for changes until none is missing.
    async fn catch_up(&mut self) {
        while self.is_behind {
            let ask = json!({ "roomId": "r", "afterRevision": self.last_revision });
            let read = self.call("getChanges", ask).await;
            assert_eq!(read["status"], "ok", "{read}");
            self.take_changes(&read);
        }
    }

    fn take(&mut self, event: &str, payload: &Value) {
        match event {
            "newMessage" => {
                let seq = payload["seq"].as_i64().unwrap();
                assert_eq!(
                    seq,
                    self.last_seq + 1,
                    "{} gets each message once",
                    self.user
                );
                self.last_seq = seq;
                self.put(payload);
            }
            "messageChanged" => {
                assert!(number_of(&payload["message"]) <= self.last_seq, "{payload}");
                self.put(&payload["message"]);
                self.follow(payload);
            }
            "roomChanged" => {
                self.set(&payload["room"]);
                self.follow(payload);
            }
            "history" => panic!("a reset: {payload}"),
            _ => {}
        }
    }

    /// Emits an event, and takes everything in until its ack.
    pub async fn call(&mut self, event: &str, payload: Value) -> Value {
        let id = self.client.emit(event, &payload).await;
        self.client.flush().await;
        let (before, answer) = self.client.until_ack(id).await;
        for packet in before {
            if let Packet::Event(event, payload) = packet {
                self.take(&event, &payload);
            }
        }
        answer
    }

    /// The same; returns none when the connection breaks before the ack.
    pub async fn try_call(&mut self, event: &str, payload: &Value) -> Option<Value> {
        let id = self.client.try_emit(event, payload).await.ok()?;
        loop {
            match self.client.packet().await {
                Packet::Ack(acked, answer) if acked == id => return Some(answer),
                Packet::Event(event, payload) => self.take(&event, &payload),
                Packet::Ack(..) => {}
                Packet::Other(_) => return None,
            }
        }
    }

    /// Takes everything in until this is true.
    pub async fn until(&mut self, is_enough: impl Fn(&Self) -> bool) {
        loop {
            self.catch_up().await;
            if is_enough(self) {
                return;
            }
            match self.client.packet().await {
                Packet::Event(event, payload) => self.take(&event, &payload),
                Packet::Ack(..) => {}
                Packet::Other(frame) => panic!("{}: {frame}", self.user),
            }
        }
    }
}

fn number_of(message: &Value) -> i64 {
    message["seq"].as_i64().unwrap()
}
