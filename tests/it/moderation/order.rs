//! The order of messages, and the bounds of those that wait.

use std::collections::HashMap;

use futures_util::future::join;
use parlor::testing::moderation::{MAX_ASKED, MAX_IN_FLIGHT};
use serde_json::{Value, json};

use super::{Moderator, Reply, member, message, server, stored};
use crate::{
    api::{Backend, WITH_KEY},
    support::{Database, FLOODED, RawClient, Server, eventually, raw::Packet},
};

/// Holds the messages that begin with "slow".
fn holding_slow(question: &Value) -> Reply {
    match question["message"].as_str().unwrap().starts_with("slow") {
        true => Reply::Held,
        false => Reply::allow(),
    }
}

/// Connects a user, who enters the room `r` and can have several requests under way.
async fn pipelining(server: &Server, user: &str) -> RawClient {
    let mut client = server.raw(user).await;
    client.call("joinRoom", json!({ "roomId": "r" })).await;
    client
}

/// Emits sends to the room `r`, one after another, and returns their acks' ids.
async fn emit(client: &mut RawClient, texts: &[impl AsRef<str>]) -> Vec<u64> {
    let mut ids = vec![];
    for text in texts {
        ids.push(client.emit("sendMessage", &message(text.as_ref())).await);
    }
    client.flush().await;
    ids
}

