//! Values that are parsed at the edge.

use chrono::{DateTime, Utc};
use clap::Parser;
use parlor::{
    Config,
    model::{Body, ClientMessageId, Draft, RoomId, Seq, UserId},
    testing::{error::Error, http::AllowedOrigins},
};
use proptest::{prelude::*, sample::select};
use serde_json::Value;

use super::{
    changed, check,
    payloads::{is_id, is_name},
    text,
};

#[test]
fn an_identifier_is_kept_as_it_came_or_refused() {
    check(1, &text(), |text| {
        let ids = [
            (
                RoomId::try_from(text.as_str()).map(|id| id.to_string()),
                is_name(&text),
            ),
            (
                UserId::try_from(text.as_str()).map(|id| id.to_string()),
                is_name(&text),
            ),
            (
                ClientMessageId::try_from(text.as_str()).map(|id| id.to_string()),
                is_id(&text),
            ),
        ];
        for (id, fits) in ids {
            assert_eq!(id.ok(), fits.then(|| text.clone()));
        }
    });
}

/// Holds for the texts generated here; `texts` has others.
pub fn is_blank(text: &str) -> bool {
    text.chars().all(|c| {
        c.is_whitespace()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
    })
}

#[test]
fn a_text_is_kept_as_it_came_or_refused() {
    check(1, &(text(), 0..600_usize), |(text, limit)| {
        let expected = if text.len() > limit {
            Err("MESSAGE_TOO_LARGE")
        } else if text.contains('\0') || is_blank(&text) {
            Err("INVALID_PAYLOAD")
        } else {
            Ok(text.clone())
        };
        let body = Body::parse(&text, limit);
        assert_eq!(
            body.as_ref()
                .map(|body| body.as_str().to_owned())
                .map_err(Error::code),
            expected
        );
    });
}

#[test]
fn a_place_in_a_room_is_a_number_from_0() {
    let number = || {
        prop_oneof![
            any::<i64>(),
            -2..5_i64,
            select(vec![i64::MIN, i64::MAX - 1, i64::MAX])
        ]
    };
    check(1, &(number(), number()), |(number, other)| {
        let seq = Seq::try_from(number);
        assert_eq!(seq.ok().map(Seq::get), (number >= 0).then_some(number));
        if let (Ok(seq), Ok(other)) = (seq, Seq::try_from(other)) {
            assert!(seq < Seq::END && seq.next() > seq || seq == Seq::END && seq.next() == seq);
            assert_eq!(
                seq.since(other) as i128,
                (i128::from(number) - i128::from(other.get())).max(0)
            );
        }
    });
}

#[test]
fn a_message_says_what_its_draft_did() {
    let times = (0..253_402_300_800_000_i64)
        .prop_map(|millis| DateTime::<Utc>::from_timestamp_millis(millis).unwrap());
    let cases = (
        text(),
        "\\PC{1,20}",
        "\\PC{1,20}",
        proptest::option::of("\\PC{1,20}"),
        times,
    );
    check(1, &cases, |(text, room, user, name, time)| {
        let Ok(body) = Body::parse(&text, 8192) else {
            return;
        };
        let ids = (
            RoomId::try_from(room.as_str()),
            UserId::try_from(user.as_str()),
        );
        let (Ok(room_id), Ok(user_id)) = ids else {
            return;
        };
        let client_message_id = name.and_then(|name| name.try_into().ok());
        let mut draft = Draft::new(room_id, user_id, None, body, client_message_id.clone());
        draft.timestamp = time;
        let message: Value =
            serde_json::from_str(&serde_json::to_string(&draft.at(Seq::ZERO.next())).unwrap())
                .unwrap();
        assert_eq!(
            (message["message"].as_str(), message["seq"].as_i64()),
            (Some(&*text), Some(1))
        );
        assert_eq!(
            (message["roomId"].as_str(), message["userId"].as_str()),
            (Some(&*room), Some(&*user))
        );
        assert_eq!(
            message["clientMessageId"].as_str(),
            client_message_id.as_ref().map(ClientMessageId::as_str)
        );
        let timestamp = message["timestamp"].as_str().unwrap();
        assert_eq!(
            (timestamp.len(), timestamp.parse()),
            ("2026-11-20T19:55:01.123Z".len(), Ok(time))
        );
    });
}

