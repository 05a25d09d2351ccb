//! Whose address a client has, when proxies stand before the server.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use axum::http::HeaderValue;
use ipnet::IpNet;

/// The bits of an IPv6 address that stand for one client: networks of so many are what a household
/// or a server is given,
/// [RFC 6177](https://www.rfc-editor.org/rfc/rfc6177).
const IPV6_CLIENT_BITS: u32 = 64;

/// The proxies that are believed when they say whom they speak for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Whether this is the address of one.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The client's address: the peer's, or, where that is a trusted proxy, the one that it had its
    /// request from, and so on.
    ///
    /// `forwarded` are the addresses in `X-Forwarded-For`, to which each proxy appends its peer's.
    /// What stands before the last that is no trusted proxy's is only what a client says.
    pub fn client<'a>(
        &self,
        peer: IpAddr,
        forwarded: impl DoubleEndedIterator<Item = &'a str>,
    ) -> IpAddr {
        let mut client = peer.to_canonical();
        for hop in forwarded.rev() {
            let Some(before) = hop_address(hop).filter(|_| self.contains(client)) else {
                break;
            };
            client = before;
        }
        client
    }
}

/// Returns the addresses that lines of `X-Forwarded-For` list, in order; an empty text for one that
/// is not UTF-8.
pub fn hops<'a>(
    lines: impl DoubleEndedIterator<Item = &'a HeaderValue>,
) -> impl DoubleEndedIterator<Item = &'a str> {
    let hops = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    hops.map(|hop| str::from_utf8(hop).unwrap_or_default())
}

/// Reads an address; some proxies write the port, too, or IPv6 in brackets.
fn hop_address(text: &str) -> Option<IpAddr> {
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

impl FromStr for TrustedProxies {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let items = text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty());
        items.map(network).collect::<Result<_, _>>().map(Self)
    }
}

fn network(text: &str) -> Result<IpNet, String> {
    let network = text
        .parse()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    network.map_err(|_| format!("{text:?} is no address or network such as 10.0.0.0/8"))
}

/// What stands for one client in counts: whoever has one IPv6 address has very many.
pub(super) fn counted_as(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => {
            Ipv6Addr::from(address.to_bits() & (u128::MAX << (128 - IPV6_CLIENT_BITS))).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, forwarded: &str) -> String {
        let proxies = "10.0.0.0/8, 192.0.2.1, 2001:db8::/32"
            .parse::<TrustedProxies>()
            .unwrap();
        proxies
            .client(peer.parse().unwrap(), forwarded.split(','))
            .to_string()
    }

    #[test]
    fn a_client_is_whom_the_last_trusted_proxy_speaks_for() {
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
    fn what_clients_write_themselves_is_not_believed() {
        assert_eq!(client("203.0.113.9", "10.0.0.1"), "203.0.113.9");
        assert_eq!(
            client("10.0.0.1", "198.51.100.1, 203.0.113.7"),
            "203.0.113.7"
        );
        assert_eq!(client("10.0.0.1", "198.51.100.1, unknown"), "10.0.0.1");
        assert_eq!(client("10.0.0.1", ""), "10.0.0.1");
    }

    #[test]
    fn a_hop_that_is_no_text_is_unknown_and_those_beside_it_are_not() {
        let lines = [
            &b"203.0.113.1,\xff"[..],
            b"caf\xc3\xa9, \t203.0.113.7 ",
            b"",
        ]
        .map(|line| HeaderValue::from_bytes(line).unwrap());
        assert_eq!(
            hops(lines.iter()).collect::<Vec<_>>(),
            ["203.0.113.1", "", "caf\u{e9}", " \t203.0.113.7 ", ""]
        );
        let proxies = "10.0.0.1".parse::<TrustedProxies>().unwrap();
        let client = |lines: &[HeaderValue]| {
            proxies
                .client([10, 0, 0, 1].into(), hops(lines.iter()))
                .to_string()
        };
        assert_eq!(client(&lines[..2]), "203.0.113.7");
        assert_eq!(client(&lines[..1]), "10.0.0.1");
    }

    #[test]
    fn no_proxy_is_trusted_unless_named() {
        let none = "".parse::<TrustedProxies>().unwrap();
        assert_eq!(
            none.client([10, 0, 0, 1].into(), ["203.0.113.7"].into_iter()),
            IpAddr::from([10, 0, 0, 1])
        );
        for bad in ["10.0.0.0/33", "example.com", "10.0.0", "10.0.0.1:80"] {
            assert!(bad.parse::<TrustedProxies>().unwrap_err().contains(bad));
        }
    }

    #[test]
    fn an_ipv6_network_counts_as_one_client() {
        let counted = |text: &str| counted_as(text.parse().unwrap());
        assert_eq!(
            counted("2001:db8:1:2:3::4"),
            counted("2001:db8:1:2:ffff::1")
        );
        assert_ne!(counted("2001:db8:1:2::1"), counted("2001:db8:1:3::1"));
        assert_eq!(counted("::ffff:192.0.2.1"), counted("192.0.2.1"));
        assert_ne!(counted("192.0.2.1"), counted("192.0.2.2"));
    }
}
