//! Clients that say anything in any order, against a model of members and logs.

use std::{
    collections::{HashMap, HashSet},
    sync::PoisonError,
};

use parlor::{
    model::Seq,
    store::{Keep, Page},
};
use proptest::{collection::vec, prelude::*};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::{runtime::Runtime, sync::Mutex};

use super::{any_json, check, payloads, values::is_blank};
use crate::support::{
    Database, Server,
    engine::{Endpoint, Frame, Polling, WebSocket},
};

/// The ack id of the last event of a conversation.
const LAST: &str = "999999";

/// The beginning of the `error` event, which reports failures without an ack.
const ERROR: &str = r#"42["error""#;

/// One step of a client.
#[derive(Debug, Clone)]
pub struct Call {
    pub event: String,
    pub payload: Value,
    pub wants_ack: bool,
}

impl Call {
    pub fn join(room: &str) -> Self {
        Self {
            event: "joinRoom".into(),
            payload: json!({ "roomId": room }),
            wants_ack: true,
        }
    }

    pub fn frame(&self, id: usize) -> String {
        let id = if self.wants_ack {
            id.to_string()
        } else {
            String::new()
        };
        format!("42{id}{}", json!([self.event, self.payload]))
    }
}

pub fn call() -> impl Strategy<Value = Call> {
    let known = payloads::EVENTS.map(|(event, fields)| {
        let payload =
            prop_oneof![9 => payloads::payload(fields).prop_map(Value::from), 1 => any_json()];
        payload
            .prop_map(move |payload| (event.to_owned(), payload))
            .boxed()
    });
    let unknown = ("(refreshAuth|[a-z]{5})", any_json());
    let said = prop_oneof![12 => proptest::strategy::Union::new(known), 1 => unknown];
    (said, any::<bool>()).prop_map(|((event, payload), wants_ack)| Call {
        event,
        payload,
        wants_ack,
    })
}

/// A server for odd clients.
pub struct Stage {
    pub server: Server,
    said: Mutex<i64>,
}

impl Stage {
    /// Starts the server, which soon disconnects clients that answer no pings.
    pub async fn new() -> Self {
        let server = Server::on(
            Database::sqlite(),
            &["--ping-interval-ms=2000", "--ping-timeout-ms=2000"],
        )
        .await;
        Self {
            server,
            said: Mutex::new(0),
        }
    }

    pub fn endpoint(&self) -> Endpoint {
        Endpoint {
            address: self.server.address(),
            path: "/socket.io",
            version: 4,
            http: Client::new(),
        }
    }

    /// Connects two other clients; one sends a message, and both receive it.
    pub async fn chat(&self) {
        let mut said = self.said.lock().await;
        *said += 1;
        let [mut ann, mut bob] = [self.server.raw("ann").await, self.server.raw("bob").await];
        for one in [&mut ann, &mut bob] {
            assert_eq!(
                one.call("joinRoom", json!({ "roomId": "others" })).await["status"],
                "ok"
            );
        }
        ann.tell(
            "sendMessage",
            json!({ "roomId": "others", "message": "hi" }),
        )
        .await;
        for one in [&mut ann, &mut bob] {
            assert_eq!(one.next("newMessage").await["seq"], *said);
        }
    }

    /// Sends all steps as a user, by one of the transports, until enough has come back. Returns the
    /// received packets, and whether the connection held.
    pub async fn converse(
        &self,
        user: &str,
        by_polling: bool,
        frames: &[String],
        enough: impl Fn(&[String]) -> bool,
    ) -> (Vec<String>, bool) {
        let connect = format!("40{}", json!({ "userId": user }));
        let last = format!("42{LAST}[\"last\",{{}}]");
        let frames: Vec<_> = frames.iter().cloned().chain([last]).collect();
        let enough =
            |received: &[String]| received.iter().any(|packet| is_last(packet)) && enough(received);
        if by_polling {
            self.poll(connect, frames, enough).await
        } else {
            self.stream(connect, frames, enough).await
        }
    }

    async fn poll(
        &self,
        connect: String,
        frames: Vec<String>,
        enough: impl Fn(&[String]) -> bool,
    ) -> (Vec<String>, bool) {
        let session = Polling::open(&self.endpoint()).await;
        assert_eq!(session.post(connect).await.0, 200);
        assert!(session.poll().await.1.starts_with("40{"));
        if session.post(frames.join("\u{1e}")).await.0 != 200 {
            return (vec![], false);
        }
        let mut received = vec![];
        while !enough(&received) {
            let (status, packets) = session.poll().await;
            if status != 200 {
                return (received, false);
            }
            received.extend(packets.split('\u{1e}').map(str::to_owned));
        }
        session.post("1").await;
        (received, true)
    }

