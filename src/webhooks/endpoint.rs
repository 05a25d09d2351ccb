//! The receivers' URLs.

use std::{collections::HashSet, fmt, str::FromStr};

use aws_lc_rs::digest::{SHA256, digest};
use uuid::Builder;

use crate::{outbound::Target, store::EndpointId};

/// The most endpoints.
pub const MAX_ENDPOINTS: usize = 16;

/// A receiver of webhooks. Its display form has no path, which may hold a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint(Target);

impl Endpoint {
    /// Returns the key, the same for the same URL.
    pub fn id(&self) -> EndpointId {
        let hash = digest(&SHA256, self.url().as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash.as_ref()[..16]);
        EndpointId(Builder::from_custom_bytes(bytes).into_uuid())
    }

    /// Returns the whole URL.
    pub fn url(&self) -> &str {
        self.0.url()
    }

    /// Returns the URL for a request.
    pub(super) fn target(&self) -> &Target {
        &self.0
    }
}

impl FromStr for Endpoint {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A list of receivers, separated by commas.
#[derive(Debug, Clone)]
pub struct Endpoints(pub Vec<Endpoint>);

impl FromStr for Endpoints {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let urls = text.split(',').map(str::trim).filter(|url| !url.is_empty());
        let parsed = (1..).zip(urls).map(|(number, url)| {
            // Not the URL itself: it may hold a secret.
            url.parse()
                .map_err(|why| format!("URL number {number} {why}"))
        });
        let endpoints = parsed.collect::<Result<Vec<Endpoint>, String>>()?;
        if !(1..=MAX_ENDPOINTS).contains(&endpoints.len()) {
            return Err(format!("must name 1 to {MAX_ENDPOINTS} URLs"));
        }
        let ids: HashSet<_> = endpoints.iter().map(Endpoint::id).collect();
        if ids.len() < endpoints.len() {
            return Err("names the same URL twice".into());
        }
        Ok(Self(endpoints))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_urls_is_read_and_a_bad_one_is_refused_without_its_text() {
        let urls: Endpoints = " https://a.example/hook?x=1, http://b.example:8080 ,"
            .parse()
            .unwrap();
        let urls: Vec<_> = urls.0.iter().map(Endpoint::url).collect();
        assert_eq!(
            urls,
            ["https://a.example/hook?x=1", "http://b.example:8080/"]
        );
        for bad in [
            "",
            ",",
            "hunter2",
            "ftp://hunter2.example",
            "https://ann:hunter2@a.example",
            "https://hunter2.example,https://hunter2.example/",
            &"https://hunter2.example/,".repeat(17),
        ] {
            let error = bad.parse::<Endpoints>().unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn the_key_is_that_of_the_url() {
        let id = |url: &str| url.parse::<Endpoint>().unwrap().id();
        assert_eq!(id("https://a.example"), id("HTTPS://A.example:443/#x"));
        assert_ne!(id("https://a.example"), id("https://a.example/x"));
        let stable = "e52a3c6b";
        assert_eq!(id("https://a.example/").0.to_string().len(), 36, "{stable}");
    }
}
