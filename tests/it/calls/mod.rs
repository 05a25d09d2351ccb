//! Calls: one in a room, with an end in any case.

mod crowd;
mod ice;
mod model;
mod rules;
mod signals;
mod times;

use serde_json::{Value, json};

use crate::support::{Client, Server};

const ROOM: &str = "r";

/// Enough for tests that do much at once.
const FLAGS: [&str; 2] = ["--message-burst=10000", "--messages-per-second=10000"];

impl Client {
    /// Connects a user and joins the room.
    async fn in_room(server: &Server, user: &str) -> Self {
        let client = server.client(user).await;
        client.join(ROOM).await;
        client
    }

    /// Starts a call, and returns the answer.
    async fn starts(&self, call: &str, party: &str) -> Value {
        let start = json!({ "roomId": ROOM, "callId": call, "partyId": party, "media": "video" });
        self.call("startCall", start).await
    }

    /// Joins a call, and returns the answer.
    async fn answers(&self, call: &str, party: &str) -> Value {
        let join = json!({ "roomId": ROOM, "callId": call, "partyId": party });
        self.call("joinCall", join).await
    }

    /// Declines a call, and returns the call.
    async fn rejects(&self, call: &str) -> Value {
        let reject = json!({ "roomId": ROOM, "callId": call });
        self.ok("rejectCall", reject).await["call"].clone()
    }

    /// Leaves a call, and returns the call.
    async fn hangs_up(&self, call: &str, party: &str) -> Value {
        let leave = json!({ "roomId": ROOM, "callId": call, "partyId": party });
        self.ok("leaveCall", leave).await["call"].clone()
    }

    /// Waits for a change after which the call is as wanted, and returns it.
    async fn call_until(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let changed = self.next("roomChanged").await;
            let call = &changed["room"]["call"];
            if wanted(call) {
                return call.clone();
            }
        }
    }

    /// Waits for the end of the call, and returns its reason.
    async fn ended(&self) -> String {
        let call = self.call_until(|call| call["state"] == "ended").await;
        call["endedReason"].as_str().unwrap().to_owned()
    }

    /// Waits for the end of the call and for the message that it leaves, in whatever order. Returns the reason
    /// and the text.
    async fn ended_with_message(&self) -> (String, String) {
        let (mut reason, mut text) = (None, None);
        loop {
            let (event, payload) = self.next_any().await;
            match event.as_str() {
                "roomChanged" => {
                    let ended = &payload["room"]["call"]["endedReason"];
                    reason = reason.or(ended.as_str().map(str::to_owned));
                }
                "newMessage" => text = payload["message"].as_str().map(str::to_owned),
                _ => {}
            }
            if let (Some(reason), Some(text)) = (&reason, &text) {
                return (reason.clone(), text.clone());
            }
        }
    }

    /// Reads the call as somebody who joins the room now is told.
    async fn reads_call(&self) -> Value {
        self.join(ROOM).await["room"]["call"].clone()
    }
}

/// Returns the users of the parties of an answer's call.
fn users(answer: &Value) -> Vec<&str> {
    let call = answer.get("call").unwrap_or(answer);
    let parties = call["parties"].as_array().unwrap().iter();
    parties
        .map(|party| party["userId"].as_str().unwrap())
        .collect()
}

/// Returns the code of a refusal.
fn code(answer: &Value) -> &str {
    answer["error"]["code"].as_str().unwrap_or("ok")
}
