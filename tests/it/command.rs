//! The program's command line.

use std::{collections::BTreeSet, net::TcpListener, process::Output};

use clap::CommandFactory;
use parlor::Config;
use tempfile::TempDir;

use crate::support::{Process, postgres::Postgres, within_deadline};

const USAGE: i32 = 2;
const FAILURE: i32 = 1;

/// The invalid values of each variable.
const BAD: &[(&str, &[&str])] = &[
    ("PORT", &["abc", "65536", "-1"]),
    ("HOST", &["nowhere.invalid", "no where", "http://localhost"]),
    (
        "DATABASE_URL",
        &[
            "mysql://host/db",
            "nonsense",
            "postgres://host:port/db",
            "sqlite://:memory:",
        ],
    ),
    ("DATABASE_SCHEMA", &["pg_own", "name\nof two lines"]),
    ("BUS_URL", &["nats://host", "sqlite", "redis://host"]),
    ("BUS_PREFIX", &["a:b", "two words"]),
    ("DATABASE_NOTIFY_URL", &["postgres://host/db"]),
    ("DATABASE_MAX_CONNECTIONS", &["0", "1001"]),
    ("DATABASE_START_TIMEOUT", &["-1", "1m", "0.5"]),
    (
        "ALLOWED_ORIGINS",
        &["example.com", "https://a.example, b.example"],
    ),
    (
        "JWT_SECRET",
        &["hunter2", "31 bytes are one byte too few.."],
    ),
    (
        "JWT_PUBLIC_KEY",
        &[
            "hunter2",
            "-----BEGIN PUBLIC KEY-----\nhunter2\n-----END PUBLIC KEY-----",
        ],
    ),
    ("JWT_ISSUER", &["us"]),
    ("JWT_AUDIENCE", &["chat"]),
    (
        "API_KEYS",
        &[
            "hunter2",
            "31 bytes are one byte too few..",
            "a key of visible characters and spaces",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        ],
    ),
    ("API_REQUESTS_PER_SECOND", &["-1", "many"]),
    ("MAX_MESSAGE_BYTES", &["0", "1048577", "8k"]),
    ("EDIT_WINDOW_SECONDS", &["-1", "1d"]),
    ("CONVERSATIONS", &["a*b", "support-*"]),
    ("OPERATOR_AWAY_SECONDS", &["-1", "1d"]),
    ("CALL_MAX_PARTIES", &["1", "51", "many"]),
    (
        "STUN_URLS",
        &["example.com", "stun://example.com", "turn:example.com"],
    ),
    (
        "TURN_URLS",
        &[
            "turn:example.com",
            "turn:example.com?transport=tls",
            "turn:ann:pass@example.com",
        ],
    ),
    (
        "TURN_SECRET",
        &["hunter2", "a secret, and nobody to share it with"],
    ),
    ("TURN_TTL_SECONDS", &["599", "86401", "2h"]),
    (
        "LIVEKIT_URL",
        &["wss://example.com", "example.com", "ftp://example.com"],
    ),
    ("LIVEKIT_API_KEY", &["key"]),
    ("LIVEKIT_API_SECRET", &["hunter2"]),
    ("SEARCH", &["yes", "ON", "1"]),
    ("RETENTION_DAYS", &["-1", "36501", "1d"]),
    ("MAX_ROOMS_PER_SOCKET", &["0", "100001", "many"]),
    ("MESSAGES_PER_SECOND", &["-1", "many"]),
    ("MESSAGE_BURST", &["0", "many"]),
    ("SIGNALS_PER_SECOND", &["-1", "many"]),
    ("SIGNAL_BURST", &["0", "many"]),
    ("REQUESTS_PER_SECOND", &["-1", "many"]),
    ("EVENTS_PER_SECOND", &["-1", "1", "49", "many"]),
    ("HISTORY_LIMIT", &["0", "201"]),
    ("PRESENCE_GRACE_MS", &["-1", "5s"]),
    ("PRESENCE_NAMES_LIMIT", &["-1", "many"]),
    ("PING_INTERVAL_MS", &["0", "20s"]),
    ("PING_TIMEOUT_MS", &["0", "20s"]),
    ("SEND_TIMEOUT_MS", &["0", "1.5"]),
    ("SHUTDOWN_TIMEOUT_MS", &["0", "-1"]),
    ("HANDSHAKE_TIMEOUT_MS", &["0", "15s"]),
    ("MAX_CONNECTIONS", &["0", "-1", "many"]),
    ("MAX_STREAMS", &["0", "-1", "many"]),
    ("MAX_STREAMS_PER_ADDRESS", &["-1", "many"]),
    ("MAX_CONNECTIONS_PER_ADDRESS", &["-1", "many"]),
    ("CONNECTS_PER_SECOND", &["-1", "many"]),
    ("CONNECT_BURST", &["0", "many"]),
    (
        "TRUSTED_PROXIES",
        &["10.0.0.0/33", "example.com", "10.0.0.1,proxy"],
    ),
    (
        "WEBHOOKS",
        &[
            "example.com",
            "ftp://example.com",
            "https://ann:pass@example.com",
            "https://example.com",
        ],
    ),
    ("WEBHOOK_SECRET", &["hunter2", "whsec_", "whsec_c2hvcnQ="]),
    ("WEBHOOK_BATCH", &["0", "51", "many"]),
    ("WEBHOOK_ALLOW_PRIVATE", &["yes", "ON"]),
    (
        "MODERATION_URL",
        &[
            "example.com",
            "ftp://example.com",
            "https://ann:pass@example.com",
        ],
    ),
    ("MODERATION_FAILS", &["on", "Open", "closed "]),
    ("TCP_USER_TIMEOUT_MS", &["-1", "25s"]),
    ("SEND_QUEUE_PACKETS", &["15", "1048577", "many"]),
    (
        "RUST_LOG",
        &[
            "parlor=loud",
            "a=b=c",
            "verbose",
            "trce",
            "info,verbose",
            "sqllx=warn",
            "parlour::app=debug",
        ],
    ),
    (
        "METRICS_ADDR",
        &[
            "9464",
            ":9464",
            "127.0.0.1",
            "127.0.0.1:65536",
            "localhost:9464",
            "http://127.0.0.1:9464",
        ],
    ),
    ("LOG_FORMAT", &["xml"]),
    ("TOKIO_WORKER_THREADS", &["0", "1025", "many"]),
    ("DYNO", &[]),
];

