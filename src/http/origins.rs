//! The origins of the web pages that may connect.

use std::str::FromStr;

use url::Host;

/// The setting with the allowed origins.
pub const ALLOWED_ORIGINS: &str = "ALLOWED_ORIGINS";

/// The origin of pages without one, such as local files; see
/// [HTML](https://html.spec.whatwg.org/multipage/browsers.html#ascii-serialisation-of-an-origin).
const NULL: &str = "null";

/// The web origins whose pages may connect, besides the server's own host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedOrigins(Vec<Entry>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    Any,
    Null,
    One(Origin),
    /// All hosts with names below the origin's.
    Under(Origin),
}

impl AllowedOrigins {
    /// Returns true if a page from `origin` may connect to a server at `hosts`, given in the form
    /// of a request's `Host`.
    pub fn allows<'a>(&self, origin: &str, hosts: impl IntoIterator<Item = &'a str>) -> bool {
        let parsed = origin.parse::<Origin>().ok();
        let is_own = |page: &Origin| hosts.into_iter().any(|host| page.is_at(host));
        let is_listed = |entry: &Entry| match entry {
            Entry::Any => true,
            Entry::Null => origin == NULL,
            Entry::One(one) => parsed.as_ref() == Some(one),
            Entry::Under(above) => parsed.as_ref().is_some_and(|page| above.is_above(page)),
        };
        parsed.as_ref().is_some_and(is_own) || self.0.iter().any(is_listed)
    }
}

impl FromStr for AllowedOrigins {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let entries = text.split(',').map(str::trim).filter(|one| !one.is_empty());
        let entry = |one: &str| one.parse().map_err(|reason| format!("{one:?} {reason}"));
        let entries = entries.map(entry).collect::<Result<Vec<_>, _>>()?;
        if entries.len() > 1 && entries.contains(&Entry::Any) {
            return Err("\"*\" allows all origins and stands alone".into());
        }
        Ok(Self(entries))
    }
}

impl FromStr for Entry {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WILDCARD: &str =
            "may have a \"*\" only for all labels before a name, as in https://*.example.com";
        match text {
            "*" => return Ok(Self::Any),
            NULL => return Ok(Self::Null),
            _ => {}
        }
        let above = text.replacen("://*.", "://", 1);
        let origin: Origin = above.parse()?;
        if above.contains('*') || (above != text && !matches!(origin.host, Some(Host::Domain(_)))) {
            return Err(WILDCARD);
        }
        Ok(if above == text {
            Self::One(origin)
        } else {
            Self::Under(origin)
        })
    }
}

/// A scheme, host and port, normalized for comparison:
/// [RFC 6454](https://www.rfc-editor.org/rfc/rfc6454#section-4). A WebSocket's scheme is normalized
/// to the scheme of its page.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Origin {
    scheme: String,
    /// None for a scheme without hosts, such as `file`.
    host: Option<Host>,
    port: Option<u16>,
}

impl Origin {
    /// Returns true if pages at a request's `Host` have this origin. The request's scheme is
    /// unknown, as TLS may end at a proxy: a host without a port has the default port of the page's
    /// scheme.
    fn is_at(&self, host: &str) -> bool {
        parse_authority(host).is_ok_and(|(host, port)| {
            self.host.as_ref() == Some(&host)
                && self.port == port.or_else(|| default_port(&self.scheme))
        })
    }

    fn is_above(&self, other: &Self) -> bool {
        let (Some(Host::Domain(above)), Some(Host::Domain(name))) = (&self.host, &other.host)
        else {
            return false;
        };
        (&self.scheme, self.port) == (&other.scheme, other.port)
            && name
                .strip_suffix(above.as_str())
                .is_some_and(|labels| labels.ends_with('.'))
    }
}

