//! The `X-Forwarded-*` headers of proxies:
//! <https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/X-Forwarded-For>.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, header::HOST},
};

use crate::net::{Peer, TrustedProxies};

/// The addresses of the client, and of the proxies behind the first one.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// The host for which the client asked the proxy:
/// <https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/X-Forwarded-Host>.
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// The port at which the client asked the proxy.
const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");

/// A reader of the headers, believing trusted proxies alone.
#[derive(Debug, Clone)]
pub struct ForwardedHeaders {
    proxies: TrustedProxies,
}

impl ForwardedHeaders {
    /// Creates a reader that believes these proxies.
    pub(super) fn new(proxies: TrustedProxies) -> Self {
        Self { proxies }
    }

    /// Returns the client's address: the peer's, or, behind a trusted proxy, the address of the
    /// proxy's own peer, and so on.
    ///
    /// Each proxy appends its peer's address to the header. Anything before the last address of an
    /// untrusted machine is only a client's claim.
    pub fn client_address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        for hop in hops(headers.get_all(FORWARDED_FOR).iter()).rev() {
            if !self.proxies.contains(client) {
                break;
            }
            let Some(before) = parse_hop(hop) else {
                break;
            };
            client = before;
        }
        client
    }

    /// Returns the server's host in all forms found in the request: first its own `Host`, then the
    /// forms from a trusted proxy.
    pub fn hosts(&self, request: &Request) -> Vec<String> {
        let headers = request.headers();
        let mut hosts: Vec<_> = last(headers, HOST).map(str::to_owned).into_iter().collect();
        let peer = request.extensions().get::<Peer>();
        if peer.is_some_and(|peer| self.proxies.contains(peer.address)) {
            hosts.extend(last(headers, FORWARDED_HOST).map(str::to_owned));
            if let Some(port) = last(headers, FORWARDED_PORT) {
                let with_port = |host: &String| format!("{}:{port}", without_port(host));
                let with_port: Vec<_> = hosts.iter().map(with_port).collect();
                hosts.extend(with_port);
            }
        }
        hosts
    }
}

/// Returns the last of a header's values, written by the nearest proxy; earlier ones may be a
/// client's.
fn last(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let line = str::from_utf8(headers.get_all(name).iter().next_back()?.as_bytes()).ok()?;
    line.rsplit(',').next().map(str::trim)
}

fn without_port(host: &str) -> &str {
    let parts = host
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    parts.map_or(host, |(name, _)| name)
}

/// Returns the addresses in the header's lines, in order, with an empty text in place of invalid
/// UTF-8.
fn hops<'a>(
    lines: impl DoubleEndedIterator<Item = &'a HeaderValue>,
) -> impl DoubleEndedIterator<Item = &'a str> {
    let hops = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    hops.map(|hop| str::from_utf8(hop).unwrap_or_default())
}

/// Parses an address; some proxies write the port, too, or IPv6 in brackets.
fn parse_hop(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    let address = bare
        .parse()
        .or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    address.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client_behind(proxies: &str, peer: &str, lines: &[&[u8]]) -> String {
        let line = |line: &&[u8]| (FORWARDED_FOR, HeaderValue::from_bytes(line).unwrap());
        let headers: HeaderMap = lines.iter().map(line).collect();
        let forwarded = ForwardedHeaders::new(proxies.parse().unwrap());
        let client = forwarded.client_address(peer.parse().unwrap(), &headers);
        client.to_string()
    }

    fn client(peer: &str, forwarded: &str) -> String {
        let proxies = "10.0.0.0/8, 192.0.2.1, 2001:db8::/32";
        client_behind(proxies, peer, &[forwarded.as_bytes()])
    }

    #[test]
    fn the_last_trusted_proxy_names_the_client() {
        assert_eq!(client("10.0.0.1", "203.0.113.7"), "203.0.113.7");
        assert_eq!(
            client("10.0.0.1", "203.0.113.7, 192.0.2.1, 10.9.9.9"),
            "203.0.113.7"
        );
        assert_eq!(client("::ffff:10.0.0.1", "203.0.113.7:4711"), "203.0.113.7");
        assert_eq!(client("2001:db8::1", "[2001:470::7]:4711"), "2001:470::7");
        assert_eq!(client("10.0.0.1", "[2001:470::7]"), "2001:470::7");
        assert_eq!(client("10.0.0.1", "10.0.0.2"), "10.0.0.2");
    }

    #[test]
    fn a_clients_own_claim_is_not_believed() {
        assert_eq!(client("203.0.113.9", "10.0.0.1"), "203.0.113.9");
        assert_eq!(
            client("10.0.0.1", "198.51.100.1, 203.0.113.7"),
            "203.0.113.7"
        );
        assert_eq!(client("10.0.0.1", "198.51.100.1, unknown"), "10.0.0.1");
        assert_eq!(client("10.0.0.1", ""), "10.0.0.1");
    }

    #[test]
    fn a_hop_that_is_not_text_is_unknown_and_its_neighbours_are_read() {
        let lines = [
            &b"203.0.113.1,\xff"[..],
            b"caf\xc3\xa9, \t203.0.113.7 ",
            b"",
        ];
        let values = lines.map(|line| HeaderValue::from_bytes(line).unwrap());
        assert_eq!(
            hops(values.iter()).collect::<Vec<_>>(),
            ["203.0.113.1", "", "caf\u{e9}", " \t203.0.113.7 ", ""]
        );
        let client = |lines: &[&[u8]]| client_behind("10.0.0.1", "10.0.0.1", lines);
        assert_eq!(client(&lines[..2]), "203.0.113.7");
        assert_eq!(client(&lines[..1]), "10.0.0.1");
    }

    #[test]
    fn no_proxy_is_trusted_unless_named() {
        assert_eq!(client_behind("", "10.0.0.1", &[b"203.0.113.7"]), "10.0.0.1");
    }
}
