//! REST and sockets mixed as one conversation, on two servers: both agree at every step, and with the
//! database at the end.

use std::collections::BTreeMap;

use proptest::{
    collection::vec,
    prelude::*,
    sample::Index,
    test_runner::{Config, RngSeed, TestRunner},
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{Backend, WITH_KEY};
use crate::{
    changes::{follower::Follower, model::stored},
    support::{Database, FLOODED, Server},
};

/// The conversations; each has servers and a database of its own.
const CASES: u32 = 6;

/// A user's step, by a socket or by the backend.
#[derive(Debug)]
struct Step {
    by_backend: bool,
    action: Action,
    /// The message concerned, among those that the user knows.
    message: Index,
}

#[derive(Debug, Clone)]
enum Action {
    Send { key: Option<u8>, reply: bool },
    Edit(u8),
    Delete,
    React { kind: u8, on: bool },
    Pin { on: bool },
    Title(u8),
    Mark,
}

fn step() -> impl Strategy<Value = Step> {
    let action = prop_oneof![
        6 => (any::<Option<u8>>(), any::<bool>())
            .prop_map(|(key, reply)| Action::Send { key: key.map(|key| key % 8), reply }),
        3 => any::<u8>().prop_map(Action::Edit),
        1 => Just(Action::Delete),
        3 => (0..4u8, any::<bool>()).prop_map(|(kind, on)| Action::React { kind, on }),
        1 => any::<bool>().prop_map(|on| Action::Pin { on }),
        1 => any::<u8>().prop_map(Action::Title),
        1 => Just(Action::Mark),
    ];
    (any::<bool>(), action, any::<Index>()).prop_map(|(by_backend, action, message)| Step {
        by_backend,
        action,
        message,
    })
}

/// A request in both forms: the event of a socket, the method and path of the backend, and the payload.
fn request(step: &Step, newest: usize) -> (&'static str, &'static str, &'static str, Value) {
    let seq = step.message.index(newest.max(1)) + 1;
    let at = json!({ "roomId": "r", "seq": seq });
    let with = |field: &str, value: Value| {
        let mut payload = at.clone();
        payload[field] = value;
        payload
    };
    match &step.action {
        Action::Send { key, reply } => {
            let mut send = json!({ "roomId": "r", "message": "hello" });
            if let Some(key) = key {
                send["clientMessageId"] = key.to_string().into();
            }
            if *reply && newest > 0 {
                send["replyTo"] = seq.into();
            }
            ("sendMessage", "POST", "/messages", send)
        }
        Action::Edit(text) => (
            "editMessage",
            "PATCH",
            "/messages",
            with("message", text.to_string().into()),
        ),
        Action::Delete => ("deleteMessage", "DELETE", "/messages", at),
        Action::React { kind, on } => {
            let mut react = with("reaction", kind.to_string().into());
            react["on"] = (*on).into();
            ("setReaction", "PUT", "/reactions", react)
        }
        Action::Pin { on } => ("setPinned", "PUT", "/pins", with("on", (*on).into())),
        Action::Title(title) => {
            let set = json!({ "roomId": "r", "title": title.to_string() });
            ("setRoom", "PATCH", "/rooms", set)
        }
        Action::Mark => ("markRead", "PUT", "/reads", at),
    }
}

/// The servers of a conversation, its user at a socket of the one, and the backend at the other.
struct Stage {
    servers: [Server; 2],
    backend: Backend,
    ann: Follower,
    listener: Follower,
    read_seq: i64,
}

impl Stage {
    async fn new() -> Self {
        let database = Database::postgres().await;
        let shared = database.shared();
        let flags = [WITH_KEY, FLOODED];
        let servers = [
            Server::on(database, &flags).await,
            Server::on(shared, &flags).await,
        ];
        let backend = Backend::of(&servers[1]);
        let room = json!({ "roomId": "r", "userId": "ann" });
        backend.ok("POST", "/rooms", room).await;
        Self {
            ann: Follower::join(servers[0].address(), "ann").await,
            listener: Follower::join(servers[1].address(), "listener").await,
            servers,
            backend,
            read_seq: 0,
        }
    }

    /// Makes a step. Whoever makes it, it has the same answer: both are ann, the room's owner.
    async fn take(&mut self, step: &Step) {
        let (event, method, path, mut payload) = request(step, self.ann.messages.len());
        let answer = if step.by_backend {
            payload["userId"] = "ann".into();
            let answer = match method {
                "DELETE" => {
                    let seq = payload["seq"].to_string();
                    let query = [("roomId", "r"), ("seq", &seq), ("userId", "ann")];
                    self.backend.delete(path, &query).await
                }
                _ => self.backend.write(method, path, payload).await,
            };
            assert!(answer.status < 500, "{step:?}: {answer:?}");
            answer.body
        } else {
            self.ann.call(event, payload).await
        };
        if let Some(seq) = answer["message"]["seq"].as_i64() {
            self.ann.until(|ann| ann.messages.len() as i64 >= seq).await;
            let present = &self.ann.messages[&seq];
            let revision = |message: &Value| message["revision"].as_i64().unwrap_or_default();
            assert!(revision(present) <= revision(&answer["message"]));
        } else if let Some(seq) = answer["readSeq"].as_i64() {
            assert!(seq >= self.read_seq, "{answer}");
            self.read_seq = seq;
        } else if answer.get("room").is_none() {
            let code = answer["error"]["code"].as_str();
            assert!(
                matches!(code, Some("CONFLICT" | "NOT_FOUND")),
                "{step:?}: {answer}"
            );
        }
    }

    /// Compares all copies of the conversation.
    async fn end(mut self) {
        let store = self.servers[0].database.store().await;
        let expected = stored(&store).await;
        let settings = store.rooms().settings(&"r".try_into().unwrap()).await;
        let settings = serde_json::to_value(settings.unwrap()).unwrap();
        for follower in [&mut self.ann, &mut self.listener] {
            follower
                .until(|seen| seen.messages == expected && seen.settings == settings)
                .await;
        }
        let (mut read, mut after) = (BTreeMap::new(), "0".to_owned());
        loop {
            let query = [
                ("roomId", "r"),
                ("afterSeq", after.as_str()),
                ("limit", "7"),
            ];
            let page = self.backend.get("/messages", &query).await.body;
            for message in page["messages"].as_array().unwrap() {
                after = message["seq"].to_string();
                read.insert(message["seq"].as_i64().unwrap(), message.clone());
            }
            if page["hasMore"] == false {
                break;
            }
        }
        assert_eq!(read, expected);
        let room = self.backend.get("/rooms", &[("roomId", "r")]).await.body;
        assert_eq!(
            (&room["room"], &room["lastSeq"]),
            (&settings, &json!(expected.len()))
        );
    }
}

#[test]
fn a_backend_and_sockets_hold_one_conversation() {
    let config = Config {
        cases: CASES,
        rng_seed: RngSeed::Fixed(16),
        failure_persistence: None,
        max_shrink_iters: 20,
        ..Config::default()
    };
    let runtime = Runtime::new().unwrap();
    let outcome = TestRunner::new(config).run(&vec(step(), 60..120), |steps| {
        runtime.block_on(async {
            let mut stage = Stage::new().await;
            for step in &steps {
                stage.take(step).await;
            }
            stage.end().await;
        });
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}
