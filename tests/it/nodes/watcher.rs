//! A member that watches a room's presence.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use serde_json::{Value, json};

use crate::support::{RawClient, raw::Packet};

fn names(told: &Value, field: &str) -> Vec<String> {
    let names = told[field].as_array().unwrap().iter();
    names
        .map(|name| name.as_str().unwrap().to_owned())
        .collect()
}

/// A member that keeps the list of members, as a page does.
pub struct Watcher {
    pub client: RawClient,
    pub members: BTreeSet<String>,
    pub count: usize,
    pub joined: Vec<String>,
    pub left: Vec<String>,
    pub packets: usize,
}

impl Watcher {
    pub async fn join(address: SocketAddr, user: &str, room: &str) -> Self {
        let mut client = RawClient::connect(address, user).await;
        let joined = client.call("joinRoom", json!({ "roomId": room })).await;
        assert_eq!(joined["status"], "ok", "{joined}");
        Self {
            client,
            members: names(&joined, "members").into_iter().collect(),
            count: count(&joined),
            joined: vec![],
            left: vec![],
            packets: 0,
        }
    }

    fn take(&mut self, told: &Value) {
        let (joined, left) = (names(told, "joined"), names(told, "left"));
        self.members.extend(joined.iter().cloned());
        for user in &left {
            self.members.remove(user);
        }
        self.count = count(told);
        self.joined.extend(joined);
        self.left.extend(left);
        self.packets += 1;
    }

    /// Takes presence packets until this is true.
    pub async fn until(&mut self, is_enough: impl Fn(&Self) -> bool) {
        while !is_enough(self) {
            let told = self.client.next("presence").await;
            self.take(&told);
        }
    }

    /// Takes a packet; returns it if it is an event of this name.
    pub async fn next(&mut self, name: &str) -> Option<Value> {
        match self.client.packet().await {
            Packet::Event(event, told) if event == "presence" => {
                self.take(&told);
                None
            }
            Packet::Event(event, payload) => (event == name).then_some(payload),
            Packet::Ack(..) => None,
            Packet::Other(frame) => panic!("waiting for {name}: {frame}"),
        }
    }

    pub async fn until_members(&mut self, members: &[&str]) {
        let expected = set(members);
        self.until(|seen| seen.members == expected && seen.count == expected.len())
            .await;
    }

    /// Takes the packets that have arrived, and those of the next moment.
    pub async fn settle(&mut self, time: Duration) {
        let deadline = tokio::time::Instant::now() + time;
        while let Ok(packet) = tokio::time::timeout_at(deadline, self.client.packet()).await {
            if let Packet::Event(name, told) = packet
                && name == "presence"
            {
                self.take(&told);
            }
        }
    }

    pub async fn leave(&mut self, room: &str) {
        let left = self.client.call("leaveRoom", json!({ "roomId": room }));
        assert_eq!(left.await["status"], "ok");
    }
}

fn count(told: &Value) -> usize {
    told["memberCount"].as_u64().unwrap().try_into().unwrap()
}

pub fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