    async fn stream(
        &self,
        connect: String,
        frames: Vec<String>,
        enough: impl Fn(&[String]) -> bool,
    ) -> (Vec<String>, bool) {
        let mut socket = WebSocket::open(&self.endpoint()).await;
        socket.send(connect).await;
        assert!(socket.text().await.starts_with("40{"));
        for frame in frames {
            if socket.try_send(frame).await.is_err() {
                break;
            }
        }
        let mut received = vec![];
        while !enough(&received) {
            match socket.frame().await {
                Frame::Closed => return (received, false),
                Frame::Text(text) => received.push(text),
                Frame::Binary(_) => panic!("nothing here has bytes"),
            }
        }
        (received, true)
    }
}

fn is_last(packet: &str) -> bool {
    packet.starts_with(&format!("43{LAST}["))
}

/// Returns the acks among packets, each a single object of the contract's shape.
pub fn acks(packets: &[String]) -> HashMap<usize, Vec<Value>> {
    let mut acks = HashMap::<_, Vec<_>>::new();
    for packet in packets.iter().filter(|packet| packet.starts_with("43")) {
        let begin = packet.find('[').unwrap();
        let [answer] =
            <[Value; 1]>::try_from(serde_json::from_str::<Vec<Value>>(&packet[begin..]).unwrap())
                .unwrap();
        match answer["status"].as_str() {
            Some("ok") => assert!(answer.get("error").is_none(), "{answer}"),
            Some("error") => {
                let error = &answer["error"];
                assert!(
                    error["code"].is_string()
                        && error["message"].is_string()
                        && error["retryable"].is_boolean()
                );
                assert_ne!(error["code"], "INTERNAL", "{answer}");
            }
            _ => panic!("{answer}"),
        }
        acks.entry(packet[2..begin].parse().unwrap())
            .or_default()
            .push(answer);
    }
    acks
}

/// A model of the server.
#[derive(Default)]
struct Model {
    /// Each room's log, as users and texts.
    logs: HashMap<String, Vec<(String, String)>>,
    names: HashSet<(String, String, String)>,
}

impl Model {
    /// Applies a call, and returns an error's code if it fails.
    fn obey(
        &mut self,
        user: &str,
        rooms: &mut HashSet<String>,
        call: &Call,
    ) -> Result<(), &'static str> {
        let known = payloads::EVENTS
            .iter()
            .find(|(event, _)| *event == call.event);
        let (event, fields) = known.ok_or("UNKNOWN_EVENT")?;
        let payload = call.payload.as_object().ok_or("INVALID_PAYLOAD")?;
        if !payloads::wrong(fields, payload).is_empty() {
            return Err("INVALID_PAYLOAD");
        }
        let text = |field| payload.get(field).and_then(Value::as_str);
        let given = |field| payload.get(field).is_some_and(|value| !value.is_null());
        let room = text("roomId").unwrap();
        let present = if rooms.contains(room) {
            Ok(())
        } else {
            Err("NOT_IN_ROOM")
        };
        match *event {
            "joinRoom"
                if text("userId")
                    .or(text("operatorId"))
                    .is_some_and(|claim| claim != user) =>
            {
                Err("FORBIDDEN")
            }
            "joinRoom" if given("operatorId") && !given("userId") => Err("FORBIDDEN"),
            "joinRoom" => {
                rooms.insert(room.to_owned());
                Ok(())
            }
            "leaveRoom" if rooms.remove(room) => Ok(()),
            "getHistory" if given("beforeSeq") && given("afterSeq") => Err("INVALID_PAYLOAD"),
            "sendMessage" => self.send(
                user,
                room,
                text("message").unwrap(),
                text("clientMessageId"),
                present,
            ),
            _ => present,
        }
    }

    fn send(
        &mut self,
        user: &str,
        room: &str,
        text: &str,
        name: Option<&str>,
        present: Result<(), &'static str>,
    ) -> Result<(), &'static str> {
        if text.len() > 8192 {
            return Err("MESSAGE_TOO_LARGE");
        }
        if is_blank(text) || text.contains('\0') {
            return Err("INVALID_PAYLOAD");
        }
        present?;
        let name = name.map(|name| (room.to_owned(), user.to_owned(), name.to_owned()));
        if name.is_none_or(|name| self.names.insert(name)) {
            self.logs
                .entry(room.to_owned())
                .or_default()
                .push((user.to_owned(), text.to_owned()));
        }
        Ok(())
    }
}

