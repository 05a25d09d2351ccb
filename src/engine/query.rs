//! The query of an Engine.IO request, read once: what is ambiguous in it is refused, so that no two
//! layers can disagree.

use axum::http::Uri;

use super::refusal::Refusal;

/// The protocol's version that a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// Spoken by clients 1.x and 2.x: <https://github.com/socketio/engine.io-protocol/tree/v3>.
    V3,
    /// Spoken by later ones: <https://socket.io/docs/v4/engine-io-protocol/>.
    V4,
}

/// A transport's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TransportName {
    Polling,
    WebSocket,
}

/// The parameters that count: <https://socket.io/docs/v4/engine-io-protocol/#query-parameters>.
/// Others belong to the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Query<'a> {
    pub(super) version: Version,
    pub(super) transport: TransportName,
    pub(super) sid: Option<&'a str>,
    /// True for an old client that takes no binary payloads.
    pub(super) base64: bool,
}

impl<'a> Query<'a> {
    /// Reads a request's query.
    ///
    /// # Errors
    /// A parameter that is missing, unknown, or given twice.
    pub(super) fn parse(uri: &'a Uri) -> Result<Self, Refusal> {
        let query = uri.query().unwrap_or_default();
        let version = match parameter(query, "EIO")? {
            Some("3") => Version::V3,
            Some("4") => Version::V4,
            _ => return Err(Refusal::UnsupportedVersion),
        };
        let transport = match parameter(query, "transport")? {
            Some("polling") => TransportName::Polling,
            Some("websocket") => TransportName::WebSocket,
            _ => return Err(Refusal::UnknownTransport),
        };
        let base64 = matches!(parameter(query, "b64")?, Some("1" | "true"));
        Ok(Self {
            version,
            transport,
            sid: parameter(query, "sid")?,
            base64,
        })
    }

    /// Writes the request's target anew, with nothing in it but what was read.
    pub(super) fn to_uri(self, path: &str) -> Uri {
        let version = match self.version {
            Version::V3 => 3,
            Version::V4 => 4,
        };
        let transport = match self.transport {
            TransportName::Polling => "polling",
            TransportName::WebSocket => "websocket",
        };
        let base64 = if self.base64 { "&b64=1" } else { "" };
        let sid = self
            .sid
            .map(|sid| format!("&sid={sid}"))
            .unwrap_or_default();
        let target = format!("{path}?EIO={version}&transport={transport}{base64}{sid}");
        target
            .try_into()
            .expect("a path and parameters that came in a URI make one")
    }
}

/// The value of a parameter, if it is given.
///
/// # Errors
/// It is given twice: a proxy, this server and the library might each take another one.
fn parameter<'a>(query: &'a str, name: &str) -> Result<Option<&'a str>, Refusal> {
    let named = |pair: &'a str| pair.strip_prefix(name)?.strip_prefix('=');
    let mut values = query.split('&').filter_map(named);
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        (_, Some(_)) => Err(Refusal::BadRequest(format!(
            "the parameter {name} is given twice"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(query: &str) -> Refusal {
        Query::parse(&format!("/socket.io/?{query}").parse().unwrap()).unwrap_err()
    }

    #[test]
    fn a_query_is_read_and_written_without_the_applications_parameters() {
        let uri = "/socket.io/?EIO=4&t=abc&transport=polling&room=a&sid=S-_1"
            .parse()
            .unwrap();
        let query = Query::parse(&uri).unwrap();
        assert_eq!(
            (query.version, query.transport, query.sid),
            (Version::V4, TransportName::Polling, Some("S-_1"))
        );
        assert_eq!(query.to_uri("/x/"), "/x/?EIO=4&transport=polling&sid=S-_1");
        let old = "/socket.io/?EIO=3&transport=websocket&b64=1"
            .parse()
            .unwrap();
        assert_eq!(
            Query::parse(&old).unwrap().to_uri("/x/"),
            "/x/?EIO=3&transport=websocket&b64=1"
        );
    }

    #[test]
    fn what_is_ambiguous_or_unknown_is_refused() {
        for twice in [
            "EIO=4&transport=polling&transport=websocket",
            "EIO=4&EIO=3&transport=polling",
        ] {
            assert!(matches!(refusal(twice), Refusal::BadRequest(_)), "{twice}");
        }
        assert!(matches!(
            refusal("EIO=4&transport=polling&sid=a&sid=b"),
            Refusal::BadRequest(_)
        ));
        for transport in [
            "",
            "transport=",
            "transport=websocket=x",
            "transport=Websocket",
            "xtransport=polling",
        ] {
            assert_eq!(
                refusal(&format!("EIO=4&{transport}")),
                Refusal::UnknownTransport,
                "{transport}"
            );
        }
        for version in ["EIO=5", "EIO=", "", "EIO=4x"] {
            assert_eq!(
                refusal(&format!("transport=polling&{version}")),
                Refusal::UnsupportedVersion,
                "{version}"
            );
        }
    }
}