/// Waits for acks, in any order, and returns them in the order of their ids.
async fn acks(client: &mut RawClient, ids: &[u64]) -> Vec<Value> {
    let mut answers = HashMap::new();
    while !ids.iter().all(|id| answers.contains_key(id)) {
        match client.packet().await {
            Packet::Ack(id, answer) => _ = answers.insert(id, answer),
            Packet::Event(..) => {}
            Packet::Other(frame) => panic!("waiting for acks: {frame}"),
        }
    }
    ids.iter().map(|id| answers[id].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_a_socket_keep_their_order_and_other_sockets_do_not_wait() {
    for database in Database::each_kind().await {
        let moderator = Moderator::deciding(holding_slow).await;
        let server = server(database, &moderator, &[]).await;
        let mut ann = pipelining(&server, "ann").await;
        let bob = member(&server, "bob").await;
        let ids = emit(&mut ann, &["slow 1", "2", "3", "slow 4", "5"]).await;
        moderator.until_held(2).await;
        eventually("all questions", async || moderator.questions().len() == 5).await;
        bob.send("r", "bob's").await;
        assert_eq!(stored(&bob).await, ["bob's"]);
        moderator.answer("slow 4", Reply::allow()).await;
        moderator.answer("slow 1", Reply::change("first")).await;
        let sent = acks(&mut ann, &ids).await;
        let seqs = sent.iter().map(|ack| ack["message"]["seq"].as_u64());
        assert_eq!(Vec::from_iter(seqs), [2, 3, 4, 5, 6].map(Some), "{sent:?}");
        assert_eq!(
            stored(&bob).await,
            ["bob's", "first", "2", "3", "slow 4", "5"]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_message_holds_up_none_after_it() {
    let moderator = Moderator::deciding(holding_slow).await;
    let server = server(Database::sqlite(), &moderator, &[]).await;
    let mut ann = pipelining(&server, "ann").await;
    let ids = emit(&mut ann, &["slow", "next"]).await;
    eventually("both questions", async || moderator.questions().len() == 2).await;
    moderator.answer("slow", Reply::refuse("no")).await;
    let sent = acks(&mut ann, &ids).await;
    assert_eq!(sent[0]["error"]["message"], "no");
    assert_eq!(sent[1]["message"]["seq"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_waits_for_the_edit_before_it() {
    let moderator = Moderator::deciding(holding_slow).await;
    let server = server(Database::sqlite(), &moderator, &[]).await;
    let mut ann = pipelining(&server, "ann").await;
    ann.call("sendMessage", message("hello")).await;
    let edit = json!({ "roomId": "r", "seq": 1, "message": "slow" });
    let edit = ann.emit("editMessage", &edit).await;
    let deletion = json!({ "roomId": "r", "seq": 1 });
    let deletion = ann.emit("deleteMessage", &deletion).await;
    // The answer to a later event shows that the deletion has had its turn.
    ann.call("typing", json!({ "roomId": "r", "isTyping": true }))
        .await;
    moderator.answer("slow", Reply::allow()).await;
    for ack in acks(&mut ann, &[edit, deletion]).await {
        assert_eq!(ack["status"], "ok", "{ack}");
    }
    let question = moderator.questions().pop().unwrap();
    assert_eq!(question["message"], "slow");
}

#[tokio::test(flavor = "multi_thread")]
async fn few_questions_of_a_socket_are_in_flight_and_a_bounded_number_of_a_server() {
    let moderator = Moderator::deciding(holding_slow).await;
    let server = server(Database::sqlite(), &moderator, &[FLOODED]).await;
    let texts = |count: usize| Vec::from_iter((0..count).map(|number| format!("slow {number}")));
    let mut ann = pipelining(&server, "ann").await;
    let ids = emit(&mut ann, &texts(MAX_ASKED + 4)).await;
    // The answer to a later event shows that all of them have had their turns.
    ann.call("typing", json!({ "roomId": "r", "isTyping": true }))
        .await;
    moderator.until_held(MAX_ASKED).await;
    moderator.answer_all(&Reply::allow());
    moderator.until_held(4).await;
    assert_eq!(moderator.most_in_flight(), MAX_ASKED);
    moderator.answer_all(&Reply::allow());
    assert_stored(&acks(&mut ann, &ids).await);

    let sockets = MAX_IN_FLIGHT / MAX_ASKED + 2;
    let mut others = vec![];
    for number in 0..sockets {
        others.push(pipelining(&server, &format!("user {number}")).await);
    }
    let mut emitted = vec![];
    for other in &mut others {
        emitted.push(emit(other, &texts(MAX_ASKED)).await);
    }
    moderator.until_held(MAX_IN_FLIGHT).await;
    moderator.answer_all(&Reply::allow());
    let rest = sockets * MAX_ASKED - MAX_IN_FLIGHT;
    moderator.until_held(rest).await;
    moderator.answer_all(&Reply::allow());
    for (other, ids) in others.iter_mut().zip(emitted) {
        assert_stored(&acks(other, &ids).await);
    }
    assert_eq!(moderator.most_in_flight(), MAX_IN_FLIGHT);
}

fn assert_stored(acks: &[Value]) {
    for ack in acks {
        assert_eq!(ack["status"], "ok", "{ack}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_keeps_its_order() {
    let moderator = Moderator::deciding(holding_slow).await;
    let server = server(Database::sqlite(), &moderator, &[WITH_KEY]).await;
    let backend = Backend::of(&server);
    let post = |text: &str| {
        let body = json!({ "roomId": "r", "userId": "eve", "message": text });
        json!({ "method": "POST", "path": "/messages", "body": body })
    };
    let requests = ["slow", "2", "3"].map(post);
    let batch = json!({ "requests": requests });
    let answering = moderator.answer("slow", Reply::allow());
    join(backend.ok("POST", "/batch", batch), answering).await;
    let ann = member(&server, "ann").await;
    assert_eq!(stored(&ann).await, ["slow", "2", "3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_messages_that_are_asked_about() {
    let moderator = Moderator::deciding(holding_slow).await;
    let server = server(Database::sqlite(), &moderator, &[]).await;
    let mut ann = pipelining(&server, "ann").await;
    let ids = emit(&mut ann, &["slow"]).await;
    moderator.until_held(1).await;
    let answering = async {
        eventually("the refusal of events", async || {
            let send = json!({ "roomId": "r", "message": " " });
            ann.call("sendMessage", send).await["error"]["code"] == "UNAVAILABLE"
        })
        .await;
        moderator.answer("slow", Reply::allow()).await;
        acks(&mut ann, &ids).await
    };
    let ((_database, stopped), sent) = join(server.stop(), answering).await;
    stopped.unwrap();
    assert_eq!(sent[0]["message"]["seq"], 1, "{sent:?}");
}
