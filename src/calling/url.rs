//! The URLs of STUN and TURN servers: <https://www.rfc-editor.org/rfc/rfc7064> and
//! <https://www.rfc-editor.org/rfc/rfc7065>.

use std::{net::Ipv6Addr, num::NonZeroU16, sync::Arc};

use serde::Serialize;

/// The most URLs of a setting: with more than a few, browsers take long to find a way.
const MAX_URLS: usize = 8;

/// URLs of servers, as browsers take them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct IceUrls(Arc<[String]>);

impl IceUrls {
    /// Returns true without a URL.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads a list of URLs, separated by commas.
    fn parse(list: &str, check: fn(&str) -> Result<(), &'static str>) -> Result<Self, String> {
        let urls = list.split(',').map(str::trim);
        let urls: Vec<_> = urls.filter(|url| !url.is_empty()).collect();
        if urls.len() > MAX_URLS {
            return Err(format!("at most {MAX_URLS} URLs"));
        }
        for url in &urls {
            check(url).map_err(|why| format!("{url:?} {why}"))?;
        }
        Ok(Self(urls.into_iter().map(str::to_owned).collect()))
    }
}

/// Reads URLs of STUN servers, separated by commas.
///
/// # Errors
///
/// The reason, with the bad URL.
pub fn stun_urls(list: &str) -> Result<IceUrls, String> {
    IceUrls::parse(list, check_stun)
}

/// Reads URLs of TURN servers, separated by commas.
///
/// # Errors
///
/// The reason, with the bad URL.
pub fn turn_urls(list: &str) -> Result<IceUrls, String> {
    IceUrls::parse(list, check_turn)
}

fn check_stun(url: &str) -> Result<(), &'static str> {
    let rest = without_scheme(url, ["stun:", "stuns:"]);
    let is_good = rest.is_some_and(is_server);
    is_good.then_some(()).ok_or("is not like stun:HOST:PORT")
}

fn check_turn(url: &str) -> Result<(), &'static str> {
    let rest = without_scheme(url, ["turn:", "turns:"]);
    let server = rest.and_then(|rest| match rest.split_once('?') {
        Some((server, "transport=udp" | "transport=tcp")) => Some(server),
        Some(_) => None,
        None => Some(rest),
    });
    server.is_some_and(is_server).then_some(()).ok_or(
        "is not like turn:HOST:PORT, turns:HOST:PORT?transport=tcp or turn:HOST:PORT?transport=udp",
    )
}

fn without_scheme<'a>(url: &'a str, schemes: [&str; 2]) -> Option<&'a str> {
    schemes.iter().find_map(|scheme| url.strip_prefix(scheme))
}

/// Returns true for a host, perhaps with a port.
fn is_server(text: &str) -> bool {
    let (is_host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let Some((address, port)) = rest.split_once(']') else {
                return false;
            };
            (address.parse::<Ipv6Addr>().is_ok(), port)
        }
        None => {
            let (host, port) = text.split_at(text.find(':').unwrap_or(text.len()));
            (is_name(host), port)
        }
    };
    is_host && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

/// Returns true for a name or an IPv4 address.
fn is_name(host: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    !host.is_empty() && host.chars().all(is_part)
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<NonZeroU16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_those_of_the_rfcs() {
        for good in [
            "stun:example.org",
            "stun:example.org:3478",
            "stuns:192.0.2.1:5349",
            "stun:[2001:db8::1]",
            "stun:[2001:db8::1]:3478",
        ] {
            assert_eq!(stun_urls(good).unwrap().0[..], [good]);
        }
        for good in [
            "turn:example.org",
            "turns:example.org:443?transport=tcp",
            "turn:[::1]:3478?transport=udp",
        ] {
            assert_eq!(turn_urls(good).unwrap().0[..], [good]);
        }
        for bad in [
            "example.org",
            "stun:",
            "stun://example.org",
            "stun:example.org:0",
            "stun:example.org:65536",
            "stun:example.org:",
            "stun:example.org:+1",
            "stun:[::1",
            "stun:[192.0.2.1]",
            "stun:[::1]3478",
            "stun:2001:db8::1",
            "stun:ann@example.org",
            "stun:example.org?transport=udp",
            "turn:example.org",
        ] {
            assert!(stun_urls(bad).is_err(), "{bad}");
        }
        for bad in [
            "stun:example.org",
            "turn:example.org?transport=sctp",
            "turn:example.org?transport=",
            "turn:example.org?",
            "turn:?transport=udp",
            "https://example.org",
        ] {
            assert!(turn_urls(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_list_has_commas_and_a_bound() {
        assert!(stun_urls("").unwrap().is_empty());
        let two = stun_urls(" stun:a.example , stun:b.example,").unwrap();
        assert_eq!(two.0[..], ["stun:a.example", "stun:b.example"]);
        let many = |count| turn_urls(&vec!["turn:a.example"; count].join(","));
        assert!(many(MAX_URLS).is_ok() && many(MAX_URLS + 1).is_err());
        let why = turn_urls("turn:a.example,turn://b.example").unwrap_err();
        assert!(why.starts_with("\"turn://b.example\" is not like"), "{why}");
    }
}