#[test]
fn an_origin_may_connect_exactly_when_it_is_listed() {
    let origin = || "(https?|HTTP|app)://[a-zA-Z]{1,3}(\\.[a-zA-Z]{1,3})?(:[1-9][0-9]{0,3})?";
    let cases = (
        proptest::collection::vec(origin(), 1..4),
        origin(),
        any::<String>(),
    );
    check(1, &cases, |(listed, other, noise)| {
        let allowed: AllowedOrigins = listed.join(" , ").parse().unwrap();
        let written = |origin: &str| {
            origin
                .to_lowercase()
                .replace("http:", "ws:")
                .replace("https:", "wss:")
        };
        let is_listed = |origin: &str| {
            listed
                .iter()
                .any(|one| without_default(one) == without_default(origin))
        };
        for origin in listed.iter().chain([&other, &noise]) {
            assert_eq!(
                allowed.allows(origin, Some("a.host")),
                is_listed(origin),
                "{origin:?}"
            );
            assert_eq!(
                allowed.allows(&written(origin), Some("a.host")),
                is_listed(origin),
                "{origin:?}"
            );
        }
    });
}

fn without_default(origin: &str) -> String {
    let origin = origin.to_lowercase();
    let default = if origin.starts_with("https:") {
        ":443"
    } else {
        ":80"
    };
    origin
        .strip_suffix(default)
        .filter(|_| origin.starts_with("http"))
        .unwrap_or(&origin)
        .to_owned()
}

#[test]
fn without_a_list_only_pages_of_the_same_host_may_connect() {
    let hosts = prop_oneof!["[a-c]{1,2}(:[1-9])?", any::<String>()];
    let origins = prop_oneof!["https?://[a-c]{1,2}(:[1-9])?", any::<String>()];
    check(1, &(origins, hosts), |(origin, host)| {
        let own = AllowedOrigins::default();
        assert!(!own.allows(&origin, None));
        let is_plain = host.starts_with(['a', 'b', 'c']) && host.len() < 5 && host.is_ascii();
        assert!(!is_plain || own.allows(&format!("https://{host}"), Some(&*host)));
        let authority = origin
            .split_once("://")
            .map(|(_, authority)| authority.to_lowercase());
        let is_own = || {
            authority == Some(host.to_lowercase())
                || without_default(&origin) == format!("https://{host}")
        };
        assert!(
            !is_plain || !own.allows(&origin, Some(&*host)) || is_own(),
            "{origin:?} at {host:?}"
        );
    });
}

#[test]
fn any_list_of_origins_is_accepted_or_refused() {
    let lists = prop_oneof![
        any::<String>(),
        changed(Just(
            "https://a.example, http://*.b.example:8080, null, file://".to_owned()
        ))
    ];
    check(1, &lists, |text| match text.parse::<AllowedOrigins>() {
        Ok(allowed) => {
            let allows_all = allowed.allows("https://nobody.lists.this", None);
            assert_eq!(
                allows_all,
                text.trim_matches(|one: char| one == ',' || one.is_whitespace()) == "*",
                "{text:?}"
            );
        }
        Err(why) => assert!(!why.is_empty()),
    });
}

#[test]
fn any_value_of_a_setting_is_accepted_or_refused() {
    const FLAGS: [&str; 16] = [
        "port",
        "host",
        "database-max-connections",
        "allowed-origins",
        "jwt-issuer",
        "max-message-bytes",
        "history-limit",
        "max-rooms-per-socket",
        "presence-grace-ms",
        "presence-names-limit",
        "ping-interval-ms",
        "send-timeout-ms",
        "tcp-user-timeout-ms",
        "send-queue-packets",
        "rust-log",
        "jwt-public-key",
    ];
    let number = prop_oneof![any::<i64>(), -1..300_i64].prop_map(|number| number.to_string());
    let values = prop_oneof![any::<String>(), number, "[a-z=,.0-9:]{0,12}"];
    check(1, &(select(&FLAGS[..]), values), |(flag, value)| {
        let Ok(config) = Config::try_parse_from(["parlor", &format!("--{flag}={value}")]) else {
            return;
        };
        let numbers = [
            config.max_message_bytes,
            config.max_rooms_per_socket,
            config.send_queue_packets,
        ];
        assert!(
            numbers.iter().all(|number| *number > 0) && (1..=200).contains(&config.history_limit)
        );
        assert!(!config.send_timeout_ms.is_zero() && !config.ping_interval_ms.is_zero());
        config
            .verifier()
            .err()
            .inspect(|line| assert_eq!(line.lines().count(), 1, "{line}"));
    });
}
