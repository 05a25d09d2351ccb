//! The opening handshake of a WebSocket.

use axum::{
    extract::Request,
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
        header::{
            CONNECTION, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
        },
    },
    response::{IntoResponse, Response},
};
use headers::{HeaderMapExt, SecWebsocketAccept, SecWebsocketKey};
use hyper::upgrade::OnUpgrade;

use super::refusal::Refusal;

/// A request for a WebSocket, in the form of RFC 6455:
/// <https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1>.
pub(super) struct Handshake {
    accept: SecWebsocketAccept,
    protocol: Option<HeaderValue>,
    upgrade: OnUpgrade,
}

impl Handshake {
    /// Takes the connection out of a request.
    ///
    /// # Errors
    ///
    /// A part of the handshake is missing, perhaps removed by a proxy; the error names it.
    pub(super) fn from_request(request: &mut Request) -> Result<Self, Refusal> {
        if request.method() != Method::GET {
            return Err(Refusal::BadMethod);
        }
        let headers = request.headers();
        for (name, token) in [
            (UPGRADE, "websocket"),
            (CONNECTION, "upgrade"),
            (SEC_WEBSOCKET_VERSION, "13"),
        ] {
            if !has_token(headers, &name, token) {
                return Err(Refusal::BadRequest(format!(
                    "no WebSocket without the header {name}: {token}"
                )));
            }
        }
        let is_sound = headers
            .get(SEC_WEBSOCKET_KEY)
            .is_some_and(|key| is_key(key.as_bytes()));
        let key = headers.typed_get::<SecWebsocketKey>().filter(|_| is_sound);
        let key = key.ok_or_else(|| {
            Refusal::BadRequest("no WebSocket without a sec-websocket-key of 16 bytes".into())
        })?;
        // The first, as Node's server does.
        let protocol = headers.get(SEC_WEBSOCKET_PROTOCOL).and_then(first_token);
        Ok(Self {
            accept: key.into(),
            protocol,
            upgrade: hyper::upgrade::on(request),
        })
    }

    /// Accepts the handshake: returns the response, and the connection's upgrade, which follows the
    /// response.
    pub(super) fn accept(self) -> (Response, OnUpgrade) {
        let headers = [
            (UPGRADE, HeaderValue::from_static("websocket")),
            (CONNECTION, HeaderValue::from_static("Upgrade")),
        ];
        let mut response = (StatusCode::SWITCHING_PROTOCOLS, headers).into_response();
        let headers = response.headers_mut();
        headers.typed_insert(self.accept);
        headers.extend(
            self.protocol
                .map(|protocol| (SEC_WEBSOCKET_PROTOCOL, protocol)),
        );
        (response, self.upgrade)
    }
}

// All three headers are lists, compared without regard to case. `headers` has a type for each, but
// reads a single value of `Upgrade` and of `Sec-WebSocket-Version`.
fn tokens(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value
        .as_bytes()
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let mut values = headers.get_all(name).iter().flat_map(tokens);
    values.any(|value| value.eq_ignore_ascii_case(token.as_bytes()))
}

fn first_token(value: &HeaderValue) -> Option<HeaderValue> {
    let first = tokens(value).next().filter(|first| !first.is_empty())?;
    HeaderValue::from_bytes(first).ok()
}

/// Returns true if a text is 16 bytes in base64.
fn is_key(key: &[u8]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.len() == 24 && key.ends_with(b"==") && key[..22].iter().all(is_digit)
}
