//! Several servers, one of which sends.

use super::{Receiver, server, texts};
use crate::support::Database;

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_servers_sends_and_the_other_one_goes_on() {
    let receiver = Receiver::start().await;
    let database = Database::postgres().await;
    let first = server(database.shared(), &[&receiver], &[]).await;
    let second = server(database.shared(), &[&receiver], &[]).await;
    let (ann, bob) = (first.client("ann").await, second.client("bob").await);
    let mut sent = vec![];
    for number in 0..20 {
        for (client, name) in [(&ann, "ann"), (&bob, "bob")] {
            let text = format!("{name} {number}");
            client.join("r").await;
            client.send("r", &text).await;
            sent.push(text);
        }
    }
    assert_eq!(texts(&receiver.until_taken(40).await), sent);
    first.stop().await.1.unwrap();
    bob.send("r", "end").await;
    sent.push("end".into());
    assert_eq!(texts(&receiver.until_taken(41).await), sent);
    assert_eq!(receiver.requests().len(), 41);
}
