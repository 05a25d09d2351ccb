//! Clients' own events on their way through a room's task. On one thread, the task does not run while a test does not wait.

use parlor::{
    model::{MAX_SIGNAL_DATA_BYTES, Part, Recipient, Relayed, SignalData},
    testing::room::MAILBOX_CAPACITY,
};

use super::*;

impl House {
    fn signal(&self, sender: &Participant, data: &str, to: Option<Recipient>) -> Result<(), Error> {
        let data: SignalData = serde_json::from_str(data).unwrap();
        let event = "move".try_into().unwrap();
        self.chat.signal(sender, &room(), event, data, to)
    }

    /// Sends events until one is refused, and returns the number of those before.
    fn fill(&self, sender: &Participant, data: &str) -> usize {
        let mut sent = 0;
        while self.signal(sender, data, None).is_ok() {
            sent += 1;
            assert!(sent <= 2 * MAILBOX_CAPACITY);
        }
        sent
    }

    /// Waits until the room has relayed so many events, and takes them.
    async fn relayed(&self, count: usize) -> Vec<Relayed> {
        let relayed = || self.sent.relayed.lock().unwrap();
        eventually("the events", async || relayed().len() >= count).await;
        std::mem::take(&mut *relayed())
    }
}

#[tokio::test]
async fn a_full_mailbox_refuses_events_and_relays_all_that_it_took() {
    let house = House::new().await;
    let ann = house.user("ann");
    house.join(&ann).await;
    let large = format!(r#"{{"a":"{}"}}"#, "x".repeat(MAX_SIGNAL_DATA_BYTES - 8));
    for (data, most) in [
        ("{}", MAILBOX_CAPACITY),
        (&large, MAILBOX_BYTES / MAX_SIGNAL_DATA_BYTES + 1),
    ] {
        let sent = house.fill(&ann, data);
        assert!((most - 1..=most).contains(&sent), "{sent}");
        let refused = house.signal(&ann, data, None).unwrap_err();
        assert_eq!(refused.code(), "UNAVAILABLE");
        assert_eq!(house.relayed(sent).await.len(), sent);
        house.signal(&ann, data, None).unwrap();
        house.relayed(1).await;
    }
}

fn part() -> Part {
    Part::new("call".try_into().unwrap(), "tab 1".try_into().unwrap())
}

#[tokio::test]
async fn a_party_reaches_other_parties_and_is_named_until_it_leaves() {
    let house = House::new().await;
    let ann = house.user("ann");
    house.join(&ann).await;
    let to: Recipient = serde_json::from_str(r#"{"partyId":"tab 2"}"#).unwrap();
    let refused = house.signal(&ann, "{}", Some(to.clone())).unwrap_err();
    assert_eq!(refused.code(), "FORBIDDEN");

    assert!(ann.set_part(&room(), part()));
    house.join(&ann).await;
    house.signal(&ann, "{}", Some(to.clone())).unwrap();
    house.signal(&ann, "{}", None).unwrap();
    let relayed = house.relayed(2).await;
    assert_eq!(relayed[0].to, Some(to.clone()));
    for event in &relayed {
        assert_eq!(event.party_id.as_ref().unwrap().as_str(), "tab 1");
        assert_eq!(event.client, ann.client);
    }

    house.chat.leave(&ann, &room()).await.unwrap();
    assert!(!ann.set_part(&room(), part()));
    house.join(&ann).await;
    assert_eq!(ann.part(&room()), None);
    assert!(house.signal(&ann, "{}", Some(to)).is_err());
    house.signal(&ann, "{}", None).unwrap();
    assert_eq!(house.relayed(1).await[0].party_id, None);
}

#[tokio::test]
async fn nothing_is_relayed_from_somebody_who_is_gone_by_then() {
    let house = House::new().await;
    let (ann, bob) = (house.user("ann"), house.user("bob"));
    house.join(&ann).await;
    house.join(&bob).await;
    // The room hears of the end before it hears of the event, which was admitted before.
    let handle = house.rooms.enter(&room());
    let leaving = house.chat.disconnect(&ann, Departure::Broken);
    leaving.await;
    let late = Relayed {
        user_id: "ann".try_into().unwrap(),
        party_id: None,
        call_id: None,
        client: ann.client,
        to: None,
        event: "late".try_into().unwrap(),
        data: serde_json::from_str("{}").unwrap(),
    };
    handle.relay(late).unwrap();
    house.signal(&bob, "{}", None).unwrap();
    assert_eq!(house.relayed(1).await[0].client, bob.client);
}
