//! The URLs of receivers.

use std::{fmt, str::FromStr};

use hyper::Uri;
use url::Url;

/// The URL of a receiver. Its display form has no path, which may hold a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    url: Url,
    uri: Uri,
}

impl Target {
    /// Returns the whole URL.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// Returns the URL for a request.
    pub(super) fn uri(&self) -> &Uri {
        &self.uri
    }
}

impl FromStr for Target {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut url: Url = text.parse().map_err(|_| "is no URL")?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("must begin with https:// or http://");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must not have a user or password");
        }
        url.set_fragment(None);
        let uri = url.as_str().parse().map_err(|_| "is no URL")?;
        Ok(Self { url, uri })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url.origin().ascii_serialization())
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_display_form_has_no_path() {
        let target: Target = "https://a.example/hunter2?hunter2".parse().unwrap();
        assert_eq!(
            format!("{target} {target:?}"),
            "https://a.example https://a.example"
        );
    }
}
