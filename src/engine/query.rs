//! The query of an Engine.IO request, read once. An ambiguous query is refused, so that two layers
//! can never read it in two ways.

use axum::{
    extract::Query,
    http::{Uri, uri::PathAndQuery},
};
use serde::Deserialize;

use super::refusal::Refusal;

/// A version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// The version of clients 1.x and 2.x: <https://github.com/socketio/engine.io-protocol/tree/v3>.
    V3,
    /// The version of later clients: <https://socket.io/docs/v4/engine-io-protocol/>.
    V4,
}

/// A transport, as a request names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Polling,
    WebSocket,
}

/// The parameters of the protocol:
/// <https://socket.io/docs/v4/engine-io-protocol/#query-parameters>. Others belong to the
/// application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parameters {
    pub(super) version: Version,
    pub(super) transport: Transport,
    pub(super) sid: Option<String>,
    /// True for an old client that takes no binary payloads.
    pub(super) base64: bool,
}

/// The parameters of the protocol, decoded but not yet understood.
#[derive(Debug, Deserialize)]
struct Texts {
    #[serde(rename = "EIO")]
    version: Option<String>,
    transport: Option<String>,
    sid: Option<String>,
    b64: Option<String>,
}

impl Parameters {
    /// Parses the query of a request.
    ///
    /// # Errors
    ///
    /// A parameter of the protocol is missing, unknown, or given twice. Of two values a proxy, this
    /// server and the library might each take another one.
    pub(super) fn parse(uri: &Uri) -> Result<Self, Refusal> {
        let Query(texts) = Query::<Texts>::try_from_uri(uri)
            .map_err(|rejection| Refusal::BadRequest(rejection.body_text()))?;
        let version = match texts.version.as_deref() {
            Some("3") => Version::V3,
            Some("4") => Version::V4,
            _ => return Err(Refusal::UnsupportedVersion),
        };
        let transport = match texts.transport.as_deref() {
            Some("polling") => Transport::Polling,
            Some("websocket") => Transport::WebSocket,
            _ => return Err(Refusal::UnknownTransport),
        };
        Ok(Self {
            version,
            transport,
            sid: texts.sid,
            base64: matches!(texts.b64.as_deref(), Some("1" | "true")),
        })
    }

    /// Writes the target of a request with these parameters and no others. A session's id must be
    /// one that the library gave.
    pub(super) fn to_target(&self, path: &str, sid: Option<&str>) -> PathAndQuery {
        let version = match self.version {
            Version::V3 => 3,
            Version::V4 => 4,
        };
        let transport = match self.transport {
            Transport::Polling => "polling",
            Transport::WebSocket => "websocket",
        };
        let base64 = if self.base64 { "&b64=1" } else { "" };
        let sid = sid.map(|sid| format!("&sid={sid}")).unwrap_or_default();
        let target = format!("{path}?EIO={version}&transport={transport}{base64}{sid}");
        target
            .try_into()
            .expect("a request's path and a library's id make a target")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<Parameters, Refusal> {
        Parameters::parse(&format!("/socket.io/?{query}").parse().unwrap())
    }

    fn refusal(query: &str) -> Refusal {
        parse(query).unwrap_err()
    }

    #[test]
    fn a_query_is_read_and_written_without_the_applications_parameters() {
        let parameters =
            parse("EIO=4&t=abc&transport=polling&room=a&sid=S-_1&room=b&x=%ff").unwrap();
        assert_eq!(
            (parameters.version, parameters.transport),
            (Version::V4, Transport::Polling)
        );
        let sid = parameters.sid.as_deref();
        assert_eq!(sid, Some("S-_1"));
        assert_eq!(
            parameters.to_target("/x/", sid),
            "/x/?EIO=4&transport=polling&sid=S-_1"
        );
        let old = parse("EIO=3&transport=websocket&b64=1").unwrap();
        assert_eq!(
            old.to_target("/x/", None),
            "/x/?EIO=3&transport=websocket&b64=1"
        );
    }

    #[test]
    fn a_parameter_in_escapes_is_the_same_parameter() {
        let parameters = parse("EIO=%34&%74ransport=poll%69ng&sid=a%26b").unwrap();
        assert_eq!(parameters.transport, Transport::Polling);
        assert_eq!(parameters.sid.as_deref(), Some("a&b"));
    }

    #[test]
    fn an_ambiguous_query_is_refused() {
        for twice in [
            "EIO=4&transport=polling&transport=websocket",
            "EIO=4&EIO=3&transport=polling",
            "EIO=4&transport=polling&sid=a&sid=b",
            "EIO=4&transport=polling&sid=a&s%69d=b",
            "EIO=4&transport=polling&b64=1&b64=0",
        ] {
            assert!(matches!(refusal(twice), Refusal::BadRequest(_)), "{twice}");
        }
    }

    #[test]
    fn an_unknown_transport_or_version_is_refused() {
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
