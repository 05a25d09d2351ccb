//! Keys, and the tokens signed by them.

use std::{fs, process::Command};

use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::json;
use tempfile::TempDir;

use super::{SECRET, attempt, claims, code, join, refusal, say, signed_by, with_flags};
use crate::support::{Database, Process, Server, within_deadline};

/// Makes a private and a public key in PEM, by `openssl genpkey`.
fn key_pair(arguments: &[&str]) -> (Vec<u8>, String) {
    let folder = TempDir::with_prefix("parlor-key-").unwrap();
    let file = folder.path().join("key.pem");
    let openssl = |command: &mut Command| {
        let output = command.output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    };
    openssl(
        Command::new("openssl")
            .arg("genpkey")
            .args(arguments)
            .arg("-out")
            .arg(&file),
    );
    let public = openssl(
        Command::new("openssl")
            .args(["pkey", "-pubout", "-in"])
            .arg(&file),
    );
    (fs::read(&file).unwrap(), public)
}

const RSA: &[&str] = &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
const P256: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
const P384: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"];
const ED25519: &[&str] = &["-algorithm", "ED25519"];

#[tokio::test(flavor = "multi_thread")]
async fn a_key_accepts_only_tokens_signed_for_it_by_its_one_algorithm() {
    let [rsa, p256, ed25519] = [RSA, P256, ED25519].map(key_pair);
    let others = [RSA, P256, ED25519].map(key_pair);
    let keys = |pairs: &[(Vec<u8>, String); 3]| {
        [
            (
                Algorithm::RS256,
                EncodingKey::from_rsa_pem(&pairs[0].0).unwrap(),
            ),
            (
                Algorithm::ES256,
                EncodingKey::from_ec_pem(&pairs[1].0).unwrap(),
            ),
            (
                Algorithm::EdDSA,
                EncodingKey::from_ed_pem(&pairs[2].0).unwrap(),
            ),
        ]
    };
    let publics = [&rsa, &p256, &ed25519].map(|(_, public)| public.clone());
    let (own, others) = (keys(&[rsa, p256, ed25519]), keys(&others));
    for (place, public) in publics.iter().enumerate() {
        let flag = format!("--jwt-public-key={}", public.replace('\n', "\\n"));
        let server = Server::on(Database::sqlite(), &[&flag]).await;
        let (algorithm, key) = &own[place];
        attempt(&server, &signed_by(key, *algorithm, &claims(json!({}))))
            .await
            .unwrap();
        let mut forged: Vec<_> = own
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != place)
            .map(|(_, key)| key)
            .collect();
        forged.extend(&others);
        let confused = [public.as_bytes(), public.trim().as_bytes()]
            .map(|secret| (Algorithm::HS256, EncodingKey::from_secret(secret)));
        forged.extend(&confused);
        let (rsa384, rsa_pss) = (
            (Algorithm::RS384, own[0].1.clone()),
            (Algorithm::PS256, own[0].1.clone()),
        );
        forged.extend([&rsa384, &rsa_pss]);
        for (algorithm, key) in forged {
            let token = signed_by(key, *algorithm, &claims(json!({})));
            assert_eq!(
                refusal(&server, &json!({ "token": token })).await,
                "UNAUTHORIZED",
                "{public} {algorithm:?}"
            );
        }
    }
}

/// Runs `parlor token`, and returns its standard output.
async fn minted(arguments: &[&str]) -> String {
    let mut command = Process::command();
    command
        .env("JWT_SECRET", SECRET)
        .arg("token")
        .args(arguments);
    let output = within_deadline("parlor token to end", command.output())
        .await
        .unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
    String::from_utf8(output.stdout)
        .unwrap()
        .strip_suffix('\n')
        .unwrap()
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_makes_a_test_token() {
    let server = with_flags(&["--jwt-issuer=us", "--jwt-audience=chat"]).await;
    let ours = ["--jwt-issuer=us", "--jwt-audience=chat", "--sub=ann"];
    let plain = minted(&ours).await;
    assert_eq!(
        join(&mut attempt(&server, &plain).await.unwrap(), "any").await["userId"],
        "ann"
    );
    let more = [
        "--room=team-*",
        "--room",
        "lobby",
        "--ttl=1h",
        "--role",
        "operator",
    ];
    let mut operator = attempt(&server, &minted(&[&ours[..], &more].concat()).await)
        .await
        .unwrap();
    assert_eq!(code(&join(&mut operator, "any").await), "FORBIDDEN");
    for room in ["team-a", "lobby"] {
        join(&mut operator, room).await;
        assert_eq!(
            say(&mut operator, room).await["message"]["operatorId"],
            "ann"
        );
    }
    let expired = minted(&[&ours[..], &["--ttl=0s"]].concat()).await;
    assert_eq!(
        refusal(&server, &json!({ "token": expired })).await,
        "TOKEN_EXPIRED"
    );
    let lasting = minted(&[&ours[..], &["--ttl=500000000000years"]].concat()).await;
    attempt(&server, &lasting).await.unwrap();
}

#[test]
fn weak_and_wrong_keys_are_refused_by_name() {
    let weak = key_pair(&["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"]);
    let private = String::from_utf8(key_pair(RSA).0).unwrap();
    for pem in [
        weak.1,
        key_pair(P384).1,
        private,
        "-----BEGIN PUBLIC KEY-----".into(),
    ] {
        assert!(
            parlor::testing::auth::Verifier::from_public_key(&pem).is_err(),
            "{pem}"
        );
    }
}