#[test]
fn every_call_gets_the_expected_answer_and_the_log_holds_every_send() {
    let runtime = Runtime::new().unwrap();
    let stage = runtime.block_on(Stage::new());
    let state = std::sync::Mutex::new((Model::default(), 0));
    check(
        16,
        &(vec(call(), 1..40), any::<bool>()),
        |(mut calls, by_polling)| {
            calls.splice(..0, ["r", "s"].map(Call::join));
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            let (model, number) = &mut *state;
            *number += 1;
            let (user, mut rooms) = (format!("eve {number}"), HashSet::new());
            let expected: Vec<_> = calls
                .iter()
                .map(|call| model.obey(&user, &mut rooms, call))
                .collect();
            let frames: Vec<_> = calls
                .iter()
                .enumerate()
                .map(|(id, call)| call.frame(id))
                .collect();
            let wanted = calls.iter().filter(|call| call.wants_ack).count();
            let unasked = calls
                .iter()
                .zip(&expected)
                .filter(|(call, _)| !call.wants_ack);
            let unasked: Vec<_> = unasked
                .filter_map(|(call, expected)| Some((call.event.clone(), expected.err()?)))
                .collect();
            let enough = |received: &[String]| {
                count(received, "43") > wanted && count(received, ERROR) >= unasked.len()
            };
            let (received, held) =
                runtime.block_on(stage.converse(&user, by_polling, &frames, enough));
            assert!(held, "the connection was closed: {received:?}");
            let acks = acks(&received);
            for (id, (call, expected)) in calls.iter().zip(&expected).enumerate() {
                let answers: Vec<_> = acks.get(&id).into_iter().flatten().map(code).collect();
                let wanted: &[_] = if call.wants_ack { &[*expected] } else { &[] };
                assert_eq!(answers, wanted, "{call:?}");
            }
            assert_errors(&received, unasked);
            runtime.block_on(stage.chat());
        },
    );
    let state = state.into_inner().unwrap();
    let stored: usize = state.0.logs.values().map(Vec::len).sum();
    println!("{} conversations, {stored} messages stored", state.1);
    assert!(stored > 0);
    runtime.block_on(assert_logs(&stage.server, state.0.logs));
}

fn count(packets: &[String], beginning: &str) -> usize {
    packets
        .iter()
        .filter(|packet| packet.starts_with(beginning))
        .count()
}

/// Asserts that the packets report exactly these failures without an ack.
fn assert_errors(packets: &[String], mut expected: Vec<(String, &str)>) {
    let errors = packets.iter().filter(|packet| packet.starts_with(ERROR));
    let errors: Vec<Value> = errors
        .map(|packet| serde_json::from_str(&packet[2..]).unwrap())
        .collect();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let failure = |packet: &Value| (text(&packet[1]["event"]), text(&packet[1]["error"]["code"]));
    let mut errors: Vec<_> = errors.iter().map(failure).collect();
    errors.sort_unstable();
    expected.sort_unstable();
    let same = errors
        .iter()
        .map(|(event, code)| (event.as_str(), code.as_str()));
    assert!(
        same.eq(expected.iter().map(|(event, code)| (event.as_str(), *code))),
        "{errors:?}, not {expected:?}"
    );
}

fn code(answer: &Value) -> Result<(), &str> {
    answer["error"]["code"].as_str().map_or(Ok(()), Err)
}

async fn assert_logs(server: &Server, logs: HashMap<String, Vec<(String, String)>>) {
    let store = server.database.store().await;
    for (room, expected) in logs {
        let page = Page {
            after: Seq::ZERO,
            before: Seq::END,
            limit: usize::MAX,
            keep: Keep::Oldest,
        };
        let log = store
            .read(&room.as_str().try_into().unwrap(), page)
            .await
            .unwrap();
        assert!(
            log.iter()
                .map(|message| message.seq.get())
                .eq(1..=expected.len() as i64),
            "{room}"
        );
        let said = log.iter().map(|message| {
            (
                message.user_id.to_string(),
                message.body.as_str().to_owned(),
            )
        });
        assert!(said.eq(expected), "{room}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_of_history_is_not_overtaken_by_the_leave_that_follows_it() {
    const ROUNDS: usize = 500;
    let server = Server::start().await;
    let mut ann = server.raw("ann").await;
    for _ in 0..ROUNDS {
        let room = json!({ "roomId": "r" });
        ann.emit("joinRoom", &room).await;
        let read = ann.emit("getHistory", &room).await;
        ann.emit("leaveRoom", &room).await;
        ann.flush().await;
        let (_, answer) = ann.until_ack(read).await;
        assert_eq!(answer["status"], "ok", "{answer}");
    }
}
