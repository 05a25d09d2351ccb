//! The addresses that requests may go to: none of this host, of private networks or of clouds' own
//! services, as a URL must not open a way into them.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket},
    sync::LazyLock,
};

use ipnet::{Ipv4Net, Ipv6Net};

/// The refused IPv4 networks. Clouds' metadata are at 169.254.169.254, or at 100.100.100.200.
const REFUSED_V4: [&str; 15] = [
    "0.0.0.0/8",       // this host
    "10.0.0.0/8",      // private
    "100.64.0.0/10",   // carriers' NAT
    "127.0.0.0/8",     // loopback
    "169.254.0.0/16",  // link-local
    "172.16.0.0/12",   // private
    "192.0.0.0/24",    // protocols
    "192.0.2.0/24",    // documentation
    "192.88.99.0/24",  // relays of 6to4
    "192.168.0.0/16",  // private
    "198.18.0.0/15",   // benchmarks
    "198.51.100.0/24", // documentation
    "203.0.113.0/24",  // documentation
    "224.0.0.0/4",     // multicast
    "240.0.0.0/4",     // reserved, broadcast
];

/// The refused IPv6 networks.
const REFUSED_V6: [&str; 10] = [
    "64:ff9b:1::/48", // private NAT64
    "100::/64",       // discard
    "2001::/23",      // protocols, such as Teredo
    "2001:db8::/32",  // documentation
    "3fff::/20",      // documentation
    "5f00::/16",      // segment routing
    "fc00::/7",       // unique local, among them fd00:ec2::254
    "fe80::/10",      // link-local
    "fec0::/10",      // site-local
    "ff00::/8",       // multicast
];

/// The networks whose addresses have an IPv4 address in their last 32 bits: IPv4-compatible ones with
/// `::` and `::1`, mapped ones, translated ones, and NAT64.
const EMBEDDING: [&str; 4] = ["::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96"];

/// The network of 6to4: its addresses have an IPv4 address after their first 16 bits.
const SIX_TO_FOUR: &str = "2002::/16";

static V4: LazyLock<Vec<Ipv4Net>> = LazyLock::new(|| networks(&REFUSED_V4));
static V6: LazyLock<Vec<Ipv6Net>> = LazyLock::new(|| networks(&REFUSED_V6));
static EMBEDDING_V4: LazyLock<Vec<Ipv6Net>> = LazyLock::new(|| networks(&EMBEDDING));
static SIX_TO_FOUR_NET: LazyLock<Vec<Ipv6Net>> = LazyLock::new(|| networks(&[SIX_TO_FOUR]));

fn networks<N: std::str::FromStr>(texts: &[&str]) -> Vec<N> {
    let parsed = texts.iter().map(|text| text.parse().ok());
    parsed.collect::<Option<_>>().expect("these are networks")
}

/// Returns true for an address that requests must not go to.
pub(super) fn is_refused(address: IpAddr) -> bool {
    is_special(address) || is_own(address)
}

/// Returns true for an address outside the public Internet.
fn is_special(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_special_v4(address),
        IpAddr::V6(address) => is_special_v6(address),
    }
}

fn is_special_v4(address: Ipv4Addr) -> bool {
    V4.iter().any(|network| network.contains(&address))
}

fn is_special_v6(address: Ipv6Addr) -> bool {
    let is_in = |networks: &[Ipv6Net]| networks.iter().any(|network| network.contains(&address));
    let bits = address.to_bits();
    // The cuts keep the 32 bits in question.
    let embedded = |shift: u32| is_special_v4(Ipv4Addr::from_bits((bits >> shift) as u32));
    is_in(&V6) || is_in(&EMBEDDING_V4) && embedded(0) || is_in(&SIX_TO_FOUR_NET) && embedded(80)
}

/// Returns true for an address of this host: a socket can be bound to it, and one that sends there
/// sends from it. Some systems allow the former for every address, and secondary addresses are not
/// found by the latter. Neither sends anything.
fn is_own(address: IpAddr) -> bool {
    let foreign = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    can_bind(address) && !can_bind(foreign) || source_for(address) == Some(address)
}

fn can_bind(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

/// Returns the address from which this host would send to another one.
fn source_for(address: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((address, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_refused(kind: &str, addresses: &[&str]) {
        for address in addresses {
            let parsed = address.parse().unwrap();
            assert!(
                is_special(parsed) && is_refused(parsed),
                "{kind}: {address}"
            );
        }
    }

    #[test]
    fn addresses_outside_the_public_internet_are_refused() {
        for (kind, addresses) in [
            ("unspecified", &["0.0.0.0", "0.1.2.3", "::"][..]),
            ("loopback", &["127.0.0.1", "127.255.255.255", "::1"]),
            (
                "private",
                &[
                    "10.0.0.1",
                    "10.255.255.255",
                    "172.16.0.1",
                    "172.31.255.255",
                    "192.168.1.1",
                ],
            ),
            (
                "carriers",
                &["100.64.0.1", "100.127.255.255", "100.100.100.200"],
            ),
            (
                "link-local",
                &[
                    "169.254.0.1",
                    "169.254.169.254",
                    "169.254.170.2",
                    "fe80::1",
                    "febf::1",
                ],
            ),
            (
                "unique local",
                &["fc00::1", "fdff::1", "fd00:ec2::254", "fd20:ce::254"],
            ),
        ] {
            assert_refused(kind, addresses);
        }
    }

    #[test]
    fn addresses_for_other_than_single_hosts_are_refused() {
        for (kind, addresses) in [
            (
                "multicast",
                &["224.0.0.1", "239.255.255.255", "ff02::1"][..],
            ),
            ("broadcast, reserved", &["255.255.255.255", "240.0.0.1"]),
            (
                "documentation",
                &[
                    "192.0.2.1",
                    "198.51.100.1",
                    "203.0.113.1",
                    "2001:db8::1",
                    "3fff::1",
                ],
            ),
            ("benchmarks", &["198.18.0.1", "198.19.255.255"]),
            (
                "protocols",
                &[
                    "192.0.0.8",
                    "192.0.0.192",
                    "192.88.99.1",
                    "2001::1",
                    "100::1",
                ],
            ),
            ("others", &["fec0::1", "5f00::1"]),
        ] {
            assert_refused(kind, addresses);
        }
    }

    #[test]
    fn other_forms_of_refused_addresses_are_refused() {
        for (kind, addresses) in [
            (
                "mapped",
                &[
                    "::ffff:127.0.0.1",
                    "::ffff:10.0.0.1",
                    "::ffff:169.254.169.254",
                ][..],
            ),
            ("compatible", &["::127.0.0.1", "::10.0.0.1"]),
            ("translated", &["::ffff:0:10.0.0.1"]),
            (
                "NAT64",
                &["64:ff9b::10.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1"],
            ),
            (
                "6to4",
                &["2002:7f00:1::", "2002:a00:1::1", "2002:a9fe:a9fe::"],
            ),
        ] {
            assert_refused(kind, addresses);
        }
    }

    #[test]
    fn public_addresses_are_allowed() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
        ] {
            assert!(!is_refused(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn this_hosts_own_addresses_are_refused() {
        // Without a network there is no other address than these.
        let outward = source_for("198.51.100.1".parse().unwrap());
        let own = ["127.0.0.1", "127.0.0.2"].map(|address| address.parse().unwrap());
        for address in own.into_iter().chain(outward) {
            assert!(is_own(address), "{address}");
        }
        for other in ["192.0.2.1", "8.8.8.8", "2606:4700::1111"] {
            assert!(!is_own(other.parse().unwrap()), "{other}");
        }
    }
}
