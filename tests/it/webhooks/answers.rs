//! The receivers' answers.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use parlor::testing::webhooks::{AT_ONCE, Timing};
use tokio::time::Instant;

use super::{
    Receiver, SECRET, parlor_webhooks, quick,
    receiver::{Reply, Request},
    server, settings, status, texts, timed_server,
};
use crate::support::{
    Database, Server, eventually,
    figures::{SCRAPED, Since},
    log::append,
};

/// Starts a receiver that answers its first requests in its own way, then takes everything.
async fn first(replies: &'static [Reply]) -> Receiver {
    let next = AtomicUsize::new(0);
    Receiver::deciding(move |_| {
        let number = next.fetch_add(1, Ordering::Relaxed);
        replies.get(number).copied().unwrap_or(Reply::Status(204))
    })
    .await
}

fn room(request: &Request) -> &str {
    request.body["data"]["roomId"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_has_up_to_50_events_in_order() {
    for database in Database::each_kind().await {
        let receiver = Receiver::start().await;
        let server = server(database, &[&receiver], &["--webhook-batch=50"]).await;
        let texts_sent: Vec<_> = (0..120).map(|number| number.to_string()).collect();
        let unnoticed: Vec<_> = texts_sent[..119].iter().map(String::as_str).collect();
        append(&server.database, "r", "ann", &unnoticed).await;
        let ann = server.client("ann").await;
        ann.join("r").await;
        ann.send("r", &texts_sent[119]).await;
        let taken = receiver.until_taken(120).await;
        assert_eq!(texts(&taken), texts_sent);
        let requests = receiver.requests();
        let sizes: Vec<_> = requests
            .iter()
            .map(|request| request.events().len())
            .collect();
        // What came last may go alone, if it was stored late.
        assert_eq!(sizes[..2], [50, 50]);
        for request in &requests {
            assert_eq!(request.body["type"], "batch");
            for (id, event) in request.events() {
                assert_eq!(
                    (&event["type"], event["data"]["id"].as_str()),
                    (&"message.created".into(), Some(&*id))
                );
            }
        }
        // Many bytes are in fewer events.
        let long = "x".repeat(8_000);
        let before = requests.len();
        append(&server.database, "r", "ann", &[&long[..]; 20]).await;
        ann.send("r", "end").await;
        receiver.until_taken(141).await;
        let sizes = receiver.requests()[before..]
            .iter()
            .map(|request| request.body.to_string().len())
            .collect::<Vec<_>>();
        assert!(
            sizes.len() >= 3 && sizes.iter().all(|size| *size < 66_000),
            "{sizes:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_secrets_sign_during_a_rotation() {
    let next = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    let old = Receiver::start().await;
    let new = Receiver::with(next, |_| Reply::Status(204)).await;
    let [urls, _, private] = settings(&[&old, &new]);
    let secrets = format!("--webhook-secret={SECRET} {next}");
    let server = Server::on(Database::sqlite(), &[&urls, &secrets, &private]).await;
    let ann = server.client("ann").await;
    ann.join("r").await;
    ann.send("r", "hello").await;
    // Each has checked the signature.
    old.until_taken(1).await;
    new.until_taken(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_request_comes_again_with_its_id_and_the_rest_of_its_room_waits() {
    for database in Database::each_kind().await {
        let receiver = first(&[Reply::Status(500), Reply::Hang, Reply::Status(404)]).await;
        let timing = Timing {
            timeout: Duration::from_millis(300),
            ..quick()
        };
        let server = timed_server(database, &[&receiver], &[], timing).await;
        let ann = server.client("ann").await;
        ann.join("r").await;
        ann.send("r", "one").await;
        ann.send("r", "two").await;
        let taken = receiver.until_taken(2).await;
        assert_eq!(texts(&taken), ["one", "two"]);
        let requests = receiver.requests();
        assert_eq!(requests.len(), 5);
        let first = &requests[0];
        for again in &requests[1..4] {
            assert_eq!((&again.id, &again.body), (&first.id, &first.body));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_due_much_later_is_found_by_a_round() {
    for database in Database::each_kind().await {
        let receiver = first(&[Reply::Status(500)]).await;
        let timing = Timing {
            round: Duration::from_millis(100),
            retries: vec![Duration::from_millis(600)],
            ..quick()
        };
        let server = timed_server(database, &[&receiver], &[], timing).await;
        let ann = server.client("ann").await;
        ann.join("r").await;
        ann.send("r", "hello").await;
        receiver.until_asked(1).await;
        let failed = Instant::now();
        receiver.until_taken(1).await;
        let waited = failed.elapsed();
        assert!(waited > Duration::from_millis(500), "{waited:?}");
        assert_eq!(receiver.requests().len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_is_not_taken_delays_no_other() {
    let receiver = Receiver::deciding(|request| match room(request) {
        "bad" => Reply::Status(500),
        _ => Reply::Status(204),
    })
    .await;
    let timing = Timing {
        retries: vec![Duration::from_secs(600)],
        ..quick()
    };
    let server = timed_server(Database::sqlite(), &[&receiver], &[], timing).await;
    let ann = server.client("ann").await;
    for room in ["bad", "good"] {
        ann.join(room).await;
        ann.send(room, "one").await;
        ann.send(room, "two").await;
    }
    assert_eq!(texts(&receiver.until_taken(2).await), ["one", "two"]);
    let asked = receiver.requests();
    assert_eq!(asked.iter().filter(|asked| room(asked) == "bad").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_a_failure_and_followed_nowhere() {
    static LOCATION: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    let elsewhere = Receiver::start().await;
    let location = LOCATION.get_or_init(|| elsewhere.url());
    let redirected = AtomicBool::new(false);
    let receiver = Receiver::deciding(move |_| match redirected.swap(true, Ordering::Relaxed) {
        false => Reply::With(307, "location", location),
        true => Reply::Status(204),
    })
    .await;
    let server = server(Database::sqlite(), &[&receiver], &[]).await;
    let ann = server.client("ann").await;
    ann.join("r").await;
    ann.send("r", "hello").await;
    receiver.until_taken(1).await;
    assert_eq!(
        (receiver.requests().len(), elsewhere.requests().len()),
        (2, 0)
    );
    eventually("the failure to be noted", async || {
        let failed = status(&server.database).await.results.failed;
        failed.is_some_and(|(_, why)| why == "status 307")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_gone_gets_nothing_until_it_is_enabled() {
    for database in Database::each_kind().await {
        let gone = Arc::new(AtomicBool::new(true));
        let is_gone = gone.clone();
        let receiver = Receiver::deciding(move |_| match is_gone.load(Ordering::Relaxed) {
            true => Reply::Status(410),
            false => Reply::Status(204),
        })
        .await;
        let server = server(database, &[&receiver], &[]).await;
        let ann = server.client("ann").await;
        ann.join("r").await;
        ann.send("r", "one").await;
        eventually("the receiver to be off", async || {
            status(&server.database).await.disabled.is_some()
        })
        .await;
        ann.send("r", "two").await;
        let shown = parlor_webhooks(&server.database, &[]).await;
        for part in [
            &receiver.url(),
            "state: off since 20",
            "410",
            "behind: 1 rooms, 2 events, oldest message 20",
            "last success: none",
        ] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        assert_eq!(receiver.requests().len(), 1);
        gone.store(false, Ordering::Relaxed);
        let shown = parlor_webhooks(&server.database, &["--enable", &receiver.url()]).await;
        assert!(shown.contains("state: on"), "{shown}");
        assert_eq!(texts(&receiver.until_taken(2).await), ["one", "two"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_is_off_after_the_last_attempt() {
    for database in Database::each_kind().await {
        let receiver = Receiver::deciding(|_| Reply::Status(503)).await;
        let timing = Timing {
            retries: vec![Duration::from_millis(10); 3],
            ..quick()
        };
        let server = timed_server(database, &[&receiver], &[], timing).await;
        let ann = server.client("ann").await;
        ann.join("r").await;
        ann.send("r", "hello").await;
        eventually("the receiver to be off", async || {
            let disabled = status(&server.database).await.disabled;
            disabled.is_some_and(|(_, why)| why == "4 attempts failed, the last one: status 503")
        })
        .await;
        assert_eq!(receiver.requests().len(), 4);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_that_a_receiver_asks_for_holds_for_all_rooms() {
    let receiver = first(&[Reply::With(429, "retry-after", "1")]).await;
    let server = server(Database::sqlite(), &[&receiver], &[]).await;
    let ann = server.client("ann").await;
    ann.join("a").await;
    ann.join("b").await;
    ann.send("a", "hello").await;
    receiver.until_asked(1).await;
    let asked = Instant::now();
    eventually("the pause to begin", async || {
        status(&server.database).await.results.failed.is_some()
    })
    .await;
    ann.send("b", "hello").await;
    let requests = receiver.until_asked(2).await;
    assert!(asked.elapsed() > Duration::from_millis(900), "{requests:?}");
    receiver.until_taken(2).await;
    assert_eq!(receiver.requests().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_with_a_private_address_is_not_asked() {
    let receiver = Receiver::start().await;
    let port = receiver.address.port();
    let hosts = [
        "127.0.0.1",
        "localhost",
        "[::ffff:127.0.0.1]",
        "2130706433",
        "0",
    ];
    let urls = hosts.map(|host| format!("http://{host}:{port}/{host}"));
    let flags = [
        format!("--webhooks={}", urls.join(",")),
        format!("--webhook-secret={SECRET}"),
    ];
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let server = Server::configured(Database::sqlite(), &flags, |config| {
        config.webhook_timing = quick();
    });
    let server = server.await;
    let ann = server.client("ann").await;
    ann.join("r").await;
    ann.send("r", "hello").await;
    eventually("the refusals to be noted", async || {
        let store = server.database.store().await;
        let statuses = store.webhooks().unwrap().statuses().await.unwrap();
        store.close().await;
        assert_eq!(statuses.len(), hosts.len());
        statuses.iter().all(|status| {
            let failed = status.results.failed.as_ref();
            failed.is_some_and(|(_, why)| why.contains("is not public"))
        })
    })
    .await;
    assert_eq!(receiver.requests().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_is_asked_for_16_rooms_at_once_and_once_for_each() {
    let receiver = Receiver::deciding(|_| Reply::Hang).await;
    let timing = Timing {
        timeout: Duration::from_secs(60),
        ..quick()
    };
    let server = timed_server(Database::sqlite(), &[&receiver], &[], timing).await;
    let ann = server.client("ann").await;
    for number in 0..AT_ONCE + 4 {
        let room = number.to_string();
        ann.join(&room).await;
        ann.send(&room, "one").await;
        ann.send(&room, "two").await;
    }
    let asked = receiver.until_asked(AT_ONCE).await;
    let mut rooms = HashMap::<_, usize>::new();
    for asked in &asked {
        *rooms.entry(room(asked).to_owned()).or_default() += 1;
    }
    assert_eq!((asked.len(), rooms.len()), (AT_ONCE, AT_ONCE));
}

/// Counts rather than times show that a receiver that never answers slows nobody: everything else
/// comes to its end while its first requests are still open.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_receiver_slows_neither_the_chat_nor_another_receiver() {
    const ROOMS: usize = 40;
    const SENDS: usize = 10;
    for database in Database::each_kind().await {
        let dead = Receiver::deciding(|_| Reply::Hang).await;
        let alive = Receiver::start().await;
        let timing = Timing {
            timeout: Duration::from_secs(60),
            ..quick()
        };
        let server = timed_server(database, &[&dead, &alive], &[], timing).await;
        let (ann, bob) = (server.client("ann").await, server.client("bob").await);
        for number in 0..ROOMS {
            let room = number.to_string();
            ann.join(&room).await;
            bob.join(&room).await;
            for text in 0..SENDS {
                ann.send(&room, &text.to_string()).await;
            }
        }
        for _ in 0..ROOMS * SENDS {
            bob.next("newMessage").await;
        }
        alive.until_taken(ROOMS * SENDS).await;
        assert_eq!(dead.requests().len(), AT_ONCE);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_are_counted_by_their_results_and_the_delay_of_each_event_is_known() {
    let receiver = first(&[Reply::Status(500), Reply::Status(302)]).await;
    let flags = [SCRAPED];
    let server = server(Database::sqlite(), &[&receiver], &flags).await;
    let since = Since::now(server.metrics_address()).await;
    let ann = server.client("ann").await;
    ann.join("r").await;
    ann.send("r", "one").await;
    ann.send("r", "two").await;
    receiver.until_taken(2).await;
    since
        .until(&[
            ("parlor_webhook_delay_seconds_count", 2.0),
            (r#"parlor_webhook_attempts_total{result="failed"}"#, 2.0),
        ])
        .await;
    assert!(
        since
            .grown(r#"parlor_webhook_attempts_total{result="taken"}"#)
            .await
            >= 2.0
    );
    assert!(since.grown("parlor_webhook_delay_seconds_sum").await > 0.0);
}