impl FromStr for Origin {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, authority) = text
            .split_once("://")
            .ok_or("has no scheme, such as https://")?;
        let scheme = match scheme.to_ascii_lowercase() {
            scheme if !is_scheme(&scheme) => return Err("has no scheme, such as https://"),
            scheme if scheme == "ws" => "http".into(),
            scheme if scheme == "wss" => "https".into(),
            scheme => scheme,
        };
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        if authority.contains(['/', '?', '#', '\\']) {
            return Err("has a path: an origin is a scheme, a host and a port");
        }
        let default_port = default_port(&scheme);
        if authority.is_empty() && default_port.is_none() {
            return Ok(Self {
                scheme,
                host: None,
                port: None,
            });
        }
        let (host, port) = parse_authority(authority)?;
        Ok(Self {
            scheme,
            host: Some(host),
            port: port.or(default_port),
        })
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .chars()
            .all(|one| one.is_ascii_alphanumeric() || "+-.".contains(one))
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// Parses `host:port`; the name becomes lower-case ASCII without the dot of the root.
fn parse_authority(text: &str) -> Result<(Host, Option<u16>), &'static str> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (text, ""),
    };
    let port = if port.is_empty() {
        None
    } else {
        Some(port.parse().map_err(|_| "has a port that is none")?)
    };
    let host = match Host::parse(host).map_err(|_| "has a host that is none")? {
        Host::Domain(name) => {
            Host::Domain(name.strip_suffix('.').map(str::to_owned).unwrap_or(name))
        }
        address => address,
    };
    Ok((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> AllowedOrigins {
        text.parse().unwrap()
    }

    #[test]
    fn the_servers_own_host_needs_no_entry() {
        for allowed in [list(""), list("https://a.example")] {
            assert!(allowed.allows("https://Chat.example", Some("chat.example")));
            assert!(allowed.allows("http://localhost:3000", Some("localhost:3000")));
            assert!(!allowed.allows("http://localhost:3001", Some("localhost:3000")));
            assert!(!allowed.allows("null", Some("localhost:3000")));
            assert!(!allowed.allows("http://evil.example", None));
        }
    }

    #[test]
    fn listed_origins_are_the_only_others() {
        let listed = list("https://a.example, HTTPS://B.example");
        assert!(listed.allows("https://b.example", Some("chat.example")));
        assert!(!listed.allows("http://a.example", Some("chat.example")));
        assert!(list("*").allows("null", None));
    }

    #[test]
    fn an_entry_that_could_never_match_is_refused_with_the_reason() {
        for (entry, reason) in [
            ("example.com", "no scheme"),
            ("://example.com", "no scheme"),
            ("//example.com", "no scheme"),
            ("NULL", "no scheme"),
            ("https://example.com/chat", "a path"),
            ("https://example.com?a=b", "a path"),
            ("https://", "host that is none"),
            ("https://:443", "host that is none"),
            ("https://user@example.com", "host that is none"),
            ("https://exa mple.com", "host that is none"),
            ("https://example.com:65536", "port that is none"),
            ("https://example.com:https", "port that is none"),
            ("http://localhost:*", "port that is none"),
            ("https://*", "before a name"),
            ("*://example.com", "no scheme"),
            ("https://*example.com", "before a name"),
            ("https://chat.*.example.com", "before a name"),
            ("https://*.*.example.com", "before a name"),
            ("https://*.192.0.2.1", "before a name"),
            ("https://a.example, *", "stands alone"),
        ] {
            let error = entry.parse::<AllowedOrigins>().unwrap_err();
            assert!(error.contains(reason), "{entry}: {error}");
        }
    }

    #[test]
    fn schemes_without_hosts_and_those_of_applications_can_be_listed() {
        let listed =
            list("file://, app://., capacitor://localhost, chrome-extension://abcdefghijklmnop");
        for origin in [
            "file://",
            "file:///",
            "app://.",
            "capacitor://localhost",
            "chrome-extension://abcdefghijklmnop",
        ] {
            assert!(listed.allows(origin, None), "{origin}");
        }
        for origin in [
            "app://a",
            "capacitor://localhost:1",
            "chrome-extension://ponmlkjihgfedcba",
            "http://localhost",
        ] {
            assert!(!listed.allows(origin, None), "{origin}");
        }
    }
}
