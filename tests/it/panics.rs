//! A panic costs one answer.

use std::sync::Arc;

use serde_json::json;

use crate::support::{Server, faulty::FaultyStore};

#[tokio::test(flavor = "multi_thread")]
async fn an_event_whose_handling_panics_is_answered_and_the_connection_goes_on() {
    let mut faulty = None;
    let server = Server::on_store(|store| {
        let store = FaultyStore::new(store, &[]);
        faulty = Some(Arc::clone(&store));
        store
    })
    .await;
    let faulty = faulty.unwrap();
    let mut ann = server.raw("ann").await;
    let room = json!({ "roomId": "r" });
    assert_eq!(ann.call("joinRoom", room.clone()).await["status"], "ok");
    faulty.panic_on_read(true);
    let answer = ann.call("getHistory", room.clone()).await;
    assert_eq!(
        (&answer["error"]["code"], &answer["error"]["retryable"]),
        (&json!("INTERNAL"), &json!(false))
    );
    assert!(
        !answer.to_string().contains("a fault of the test"),
        "{answer}"
    );
    ann.tell("getHistory", room.clone()).await;
    let failure = ann.next("error").await;
    assert_eq!(
        (&failure["event"], &failure["error"]["code"]),
        (&json!("getHistory"), &json!("INTERNAL"))
    );
    faulty.panic_on_read(false);
    assert_eq!(ann.call("getHistory", room).await["status"], "ok");
}
