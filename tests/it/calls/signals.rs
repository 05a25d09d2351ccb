//! Signals between the parties of a call.

use serde_json::{Value, json};

use super::{FLAGS, ROOM, code};
use crate::support::{Client, Database, Server};

/// Sends a signal to a party, and returns the answer.
async fn signal(client: &Client, to: &str, data: Value) -> Value {
    let signal = json!({ "roomId": ROOM, "type": "rtc", "data": data, "to": { "partyId": to } });
    client.call("signal", signal).await
}

/// Returns the signals that a client has heard before a signal to everybody.
async fn heard(client: &Client) -> Vec<Value> {
    let mut heard = vec![];
    loop {
        let signal = client.next("signal").await;
        if signal["type"] == "end" {
            return heard;
        }
        heard.push(signal["data"].clone());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_party_hears_what_is_for_it_and_nobody_else_does_on_two_servers() {
    let first = Server::on(Database::postgres().await, &FLAGS).await;
    let second = Server::on(first.database.shared(), &FLAGS).await;
    let ann = Client::in_room(&first, "ann").await;
    let bob = Client::in_room(&second, "bob").await;
    let other_tab = Client::in_room(&second, "bob").await;
    let eve = Client::in_room(&second, "eve").await;
    let near = Client::in_room(&first, "near").await;
    ann.starts("c1", "ann").await;
    bob.answers("c1", "bob").await;
    near.answers("c1", "near").await;
    assert_eq!(code(&signal(&eve, "bob", json!({})).await), "FORBIDDEN");
    // Whoever takes the name of another's party gets nothing by it.
    assert_eq!(code(&eve.answers("c1", "bob").await), "FORBIDDEN");
    let large = "x".repeat(12_000);
    for number in 0..20 {
        let data =
            json!({ "number": number, "candidates": if number % 2 == 0 { &large } else { "" } });
        assert_eq!(code(&signal(&ann, "bob", data.clone()).await), "ok");
        assert_eq!(code(&signal(&ann, "near", data).await), "ok");
    }
    let end = json!({ "roomId": ROOM, "type": "end", "data": {} });
    ann.ok("signal", end.clone()).await;
    for party in [&bob, &near] {
        let numbers = heard(party).await.into_iter();
        let numbers: Vec<_> = numbers.map(|data| data["number"].clone()).collect();
        assert_eq!(numbers, Vec::from_iter((0..20).map(Value::from)));
    }
    for third in [&other_tab, &eve] {
        assert_eq!(heard(third).await, [] as [Value; 0]);
    }
    // After it has left, another party of this name is another client.
    bob.hangs_up("c1", "bob").await;
    assert_eq!(code(&signal(&bob, "ann", json!({})).await), "FORBIDDEN");
    assert_eq!(code(&other_tab.answers("c1", "bob").await), "ok");
    assert_eq!(
        code(&signal(&ann, "bob", json!({ "for": "the tab" })).await),
        "ok"
    );
    near.ok("leaveRoom", json!({ "roomId": ROOM })).await;
    assert_eq!(
        code(&signal(&ann, "near", json!({ "for": "nobody" })).await),
        "ok"
    );
    ann.ok("signal", end).await;
    assert_eq!(heard(&other_tab).await, [json!({ "for": "the tab" })]);
    assert_eq!(heard(&bob).await, [] as [Value; 0]);
    let signals = near.received().await.into_iter();
    let signals: Vec<_> = signals.filter(|(event, _)| event == "signal").collect();
    assert_eq!(signals, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_names_its_senders_party_and_a_party_that_hears_of_another_reaches_it_at_once() {
    const TIMES: usize = 40;
    let first = Server::on(Database::postgres().await, &FLAGS).await;
    let second = Server::on(first.database.shared(), &FLAGS).await;
    let ann = Client::in_room(&first, "ann").await;
    let bob = Client::in_room(&second, "bob").await;
    for number in 0..TIMES {
        let (call, party) = (format!("c{number}"), format!("p{number}"));
        ann.starts(&call, "ann").await;
        let joining = bob.answers(&call, &party);
        let greeting = async {
            ann.call_until(|told| told["callId"] == call && told["state"] == "active")
                .await;
            signal(&ann, &party, json!({ "call": call })).await
        };
        let (joined, greeted) = tokio::join!(joining, greeting);
        assert_eq!((code(&joined), code(&greeted)), ("ok", "ok"));
        let greeted = bob.next("signal").await;
        assert_eq!(
            (&greeted["partyId"], &greeted["data"]["call"]),
            (&json!("ann"), &json!(call))
        );
        bob.hangs_up(&call, &party).await;
        ann.hangs_up(&call, "ann").await;
    }
}

/// Its server learns of the end by the next heartbeat; until then it is a party of a call that is over.
#[tokio::test(flavor = "multi_thread")]
async fn a_party_of_an_ended_call_hears_nothing_for_its_name_in_the_next_one() {
    let first = Server::on(Database::postgres().await, &FLAGS).await;
    let second = Server::on(first.database.shared(), &FLAGS).await;
    let ann = Client::in_room(&first, "ann").await;
    let bob = Client::in_room(&first, "bob").await;
    let eve = Client::in_room(&second, "eve").await;
    let start = json!({ "roomId": ROOM, "callId": "c1", "partyId": "bob's", "media": "audio", "to": "ann" });
    eve.ok("startCall", start).await;
    assert_eq!(ann.rejects("c1").await["endedReason"], "rejected");
    bob.starts("c2", "bob's").await;
    ann.answers("c2", "ann's").await;
    let told = signal(&ann, "bob's", json!({ "for": "bob" })).await;
    assert_eq!(code(&told), "ok");
    // Neither does it reach anybody, nor is it told the servers.
    signal(&eve, "ann's", json!({ "from": "eve" })).await;
    let ask = json!({ "roomId": ROOM, "callId": "c2" });
    assert_eq!(eve.refused("getIceServers", ask).await, "FORBIDDEN");
    let end = json!({ "roomId": ROOM, "type": "end", "data": {} });
    let last = Client::in_room(&second, "last").await;
    ann.ok("signal", end.clone()).await;
    for client in [&eve, &last] {
        assert_eq!(heard(client).await, [] as [Value; 0]);
    }
    eve.ok("signal", end).await;
    assert_eq!(heard(&bob).await, [json!({ "for": "bob" })]);
    assert_eq!(heard(&ann).await, [] as [Value; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_party_id_stays_one_users_within_a_call_and_the_latest_client_has_it() {
    for server in &Server::on_each_kind().await {
        let vic = Client::in_room(server, "vic").await;
        let bob = Client::in_room(server, "bob").await;
        let eve = [
            Client::in_room(server, "eve").await,
            Client::in_room(server, "eve").await,
        ];
        vic.starts("c", "vic").await;
        assert_eq!(code(&eve[0].answers("c", "shared").await), "ok");
        // The second tab takes its place, at once.
        assert_eq!(code(&eve[1].answers("c", "shared").await), "ok");
        assert_eq!(code(&signal(&eve[0], "vic", json!({})).await), "FORBIDDEN");
        signal(&vic, "shared", json!({ "for": "the latest" })).await;
        // The first one leaves the room, and the second one stays in the call.
        eve[0].ok("leaveRoom", json!({ "roomId": ROOM })).await;
        assert_eq!(super::users(&vic.reads_call().await), ["vic", "eve"]);
        eve[0].join(ROOM).await;
        // It leaves the call for the other one, and nobody else gets the name.
        eve[0].hangs_up("c", "shared").await;
        assert_eq!(code(&signal(&eve[1], "vic", json!({})).await), "FORBIDDEN");
        assert_eq!(code(&bob.answers("c", "shared").await), "FORBIDDEN");
        assert_eq!(code(&bob.answers("c", "bob").await), "ok");
        let end = json!({ "roomId": ROOM, "type": "end", "data": {} });
        vic.ok("signal", end).await;
        assert_eq!(heard(&eve[1]).await, [json!({ "for": "the latest" })]);
        for other in [&eve[0], &bob] {
            assert_eq!(heard(other).await, [] as [Value; 0]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_on_another_server_loses_its_party_to_the_latest_one() {
    let first = Server::on(Database::postgres().await, &FLAGS).await;
    let second = Server::on(first.database.shared(), &FLAGS).await;
    let vic = Client::in_room(&first, "vic").await;
    let old = Client::in_room(&first, "eve").await;
    let new = Client::in_room(&second, "eve").await;
    vic.starts("c", "vic").await;
    old.answers("c", "eve").await;
    assert_eq!(code(&new.answers("c", "eve").await), "ok");
    // The old one hangs up for itself alone.
    old.ok("leaveRoom", json!({ "roomId": ROOM })).await;
    assert_eq!(super::users(&vic.reads_call().await), ["vic", "eve"]);
    let back = Client::in_room(&first, "eve").await;
    assert_eq!(code(&back.answers("c", "eve").await), "ok");
    crate::support::eventually("the end of the other's part", async || {
        code(&signal(&new, "vic", json!({})).await) == "FORBIDDEN"
    })
    .await;
}
