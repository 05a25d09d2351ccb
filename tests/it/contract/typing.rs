//! `typing`.

use serde_json::{Value, json};

use super::{assert_ok, received};
use crate::support::Server;

#[tokio::test(flavor = "multi_thread")]
async fn everybody_else_in_the_room_hears_of_typing() {
    let server = Server::start().await;
    let (ann, bob, cid) = (
        server.client("ann").await,
        server.client("bob").await,
        server.client("cid").await,
    );
    for client in [&ann, &bob, &cid] {
        client.join("r").await;
    }
    for is_typing in [true, false] {
        assert_ok(
            &ann.call("typing", json!({ "roomId": "r", "isTyping": is_typing }))
                .await,
            &[],
        );
        for other in [&bob, &cid] {
            let told = other.next("typing").await;
            assert_eq!(
                told,
                json!({ "roomId": "r", "userId": "ann", "isTyping": is_typing })
            );
        }
    }
    assert_eq!(received(&ann, "typing").await, [Value::Null; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_tab_of_the_typing_user_hears_of_it() {
    let server = Server::start().await;
    let (ann, bob) = (server.client("ann").await, server.client("bob").await);
    let tabs = [server.client("ann").await, server.client("ann").await];
    for client in [&ann, &bob, &tabs[0], &tabs[1]] {
        client.join("r").await;
    }
    for is_typing in [true, false] {
        ann.ok("typing", json!({ "roomId": "r", "isTyping": is_typing }))
            .await;
        assert_eq!(bob.next("typing").await["isTyping"], is_typing);
    }
    tabs[0].ok("leaveRoom", json!({ "roomId": "r" })).await;
    tabs[1]
        .ok("typing", json!({ "roomId": "r", "isTyping": true }))
        .await;
    assert_eq!(bob.next("typing").await["isTyping"], true);
    bob.ok("typing", json!({ "roomId": "r", "isTyping": true }))
        .await;
    for tab in [&ann, &tabs[1]] {
        assert_eq!(tab.next("typing").await["userId"], "bob");
        assert_eq!(received(tab, "typing").await, [Value::Null; 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_outside_the_room_hears_of_typing() {
    let server = Server::start().await;
    let (ann, left, elsewhere) = (
        server.client("ann").await,
        server.client("bob").await,
        server.client("cid").await,
    );
    ann.join("r").await;
    left.join("r").await;
    elsewhere.join("s").await;
    left.ok("leaveRoom", json!({ "roomId": "r" })).await;
    ann.ok("typing", json!({ "roomId": "r", "isTyping": true }))
        .await;
    assert_eq!(received(&left, "typing").await, [Value::Null; 0]);
    assert_eq!(received(&elsewhere, "typing").await, [Value::Null; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn typing_is_not_kept() {
    let server = Server::start().await;
    let (ann, bob) = (server.client("ann").await, server.client("bob").await);
    ann.join("r").await;
    ann.ok("typing", json!({ "roomId": "r", "isTyping": true }))
        .await;
    assert_eq!(bob.join("r").await["lastSeq"], 0);
    assert_eq!(received(&bob, "typing").await, [Value::Null; 0]);
}
