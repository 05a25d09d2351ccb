//! Many who call at once.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{FLAGS, code, users};
use crate::support::{Client, Database, Server};

const PAIRS: usize = 200;
const TIMES: usize = 200;

async fn two_servers() -> [Server; 2] {
    let first = Server::on(Database::postgres().await, &FLAGS).await;
    let second = Server::on(first.database.shared(), &FLAGS).await;
    [first, second]
}

/// Returns the only call that all answers speak of, and the number of those that won.
fn settled(answers: &[Value]) -> (&Value, usize) {
    let call = |answer: &'_ Value| match code(answer) {
        "ok" => answer["call"]["callId"].clone(),
        "CONFLICT" => answer["error"]["current"]["callId"].clone(),
        other => panic!("{other}: {answer}"),
    };
    let winners: Vec<_> = answers.iter().filter(|one| code(one) == "ok").collect();
    let won = winners.first().expect("somebody wins");
    for answer in answers {
        assert_eq!(call(answer), won["call"]["callId"], "all know of one call");
    }
    (&won["call"], winners.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_200_pairs_who_call_each_other_at_once_on_two_servers_each_has_one_call() {
    let servers = two_servers().await;
    let pairs = (0..PAIRS).map(async |number| {
        let room = format!("pair {number}");
        let sides = [0, 1].map(async |side: usize| {
            let client = servers[side].client(&format!("{number} {side}")).await;
            client.join(&room).await;
            client
        });
        (room.clone(), join_all(sides).await)
    });
    let pairs = join_all(pairs).await;
    let calls = pairs.iter().map(async |(room, sides)| {
        let starts = sides.iter().enumerate().map(|(side, client)| {
            let (call, party) = (format!("{room} {side}"), format!("party {side}"));
            client.call(
                "startCall",
                json!({ "roomId": room, "callId": call, "partyId": party, "media": "audio" }),
            )
        });
        let answers = join_all(starts).await;
        let (call, winners) = settled(&answers);
        assert_eq!(winners, 1, "{room}");
        // The loser joins the winner's call.
        let loser = answers.iter().position(|one| code(one) != "ok").unwrap();
        let join = json!({ "roomId": room, "callId": call["callId"], "partyId": format!("party {loser}") });
        let joined = sides[loser].ok("joinCall", join).await;
        assert_eq!(users(&joined).len(), 2);
        joined["call"].clone()
    });
    let calls = join_all(calls).await;
    assert_eq!(calls.len(), PAIRS);
    for ((room, sides), call) in pairs.iter().zip(&calls) {
        for client in sides {
            assert_eq!(client.join(room).await["room"]["call"], *call, "{room}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_three_tabs_that_accept_at_once_one_is_in_and_the_others_are_told_200_times() {
    let servers = two_servers().await;
    let ann = Client::in_room(&servers[0], "ann").await;
    let tabs = [0, 1, 0].map(async |server: usize| Client::in_room(&servers[server], "bob").await);
    let tabs = join_all(tabs).await;
    for number in 0..TIMES {
        let call = format!("call {number}");
        assert_eq!(code(&ann.starts(&call, "ann").await), "ok");
        let accepts = tabs
            .iter()
            .enumerate()
            .map(async |(tab, client)| client.answers(&call, &format!("tab {tab}")).await);
        let answers = join_all(accepts).await;
        let (active, winners) = settled(&answers);
        assert_eq!((winners, users(active)), (1, vec!["ann", "bob"]));
        for tab in &tabs {
            let told = tab.call_until(|told| told["callId"] == call && told["state"] == "active");
            assert_eq!(told.await, *active, "they stop ringing");
        }
        let party = active["parties"][1]["partyId"].as_str().unwrap();
        let winner: usize = party.strip_prefix("tab ").unwrap().parse().unwrap();
        tabs[winner].hangs_up(&call, party).await;
        assert_eq!(ann.hangs_up(&call, "ann").await["endedReason"], "left");
    }
}
