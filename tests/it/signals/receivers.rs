//! The receivers of a signal.

use serde_json::{Value, json};

use super::{heard, signal, signal_to};
use crate::support::Server;

fn from_ann(data: Value) -> Value {
    json!({ "roomId": "r", "userId": "ann", "type": "move", "data": data })
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_else_hears_a_signal_and_so_do_other_tabs_of_the_sender() {
    let server = Server::start().await;
    let (ann, tab) = (server.client("ann").await, server.client("ann").await);
    let (bob, outsider) = (server.client("bob").await, server.client("cid").await);
    for client in [&ann, &tab, &bob] {
        client.join("r").await;
    }
    outsider.join("s").await;
    let answer = ann.ok("signal", signal(json!({ "x": 1 }))).await;
    assert_eq!(answer, json!({ "status": "ok" }));
    for other in [&tab, &bob] {
        assert_eq!(other.next("signal").await, from_ann(json!({ "x": 1 })));
    }
    for nobody in [&ann, &outsider] {
        assert_eq!(heard(nobody).await, [Value::Null; 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_to_a_user_reaches_all_of_its_clients_in_the_room_and_nobody_else() {
    let server = Server::start().await;
    let ann = server.client("ann").await;
    let bobs = [server.client("bob").await, server.client("bob").await];
    let (elsewhere, cid) = (server.client("bob").await, server.client("cid").await);
    for client in [&ann, &bobs[0], &bobs[1], &cid] {
        client.join("r").await;
    }
    elsewhere.join("s").await;
    ann.ok("signal", signal_to("bob", json!({}))).await;
    for bob in &bobs {
        assert_eq!(bob.next("signal").await, from_ann(json!({})));
    }
    for nobody in [&ann, &elsewhere, &cid] {
        assert_eq!(heard(nobody).await, [Value::Null; 0]);
    }
    let absent = ann.ok("signal", signal_to("nobody", json!({}))).await;
    assert_eq!(absent, json!({ "status": "ok" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_to_oneself_reaches_the_other_tabs() {
    let server = Server::start().await;
    let tabs = [server.client("ann").await, server.client("ann").await];
    for tab in &tabs {
        tab.join("r").await;
    }
    tabs[0].ok("signal", signal_to("ann", json!({}))).await;
    assert_eq!(tabs[1].next("signal").await, from_ann(json!({})));
    assert_eq!(heard(&tabs[0]).await, [Value::Null; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_who_has_left_hears_a_signal() {
    let server = Server::start().await;
    let (ann, bob) = (server.client("ann").await, server.client("bob").await);
    let cid = server.client("cid").await;
    for client in [&ann, &bob, &cid] {
        client.join("r").await;
    }
    bob.ok("leaveRoom", json!({ "roomId": "r" })).await;
    ann.ok("signal", signal(json!({}))).await;
    ann.ok("signal", signal_to("bob", json!({}))).await;
    cid.next("signal").await;
    assert_eq!(heard(&bob).await, [Value::Null; 0]);
    assert_eq!(
        bob.refused("signal", signal(json!({}))).await,
        "NOT_IN_ROOM"
    );
    bob.join("r").await;
    assert_eq!(heard(&bob).await, [Value::Null; 0], "nothing is kept");
    ann.ok("signal", signal_to("bob", json!({ "x": 2 }))).await;
    assert_eq!(bob.next("signal").await, from_ann(json!({ "x": 2 })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_no_party_of_a_call_reaches_none() {
    let server = Server::start().await;
    let ann = server.client("ann").await;
    ann.join("r").await;
    let mut to_party = signal(json!({}));
    to_party["to"] = json!({ "partyId": "tab 1" });
    assert_eq!(ann.refused("signal", to_party).await, "FORBIDDEN");
}
