//! The servers of calls, for their parties.

use clap::Parser;
use parlor::{
    Config,
    testing::{calling::IceServers, error::Error},
};
use serde_json::{Value, json};

use super::{House, room};

/// The requests of a user in a minute.
const REQUESTS: usize = 10;

fn servers(flags: &[&str]) -> IceServers {
    let flags = [&["parlor"], flags].concat();
    Config::parse_from(flags).ice_servers().unwrap()
}

#[tokio::test]
async fn only_a_party_is_told_the_servers_of_its_call() {
    let mut house = House::new().await;
    let call = "call".try_into().unwrap();
    let ann = house.user("ann");
    let told = |house: &House| house.chat.ice_servers(&ann, &room(), &call);
    assert_eq!(told(&house).unwrap_err(), Error::NotInRoom);
    house.join(&ann).await;
    assert_eq!(told(&house).unwrap_err().code(), "FORBIDDEN");
    ann.set_party(&room(), Some("party".try_into().unwrap()));
    let without = serde_json::to_value(told(&house).unwrap()).unwrap();
    assert_eq!(without, json!({ "iceServers": [] }));

    let turn = "--turn-urls=turn:turn.example";
    let secret = "--turn-secret=the-secret-of-the-tests";
    house.chat = house.chat.with_ice_servers(servers(&[turn, secret]));
    let answer: Value = serde_json::to_value(told(&house).unwrap()).unwrap();
    assert_eq!(
        answer["iceServers"][0]["urls"],
        json!(["turn:turn.example"])
    );
    assert!(answer["expiresAt"].is_string(), "{answer}");
    house.chat.leave(&ann, &room()).await.unwrap();
    assert_eq!(told(&house).unwrap_err(), Error::NotInRoom);
}

#[tokio::test]
async fn a_user_is_told_servers_ten_times_a_minute_over_all_tabs() {
    let house = House::new().await;
    let call = "call".try_into().unwrap();
    let tabs = [house.user("ann"), house.user("ann"), house.user("bob")];
    for tab in &tabs {
        house.join(tab).await;
        tab.set_party(&room(), Some("party".try_into().unwrap()));
    }
    let [ann, other, bob] = &tabs;
    for request in 0..REQUESTS {
        let tab = [ann, other][request % 2];
        house.chat.ice_servers(tab, &room(), &call).unwrap();
    }
    let refused = house.chat.ice_servers(ann, &room(), &call).unwrap_err();
    assert_eq!(refused.code(), "RATE_LIMITED");
    let seconds = refused.retry_after().unwrap().as_secs_f64();
    assert!((1.0..=6.0).contains(&seconds), "{seconds} s");
    house.chat.ice_servers(bob, &room(), &call).unwrap();
}
