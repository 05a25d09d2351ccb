//! Several servers, one of which sends.

use nix::sys::signal::Signal;
use tokio::time::Instant;

use super::{Receiver, server, settings, texts};
use crate::support::{Client, Database, Process, eventually};

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

/// The program itself, with its own intervals.
#[tokio::test(flavor = "multi_thread")]
async fn another_server_goes_on_after_a_kill() {
    let receiver = Receiver::start().await;
    let database = Database::postgres().await;
    let settings = settings(&[&receiver]);
    let flags: Vec<_> = settings.iter().map(String::as_str).collect();
    let first = Process::with(&database, &flags).await;
    let second = Process::with(&database, &flags).await;
    let ann = Client::connect(&format!("http://{}", second.address), "ann").await;
    ann.join("r").await;
    ann.send("r", "one").await;
    receiver.until_taken(1).await;
    first.signal(Signal::SIGKILL);
    first.ended().await;
    let killed = Instant::now();
    ann.send("r", "two").await;
    // The first one is repeated if the kill came before its place was stored.
    let is_there = || texts(&receiver.taken()).last() == Some(&"two");
    eventually("the second one", async || is_there()).await;
    let taken = receiver.taken();
    let mut taken = texts(&taken);
    taken.dedup();
    assert_eq!(taken, ["one", "two"]);
    println!("another server went on after {:?}", killed.elapsed());
}
