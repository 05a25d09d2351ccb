//! The host to listen on.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs},
    str::FromStr,
};

/// An address to listen on, or a name with an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// An address; `::` means every address of the machine, IPv6 and IPv4.
    Address(IpAddr),
    /// A name, such as `localhost`.
    Name(String),
}

impl Host {
    /// Returns the address, of a name preferably one of IPv4: clients of both families reach it as
    /// well.
    ///
    /// # Errors
    ///
    /// The reason, if a name has no address.
    pub fn resolve(&self) -> Result<IpAddr, String> {
        let name = match self {
            Self::Address(address) => return Ok(*address),
            Self::Name(name) => name,
        };
        let found = (name.as_str(), 0)
            .to_socket_addrs()
            .map_err(|error| format!("{name:?} has no address ({error})"))?;
        let addresses = found.map(|found| found.ip());
        addresses
            .min_by_key(IpAddr::is_ipv6)
            .ok_or_else(|| format!("{name:?} has no address"))
    }

    /// Returns the URL of a page on this host, for the machine's own browser.
    pub fn url(&self, port: u16) -> String {
        match self {
            Self::Address(address) if address.is_unspecified() => {
                format!("http://localhost:{port}")
            }
            Self::Address(address) => format!("http://{}", SocketAddr::new(*address, port)),
            Self::Name(name) => format!("http://{name}:{port}"),
        }
    }
}

impl Default for Host {
    fn default() -> Self {
        Self::Address(Ipv6Addr::UNSPECIFIED.into())
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

impl FromStr for Host {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bare = text
            .strip_prefix('[')
            .and_then(|text| text.strip_suffix(']'))
            .unwrap_or(text);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(Self::Address(address.to_canonical()));
        }
        let is_name = text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-._".contains(c))
            && !text.is_empty();
        if is_name {
            Ok(Self::Name(text.to_owned()))
        } else {
            Err("neither an address nor a name")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_an_address_or_a_name_and_shown_as_a_browser_takes_it() {
        for (text, address, url) in [
            ("::", "::", "http://localhost:3000"),
            ("0.0.0.0", "0.0.0.0", "http://localhost:3000"),
            ("localhost", "127.0.0.1", "http://localhost:3000"),
            ("127.0.0.1", "127.0.0.1", "http://127.0.0.1:3000"),
            ("::ffff:127.0.0.1", "127.0.0.1", "http://127.0.0.1:3000"),
            ("[::1]", "::1", "http://[::1]:3000"),
        ] {
            let host: Host = text.parse().unwrap();
            assert_eq!(
                (host.resolve().unwrap().to_string(), host.url(3000).as_str()),
                (address.to_owned(), url),
                "{text}"
            );
        }
        for bad in ["", "no host", "127.0.0.1:3000", "http://localhost"] {
            assert!(bad.parse::<Host>().is_err(), "{bad}");
        }
    }
}
