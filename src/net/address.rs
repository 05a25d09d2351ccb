//! Addresses of peers: the trusted proxies among them, and the networks counted as one client.

use std::{
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

use ipnet::IpNet;

/// The length of an IPv6 client's network in bits: a household or a server is given networks of
/// this size, [RFC 6177](https://www.rfc-editor.org/rfc/rfc6177).
const IPV6_CLIENT_BITS: u32 = 64;

/// The proxies whose reports of their clients' addresses are believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Returns true if the address is a trusted proxy's.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

impl FromStr for TrustedProxies {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let items = text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty());
        items.map(parse_network).collect::<Result<_, _>>().map(Self)
    }
}

fn parse_network(text: &str) -> Result<IpNet, String> {
    let network = text
        .parse()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    network.map_err(|_| format!("{text:?} is no address or network such as 10.0.0.0/8"))
}

/// Returns the address for counting a client: an owner of one IPv6 address has very many, so they
/// count by networks.
pub fn client_network(client: IpAddr) -> IpAddr {
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

    #[test]
    fn an_entry_that_is_not_a_network_is_refused() {
        for bad in ["10.0.0.0/33", "example.com", "10.0.0", "10.0.0.1:80"] {
            assert!(bad.parse::<TrustedProxies>().unwrap_err().contains(bad));
        }
    }

    #[test]
    fn an_ipv6_network_counts_as_one_client() {
        let counted = |text: &str| client_network(text.parse().unwrap());
        assert_eq!(
            counted("2001:db8:1:2:3::4"),
            counted("2001:db8:1:2:ffff::1")
        );
        assert_ne!(counted("2001:db8:1:2::1"), counted("2001:db8:1:3::1"));
        assert_eq!(counted("::ffff:192.0.2.1"), counted("192.0.2.1"));
        assert_ne!(counted("192.0.2.1"), counted("192.0.2.2"));
    }
}
