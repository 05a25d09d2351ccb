use secrecy::ExposeSecret;

use super::*;

fn parse(arguments: &[&str]) -> Result<Config, clap::Error> {
    Config::try_parse_from([&["parlor"], arguments].concat())
}

#[test]
fn the_command_line_is_consistent() {
    Config::command().debug_assert();
}

#[test]
fn a_bad_value_names_its_variable() {
    for (flag, value, variable) in [
        ("--port", "70000", "PORT"),
        ("--port", "x", "PORT"),
        ("--host", "no where", "HOST"),
        ("--history-limit", "201", "HISTORY_LIMIT"),
        ("--history-limit", "0", "HISTORY_LIMIT"),
        ("--max-message-bytes", "0", "MAX_MESSAGE_BYTES"),
        ("--messages-per-second", "-1", "MESSAGES_PER_SECOND"),
        ("--message-burst", "0", "MESSAGE_BURST"),
        ("--events-per-second", "49", "EVENTS_PER_SECOND"),
        ("--send-timeout-ms", "0", "SEND_TIMEOUT_MS"),
        ("--send-timeout-ms", "-1", "SEND_TIMEOUT_MS"),
        ("--allowed-origins", "example.com", "ALLOWED_ORIGINS"),
        ("--log-format", "xml", "LOG_FORMAT"),
        ("--bus-prefix", "a:b", "BUS_PREFIX"),
    ] {
        let error = parse(&[&format!("{flag}={value}")]).unwrap_err();
        let line = refusal::line(&error).unwrap();
        assert!(line.starts_with(&format!("{variable}: ")), "{line}");
        assert_eq!(line.lines().count(), 1, "{line}");
    }
}

#[test]
fn a_url_for_notifications_needs_a_postgres_beside_it() {
    let refusal = |flags: &[&str]| parse(flags).unwrap().check().unwrap_err();
    let sqlite = refusal(&["--database-notify-url=postgres://host/db"]);
    let other = refusal(&[
        "--database-url=postgres://host/db",
        "--database-notify-url=redis://host",
    ]);
    let malformed = refusal(&[
        "--database-url=postgres://host/db",
        "--database-notify-url=postgres://ann:hunter2@host:port/db",
    ]);
    assert!(!malformed.contains("hunter2"), "{malformed}");
    for line in [sqlite, other, malformed] {
        assert!(line.starts_with("DATABASE_NOTIFY_URL: "), "{line}");
    }
}

#[test]
fn a_dyno_stops_within_ten_seconds_unless_set_otherwise() {
    let timeout = |arguments: &[&str]| parse(arguments).unwrap().shutdown_timeout_ms.as_millis();
    assert_eq!(timeout(&["--dyno=web.1"]), 8_000);
    assert_eq!(
        timeout(&["--dyno=web.1", "--shutdown-timeout-ms=25000"]),
        25_000
    );
    assert_eq!(timeout(&[]), 20_000);
}

#[test]
fn a_small_database_plan_has_connections_for_two_servers() {
    // The old release still runs while a new one starts, and Heroku's smallest plans give 20
    // connections.
    let config = parse(&["--dyno=web.1"]).unwrap();
    assert!(config.database_max_connections <= 8);
}

#[test]
fn secrets_are_redacted() {
    let config = parse(&[
        "--database-url=postgres://ann:pass@host/db",
        "--bus-url=redis://ann:pass@host",
        "--jwt-secret=pass-word",
        "--jwt-public-key=pass-key",
        "--webhooks=https://a.example/pass",
        "--webhook-secret=pass",
    ]);
    let config = config.unwrap();
    assert!(!format!("{config:?}").contains("pass"));
    assert_eq!(
        config.database_url.expose_secret(),
        "postgres://ann:pass@host/db"
    );
}
