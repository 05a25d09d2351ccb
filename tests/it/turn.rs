//! TURN, by coturn: credentials of the server, and the relay in `deploy`.

use aws_lc_rs::hmac::{HMAC_SHA1_FOR_LEGACY_USE_ONLY, Key, sign};
use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::Utc;

use crate::support::coturn::{Coturn, Family, SECRET};

/// Returns the username and credential of a user that end in some seconds.
fn credentials(secret: &str, seconds: i64) -> [String; 2] {
    let username = format!("{}:ann", Utc::now().timestamp() + seconds);
    let key = Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
    let credential = STANDARD.encode(sign(&key, username.as_bytes()));
    [username, credential]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tests_relay_takes_credentials_of_its_secret_and_no_others() {
    let turn = Coturn::start().await;
    assert!(turn.url().starts_with("turn:127.0.0.1:"));
    for (secret, seconds, answer) in [(SECRET, 60, 0), (SECRET, -1, 401), ("another", 60, 401)] {
        let [username, credential] = credentials(secret, seconds);
        for (family, peer) in [(Family::V4, "127.0.0.1"), (Family::V6, "::1")] {
            let answers = turn.ask(family, [&username, &credential], &[peer]).await;
            let codes = (answers.allocated, answers.peers[peer]);
            assert_eq!(codes, (answer, answer), "{secret}, {seconds} s, {peer}");
        }
    }
}
