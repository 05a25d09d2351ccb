//! Nothing is lost and nothing doubled, whatever breaks. Members talk through faults, and a
//! comparison with the log checks all that each of them received. They use the official client and
//! `static/parlor-client.js`.

mod cuts;
mod kills;
mod moves;
mod proxied;

use std::collections::{HashMap, HashSet};

use parlor::{
    model::{Message, Seq},
    store::{Keep, Page},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::support::{Database, node::Script};

/// A member of a room who talks.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Member {
    url: String,
    transports: &'static [&'static str],
    user_id: String,
    room_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    local_address: Option<String>,
}

impl Member {
    /// Returns one of many members, spread over the rooms and over the transports.
    fn numbered(number: usize, rooms: usize, url: String) -> Self {
        const TRANSPORTS: [&[&str]; 3] = [&["polling"], &["websocket"], &["polling", "websocket"]];
        let (user_id, room_id) = (format!("user {number}"), format!("room {}", number % rooms));
        Self {
            url,
            transports: TRANSPORTS[number / rooms % TRANSPORTS.len()],
            user_id,
            room_id,
            local_address: None,
        }
    }
}

/// A text and its `seq`.
type Numbered = (i64, String);

/// A member's view in the end.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Seen {
    user_id: String,
    room_id: String,
    /// Errors in the order of the received messages.
    faults: Vec<String>,
    /// Repeated joins.
    resumed: usize,
    /// Sends, including repeated ones.
    sent: usize,
    /// Answers to repeated sends of stored messages.
    duplicates: usize,
    acked: Vec<Numbered>,
    received: Vec<Numbered>,
}

/// Members who talk, each as much as the others.
struct Talk {
    script: Script,
    sends: usize,
    /// The least number of acked messages so far.
    acks: usize,
}

impl Talk {
    fn start(members: &[Member], sends: usize) -> Self {
        let plan = json!({ "members": members, "sends": sends }).to_string();
        Self {
            script: Script::start("faults.mjs", &[&plan]),
            sends,
            acks: 0,
        }
    }

    /// Waits for a number of acks since the last call.
    async fn until_further_acks(&mut self, acks: usize) {
        let enough = self.acks + acks;
        while self.acks < enough {
            assert!(
                self.progress().await.is_none(),
                "all was said before the fault"
            );
        }
    }

    /// Waits until every member has received everything.
    async fn heard(&mut self) -> Vec<Seen> {
        loop {
            if let Some(seen) = self.progress().await {
                return seen;
            }
        }
    }

    /// Reads the progress, and returns the members' views once they are complete.
    async fn progress(&mut self) -> Option<Vec<Seen>> {
        let line: Value = serde_json::from_str(&self.script.line().await).unwrap();
        match line["acks"].as_u64() {
            None => Some(Vec::deserialize(&line["members"]).unwrap()),
            Some(acks) => {
                self.acks = acks.try_into().unwrap();
                None
            }
        }
    }

    /// Waits until every member has received everything, and compares it with the log. The log
    /// holds each message once, as it was acked, and every member received exactly the log, in
    /// order.
    async fn assert_nothing_lost_or_doubled(mut self, database: &Database) -> Vec<Seen> {
        let everybody = self.heard().await;
        let mut rooms: HashMap<&str, Vec<&Seen>> = HashMap::new();
        for one in &everybody {
            rooms.entry(&one.room_id).or_default().push(one);
        }
        for (room, members) in rooms {
            let log = log(database, room).await;
            assert_log(&log, &members, self.sends);
            for member in members {
                assert_seen(member, &log, self.sends);
            }
        }
        everybody
    }
}

async fn log(database: &Database, room: &str) -> Vec<Message> {
    let page = Page {
        after: Seq::ZERO,
        before: Seq::END,
        limit: 1_000_000,
        keep: Keep::Oldest,
    };
    database
        .store()
        .await
        .read(&room.try_into().unwrap(), page)
        .await
        .unwrap()
}

/// Asserts that a room's log has no gap, no double, and every message of each member, in the order
/// sent.
fn assert_log(log: &[Message], members: &[&Seen], sends: usize) {
    assert!(
        log.iter()
            .map(|message| message.seq.get())
            .eq(1..=(members.len() * sends) as i64)
    );
    let sent: HashSet<_> = log
        .iter()
        .map(|message| (&message.user_id, &message.client_message_id))
        .collect();
    assert_eq!(sent.len(), log.len(), "a repeated send is stored twice");
    for Seen { user_id: user, .. } in members {
        let said = log
            .iter()
            .filter(|message| message.user_id.as_str() == user);
        let said = said.map(|message| message.body.as_str().to_owned());
        assert!(
            said.eq((1..=sends).map(|number| format!("{user} {number}"))),
            "what {user} said is not in order"
        );
    }
}

/// Asserts that a member received the whole log, and that every ack was true.
fn assert_seen(seen: &Seen, log: &[Message], sends: usize) {
    let Seen {
        user_id: user,
        faults,
        acked,
        received,
        ..
    } = seen;
    assert!(
        faults.is_empty(),
        "{user} got messages out of order: {faults:?}"
    );
    let log: Vec<_> = log
        .iter()
        .map(|message| (message.seq.get(), message.body.as_str().to_owned()))
        .collect();
    assert!(
        *received == log,
        "{user} got {} messages, and not those of the log ({})",
        received.len(),
        log.len()
    );
    let stored: HashSet<_> = log.iter().collect();
    assert_eq!(acked.iter().collect::<HashSet<_>>().len(), sends);
    assert!(
        acked.iter().all(|one| stored.contains(one)),
        "{user} got an ack for what is not stored"
    );
}

/// Prints a fault test's counts, for runs with `--nocapture`.
fn print_counts(faults: &str, everybody: &[Seen]) {
    let sum = |count: fn(&Seen) -> usize| everybody.iter().map(count).sum::<usize>();
    let (acked, received, sent) = (
        sum(|one| one.acked.len()),
        sum(|one| one.received.len()),
        sum(|one| one.sent),
    );
    let (resumed, duplicates) = (sum(|one| one.resumed), sum(|one| one.duplicates));
    println!(
        "{faults}: {acked} acked, {received} received, {resumed} resumed, {sent} sent, {duplicates} duplicates answered"
    );
}
