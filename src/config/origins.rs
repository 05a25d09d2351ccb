//! Which web pages may connect.

use std::str::FromStr;

/// Which web origins may connect; see [RFC 6454](https://www.rfc-editor.org/rfc/rfc6454#section-6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedOrigins {
    /// Those with the host and port that the request goes to.
    Same,
    /// All.
    Any,
    /// Those listed, in lower case.
    Listed(Vec<String>),
}

impl AllowedOrigins {
    /// Whether a page from `origin` may connect to `host`, as the request's headers give them.
    pub fn allow(&self, origin: &str, host: Option<&str>) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(listed) => listed.iter().any(|one| one.eq_ignore_ascii_case(origin)),
            // Whatever the scheme: TLS may end at a proxy.
            Self::Same => match (origin.split_once("://"), host) {
                (Some((_, authority)), Some(host)) => authority.eq_ignore_ascii_case(host),
                _ => false,
            },
        }
    }
}

impl FromStr for AllowedOrigins {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let origins = text.split(',').map(str::trim).filter(|one| !one.is_empty());
        let origins: Vec<String> = origins.map(str::to_lowercase).collect();
        match origins.as_slice() {
            [] => Ok(Self::Same),
            [one] if one == "*" => Ok(Self::Any),
            listed => match listed.iter().find(|one| !is_origin(one)) {
                None => Ok(Self::Listed(origins)),
                Some(one) => Err(format!("{one:?} is no origin such as https://example.com")),
            },
        }
    }
}

fn is_origin(text: &str) -> bool {
    match text.split_once("://") {
        Some((scheme, authority)) => !scheme.is_empty() && !authority.is_empty() && !authority.contains('/'),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_origin_means_the_host_and_port_of_the_request() {
        let same: AllowedOrigins = "".parse().unwrap();
        assert!(same.allow("https://Chat.example", Some("chat.example")));
        assert!(same.allow("http://localhost:3000", Some("localhost:3000")));
        assert!(!same.allow("http://localhost:3001", Some("localhost:3000")));
        assert!(!same.allow("null", Some("localhost:3000")));
        assert!(!same.allow("http://evil.example", None));
    }

    #[test]
    fn listed_origins_are_the_only_ones() {
        let listed: AllowedOrigins = "https://a.example, HTTPS://B.example".parse().unwrap();
        assert!(listed.allow("https://b.example", Some("chat.example")));
        assert!(!listed.allow("http://a.example", Some("a.example")));
        assert!("*".parse::<AllowedOrigins>().unwrap().allow("null", None));
    }
}