/// Runs the program to its end, in a folder of its own.
async fn parlor(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let folder = TempDir::with_prefix("parlor-command-").unwrap();
    let mut command = Process::command();
    command
        .current_dir(folder.path())
        .env("HOST", "127.0.0.1")
        .env("PORT", "0");
    command.envs(variables.iter().copied()).args(arguments);
    within_deadline(
        &format!("parlor {arguments:?} {variables:?} to end"),
        command.output(),
    )
    .await
    .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Checks the exit code, and returns the only line of output.
fn only_line(output: &Output, code: i32) -> String {
    let line = text(&output.stderr);
    assert_eq!(
        (output.status.code(), line.lines().count()),
        (Some(code), 1),
        "{line}"
    );
    assert_eq!(text(&output.stdout), "");
    line
}

fn variables() -> BTreeSet<String> {
    let command = Config::command();
    let arguments = command
        .get_arguments()
        .filter_map(|argument| argument.get_env());
    arguments
        .map(|variable| variable.to_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn help_names_every_variable_and_no_secret() {
    let secrets = [
        "DATABASE_URL",
        "DATABASE_NOTIFY_URL",
        "BUS_URL",
        "JWT_SECRET",
        "JWT_PUBLIC_KEY",
        "WEBHOOKS",
        "WEBHOOK_SECRET",
        "MODERATION_URL",
        "API_KEYS",
        "TURN_SECRET",
        "LIVEKIT_API_SECRET",
    ]
    .map(|variable| (variable, "postgres://ann:hunter2@h/db"));
    let output = parlor(&["--help"], &secrets).await;
    let help = text(&output.stdout);
    assert!(
        output.status.success() && !help.contains("hunter2"),
        "{help}"
    );
    for variable in variables() {
        assert!(
            help.contains(&format!("[env: {variable}")),
            "{variable}: {help}"
        );
    }
}

#[tokio::test]
async fn the_version_is_that_of_the_package() {
    let output = parlor(&["--version"], &[]).await;
    assert!(output.status.success());
    assert_eq!(
        text(&output.stdout),
        format!("parlor {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[tokio::test]
async fn a_bad_value_stops_the_start_and_one_line_names_the_variable() {
    assert_eq!(
        BAD.iter()
            .map(|(variable, _)| variable.to_string())
            .collect::<BTreeSet<_>>(),
        variables()
    );
    for (variable, values) in BAD {
        for value in *values {
            let line = only_line(&parlor(&[], &[(variable, value)]).await, USAGE);
            assert!(line.starts_with(&format!("parlor: {variable}: ")), "{line}");
        }
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_value_that_is_not_utf_8_is_a_bad_value() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

    let mut command = Process::command();
    command
        .env("HOST", "127.0.0.1")
        .env("PORT", OsStr::from_bytes(b"\xff"));
    let line = only_line(
        &within_deadline("the end", command.output()).await.unwrap(),
        USAGE,
    );
    assert!(line.starts_with("parlor: PORT: "), "{line}");
}

#[tokio::test]
async fn a_password_is_not_shown_when_the_database_is_unusable() {
    for url in [
        "mysql://ann:hunter2@host/db",
        "postgres://ann:hunter2@host:port/db",
        "postgres://ann:hunter2@host/db?sslmode=hunter",
        "postgres://ann:hun/ter2@host/db",
        "hunter2",
    ] {
        let line = only_line(&parlor(&[], &[("DATABASE_URL", url)]).await, USAGE);
        assert!(
            line.starts_with("parlor: DATABASE_URL: ") && !line.contains("ter2"),
            "{line}"
        );
    }
}

#[tokio::test]
async fn a_bad_key_is_not_shown() {
    let (long, spaced) = ("hunter2".repeat(5), "hunter2 ".repeat(5));
    for variables in [
        &[("JWT_SECRET", "hunter2")][..],
        &[("JWT_PUBLIC_KEY", "hunter2")],
        &[("JWT_SECRET", &long), ("JWT_PUBLIC_KEY", &long)],
        &[("API_KEYS", "hunter2")],
        &[("API_KEYS", &spaced)],
        &[
            ("TURN_URLS", "turn:example.com"),
            ("TURN_SECRET", "hunter2"),
        ],
        &[
            ("LIVEKIT_URL", "nowhere"),
            ("LIVEKIT_API_KEY", "hunter2"),
            ("LIVEKIT_API_SECRET", "hunter2"),
        ],
    ] {
        let line = only_line(&parlor(&[], variables).await, USAGE);
        assert!(
            line.starts_with("parlor: ") && !line.contains("hunter2"),
            "{line}"
        );
    }
}

#[tokio::test]
async fn a_token_is_not_made_without_a_good_secret() {
    for variables in [&[][..], &[("JWT_SECRET", "hunter2")]] {
        let line = only_line(&parlor(&["token", "--sub=ann"], variables).await, USAGE);
        assert!(
            line.starts_with("parlor: JWT_SECRET: ") && !line.contains("hunter2"),
            "{line}"
        );
    }
}

#[tokio::test]
async fn a_dyno_keeps_no_messages_on_its_ephemeral_disk() {
    for variables in [
        &[("DYNO", "web.1")][..],
        &[("DYNO", "run.1234"), ("DATABASE_URL", "sqlite:chat.db")],
    ] {
        for arguments in [&[][..], &["migrate"]] {
            let line = only_line(&parlor(arguments, variables).await, USAGE);
            assert!(
                line.starts_with("parlor: DATABASE_URL: ") && line.contains("Postgres"),
                "{line}"
            );
        }
    }
}

#[tokio::test]
async fn a_dyno_does_not_reach_its_database_in_clear_text() {
    // At its Unix socket, a Postgres has no TLS.
    let url = Postgres::shared().url("postgres");
    for url in [&url, &url.replace("postgres://", "postgresql://")] {
        let line = only_line(
            &parlor(
                &["migrate"],
                &[("DYNO", "release.1"), ("DATABASE_URL", url)],
            )
            .await,
            FAILURE,
        );
        assert!(line.contains("server does not support TLS"), "{line}");
    }
}

#[tokio::test]
async fn migrate_creates_the_database_and_its_folder() {
    let folder = TempDir::with_prefix("parlor-migrate-").unwrap();
    let file = folder.path().join("not/there/chat.db");
    let url = format!("sqlite://{}", file.display());
    for _ in 0..2 {
        let output = parlor(&["migrate"], &[("DATABASE_URL", &url)]).await;
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(file.exists());
    }
}

#[tokio::test]
async fn migrate_says_in_one_line_that_the_database_is_away() {
    let url = "postgres://ann:hunter2@127.0.0.1:1/db";
    let line = only_line(
        &parlor(&["migrate"], &[("DATABASE_URL", url)]).await,
        FAILURE,
    );
    assert!(
        line.contains("unavailable") && !line.contains("hunter2"),
        "{line}"
    );
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let line = only_line(&parlor(&[], &[("PORT", &port)]).await, FAILURE);
    assert!(line.contains("PORT") && line.contains(&port), "{line}");
    let address = format!("127.0.0.1:{port}");
    let line = only_line(&parlor(&[], &[("METRICS_ADDR", &address)]).await, FAILURE);
    assert!(
        line.contains("METRICS_ADDR") && line.contains(&address),
        "{line}"
    );
}
