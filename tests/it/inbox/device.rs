//! A device of a user: a client that keeps the list of the user's rooms, as the contract says.

use std::{collections::BTreeMap, net::SocketAddr};

use serde_json::{Value, json};

use crate::support::{RawClient, raw::Packet};

/// A client with a copy of its user's list.
pub struct Device {
    pub user: String,
    client: RawClient,
    pub rooms: BTreeMap<String, Value>,
    /// The last acked position in each room.
    pub read: BTreeMap<&'static str, i64>,
    /// News taken in so far.
    pub news: usize,
}

impl Device {
    /// Connects, and reads the list.
    pub async fn connect(address: SocketAddr, user: &str) -> Self {
        let mut device = Self {
            user: user.to_owned(),
            client: RawClient::connect(address, user).await,
            rooms: BTreeMap::new(),
            read: BTreeMap::new(),
            news: 0,
        };
        device.read().await;
        device
    }

    /// Breaks the connection, and comes back, perhaps to another server.
    pub async fn come_back(&mut self, address: SocketAddr) {
        self.client = RawClient::connect(address, &self.user).await;
        self.read().await;
    }

    /// Begins to watch, then reads the whole list by small pages.
    async fn read(&mut self) {
        let watching = self.call("watchRooms", json!({ "on": true })).await;
        assert_eq!(watching["status"], "ok", "{watching}");
        self.rooms.clear();
        let mut cursor = Value::Null;
        loop {
            let asked = json!({ "limit": 2, "cursor": cursor });
            let page = self.call("listRooms", asked).await;
            assert_eq!(page["status"], "ok", "{page}");
            for room in page["rooms"].as_array().unwrap() {
                self.rooms.insert(name(room), room.clone());
            }
            cursor = page["cursor"].clone();
            if cursor.is_null() {
                return;
            }
        }
    }

    /// Emits an event, and takes news in until its ack.
    pub async fn call(&mut self, event: &str, payload: Value) -> Value {
        let id = self.client.emit(event, &payload).await;
        self.client.flush().await;
        let (before, answer) = self.client.until_ack(id).await;
        for packet in before {
            self.take(packet);
        }
        answer
    }

    /// The same; returns none when the connection breaks before the ack.
    pub async fn try_call(&mut self, event: &str, payload: &Value) -> Option<Value> {
        let id = self.client.try_emit(event, payload).await.ok()?;
        loop {
            match self.client.packet().await {
                Packet::Ack(acked, answer) if acked == id => return Some(answer),
                Packet::Other(_) => return None,
                packet => self.take(packet),
            }
        }
    }

    fn take(&mut self, packet: Packet) {
        let Packet::Event(event, mut activity) = packet else {
            return;
        };
        if event != "roomActivity" {
            return;
        }
        self.news += 1;
        let fields = activity.as_object_mut().unwrap();
        if fields.remove("followed").unwrap() == true {
            self.rooms.insert(name(&activity), activity);
        } else {
            self.rooms.remove(&name(&activity));
        }
    }

    /// Takes news in until the list is as expected.
    pub async fn until(&mut self, expected: &BTreeMap<String, Value>) {
        let mut seen = 0;
        while self.rooms != *expected {
            let packet = self.client.packet().await;
            seen += 1;
            assert!(
                !matches!(packet, Packet::Other(_)) && seen < 10_000,
                "{}: {:#?}, not {expected:#?}",
                self.user,
                self.rooms
            );
            self.take(packet);
        }
    }
}

fn name(room: &Value) -> String {
    room["roomId"].as_str().unwrap().to_owned()
}
