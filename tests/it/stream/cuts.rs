//! Many readers, cut at random over two servers while messages and changes go on: each gets everything,
//! once and in order.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinSet};

use super::{open, reader::Event};
use crate::{
    api::{Backend, WITH_KEY},
    changes::model::stored,
    support::{Database, Server, within_deadline},
};

/// The readers of the usual run; the variable `STREAM_READERS` asks for more.
const READERS: usize = 40;

/// The steps of the writer.
const STEPS: usize = 400;

/// The messages by their `seq`.
type Log = BTreeMap<i64, Value>;

/// A reader's copy of the room.
#[derive(Default)]
struct Copy {
    messages: Log,
    revision: i64,
    last: Option<String>,
}

impl Copy {
    fn take(&mut self, event: Event) {
        match event.name.as_str() {
            "newMessage" => {
                let seq = event.data["seq"].as_i64().unwrap();
                assert_eq!(seq, self.messages.len() as i64 + 1, "once and in order");
                self.messages.insert(seq, event.data);
            }
            "messageChanged" | "roomChanged" => {
                let number = |field: &str| event.data[field].as_i64().unwrap();
                assert!(number("previous") <= self.revision, "nothing is left out");
                assert!(self.revision < number("revision"), "once and in order");
                self.revision = number("revision");
                let message = &event.data["message"];
                if let Some(seq) = message["seq"].as_i64() {
                    let known = self.messages.get_mut(&seq).expect("a message comes first");
                    if known["revision"].as_i64() < message["revision"].as_i64() {
                        *known = message.clone();
                    }
                }
            }
            "ready" => {}
            other => panic!("{other}"),
        }
        self.last = event.id.or(self.last.take());
    }
}

/// Reads until the copy is the database, with a cut after each few events.
async fn read(backends: Arc<[Backend; 2]>, mut expected: watch::Receiver<Option<Arc<Log>>>) {
    let mut copy = Copy {
        last: Some("0.0".to_owned()),
        ..Copy::default()
    };
    loop {
        let backend = &backends[fastrand::usize(..2)];
        let mut stream = open(backend, "r", copy.last.as_deref()).await;
        for _ in 0..fastrand::usize(1..60) {
            let is_done = |log: &Option<Arc<Log>>| log.as_deref() == Some(&copy.messages);
            if is_done(&expected.borrow_and_update()) {
                return;
            }
            tokio::select! {
                event = stream.next() => match event {
                    Some(event) => copy.take(event),
                    None => break,
                },
                _ = expected.changed() => {}
            }
        }
    }
}

async fn write(backends: &[Backend; 2]) {
    let mut newest = 0;
    for step in 0..STEPS {
        let backend = &backends[step % 2];
        // A few messages change again and again, also while somebody reads their changes.
        let seq = fastrand::i64((newest - 3).max(1)..=newest.max(1));
        let at = |field: &str, value: Value| {
            let mut body = json!({ "roomId": "r", "userId": "ann", "seq": seq });
            body[field] = value;
            body
        };
        match fastrand::u8(..8) {
            _ if newest == 0 => newest = sent(backend).await,
            0 => {
                _ = backend
                    .write("PATCH", "/messages", at("message", json!(step.to_string())))
                    .await
            }
            1 => {
                let mut react = at("reaction", json!("+1"));
                react["on"] = json!(step % 3 > 0);
                backend.write("PUT", "/reactions", react).await;
            }
            2 if step % 5 == 0 => {
                let set = json!({ "roomId": "r", "title": step.to_string() });
                backend.ok("PATCH", "/rooms", set).await;
            }
            _ => newest = sent(backend).await,
        }
    }
}

async fn sent(backend: &Backend) -> i64 {
    backend.send("r", "ann", "hello").await["seq"]
        .as_i64()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_are_cut_at_random_get_everything_once_and_in_order() {
    let readers = std::env::var("STREAM_READERS");
    let readers = readers.map_or(READERS, |readers| readers.parse().unwrap());
    let database = Database::postgres().await;
    let shared = database.shared();
    let flags = [WITH_KEY, "--api-requests-per-second=0"];
    let servers = [
        Server::on(database, &flags).await,
        Server::on(shared, &flags).await,
    ];
    let backends = Arc::new([Backend::of(&servers[0]), Backend::of(&servers[1])]);
    backends[0]
        .ok("POST", "/rooms", json!({ "roomId": "r" }))
        .await;
    let (done, expected) = watch::channel(None);
    let mut reading = JoinSet::new();
    for _ in 0..readers {
        reading.spawn(read(backends.clone(), expected.clone()));
    }
    write(&backends).await;
    let log = stored(&servers[0].database.store().await).await;
    assert!(log.len() > STEPS / 3);
    done.send_replace(Some(Arc::new(log)));
    within_deadline("all readers", async {
        while let Some(read) = reading.join_next().await {
            read.unwrap();
        }
    })
    .await;
}
