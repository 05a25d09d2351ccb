//! Repeats of messages, by their `clientMessageId`.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use futures_util::future::join;
use parlor::model::{Body, Draft};
use serde_json::{Value, json};

use super::{Moderator, Reply, member, server, stored};
use crate::{
    api::{Backend, WITH_KEY},
    support::{Client, Database, conformance, log::append},
};

conformance![
    a_repeat_of_a_stored_message_gets_it_whatever_is_thought_of_it_now,
    a_sent_message_is_found_by_its_name,
];

/// Sends a message by a name.
async fn send(client: &Client, text: &str, name: &str) -> Value {
    let message = json!({ "roomId": "r", "message": text, "clientMessageId": name });
    client.call("sendMessage", message).await
}

async fn a_repeat_of_a_stored_message_gets_it_whatever_is_thought_of_it_now(database: Database) {
    let refuses = Arc::new(AtomicBool::new(false));
    let refusing = refuses.clone();
    let mut moderator = Moderator::deciding(move |_| match refusing.load(Ordering::Relaxed) {
        true => Reply::refuse("no"),
        false => Reply::change("fine"),
    })
    .await;
    let server = server(database, &moderator, &[WITH_KEY]).await;
    let ann = member(&server, "ann").await;
    let first = send(&ann, "hello", "1").await;
    assert_eq!(first["message"]["message"], "fine");
    let repeat = json!({ "status": "ok", "message": first["message"], "duplicate": true });
    let backend = Backend::of(&server);
    let by_rest =
        json!({ "roomId": "r", "userId": "ann", "message": "hello", "clientMessageId": "1" });
    for refused in [false, true] {
        refuses.store(refused, Ordering::Relaxed);
        assert_eq!(send(&ann, "hello", "1").await, repeat);
        let again = backend.write("POST", "/messages", by_rest.clone()).await;
        assert_eq!(
            (again.status, &again.body["message"]),
            (200, &first["message"])
        );
    }
    // Another user's message of the same name is another one, and a refused one may be allowed later.
    let bob = member(&server, "bob").await;
    assert_eq!(send(&bob, "hello", "1").await["error"]["code"], "FORBIDDEN");
    refuses.store(false, Ordering::Relaxed);
    assert_eq!(send(&bob, "hello", "1").await["message"]["seq"], 2);
    moderator.end().await;
    assert_eq!(send(&ann, "hello", "1").await, repeat);
    assert_eq!(
        send(&ann, "hello", "2").await["error"]["code"],
        "UNAVAILABLE"
    );
    assert_eq!(stored(&ann).await, ["fine", "fine"]);
}

async fn a_sent_message_is_found_by_its_name(database: Database) {
    let store = database.store().await;
    store.migrate().await.unwrap();
    append(&database, "r", "ann", &["nameless"]).await;
    let body = Body::parse("hello", 5).unwrap();
    let (room, ann) = ("r".try_into().unwrap(), "ann".try_into().unwrap());
    let name = "1".try_into().unwrap();
    let draft = Draft::new(room, ann, None, body, Some(name));
    store.append(&[draft]).await.unwrap();
    let find = async |room: &str, user: &str, name: &str| {
        let (room, user) = (room.try_into().unwrap(), user.try_into().unwrap());
        let name = name.try_into().unwrap();
        let found = store.find_sent(&room, &user, &name).await.unwrap();
        found.map(|message| message.seq.get())
    };
    assert_eq!(find("r", "ann", "1").await, Some(2));
    for (room, user, name) in [("r", "ann", "2"), ("r", "bob", "1"), ("s", "ann", "1")] {
        assert_eq!(find(room, user, name).await, None, "{room} {user} {name}");
    }
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_repeat_comes_back_while_the_first_is_under_way() {
    let is_first = AtomicBool::new(true);
    let moderator = Moderator::deciding(move |_| match is_first.swap(false, Ordering::Relaxed) {
        true => Reply::Held,
        false => Reply::refuse("no"),
    })
    .await;
    let server = server(Database::sqlite(), &moderator, &[]).await;
    let (ann, same) = (member(&server, "ann").await, member(&server, "ann").await);
    let repeating = async {
        moderator.until_held(1).await;
        let repeated = send(&same, "hello", "1").await;
        moderator.answer("hello", Reply::allow()).await;
        repeated
    };
    let (first, repeated) = join(send(&ann, "hello", "1"), repeating).await;
    assert_eq!(repeated["error"]["code"], "UNAVAILABLE");
    assert_eq!(
        (&first["status"], &first["duplicate"]),
        (&json!("ok"), &json!(false))
    );
    let repeated = send(&same, "hello", "1").await;
    assert_eq!(
        (&repeated["message"], &repeated["duplicate"]),
        (&first["message"], &json!(true))
    );
}
