//! JSON Web Tokens: their verification, and the making of test tokens.

use std::{borrow::Cow, sync::Arc};

use chrono::{DateTime, Utc};
use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, EncodingKey, Header, Validation, decode, encode,
    errors::ErrorKind,
};
use serde::{Deserialize, Deserializer, Serialize, de::IgnoredAny};

use super::identity::{Agent, Identity, Rank};
use crate::{
    error::{Error, MAX_CAUSE_CHARS, shortened},
    json_error,
    model::{RoomPattern, UserId},
};

/// The fewest bytes of a secret for HS256, the length of its hash:
/// <https://www.rfc-editor.org/rfc/rfc7518#section-3.2>.
pub const MIN_SECRET_BYTES: usize = 32;

/// The fewest bytes of an RSA key's modulus: <https://www.rfc-editor.org/rfc/rfc7518#section-3.3>.
const MIN_RSA_BYTES: usize = 256;

/// The bytes of a point on the curve P-256, uncompressed.
const P256_POINT_BYTES: usize = 65;

/// The most bytes of a token; longer ones are refused unread.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// The tolerance for a signer's clock running ahead, in seconds: a token is valid this long before
/// its `nbf`. Its `exp` is exact.
pub const LEEWAY_SECONDS: u64 = 5;

/// A token's grant: an identity, for a time.
#[derive(Debug, Clone)]
pub struct Grant {
    /// The identity of the token's bearer.
    pub identity: Identity,
    /// The end of the grant.
    pub expires_at: DateTime<Utc>,
    /// True when the bearer is a backend. To sockets it is an ordinary user.
    pub is_service: bool,
}

/// A JSON Web Token's claims: <https://www.rfc-editor.org/rfc/rfc7519#section-4>. Others are
/// ignored.
#[derive(Deserialize)]
struct Claims {
    sub: String,
    /// Seconds since 1970, perhaps with a fraction.
    exp: f64,
    aud: Option<IgnoredAny>,
    role: Option<String>,
    #[serde(default, deserialize_with = "present")]
    rooms: Option<Vec<RoomPattern>>,
}

/// The `role` of operators.
pub const OPERATOR: &str = "operator";

/// The `role` of operators who lead others.
pub const SUPERVISOR: &str = "supervisor";

/// The `role` of backends.
pub const SERVICE: &str = "service";

/// An absent claim means all rooms; `null` is invalid.
fn present<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<RoomPattern>>, D::Error> {
    Vec::deserialize(deserializer).map(Some)
}

impl Claims {
    fn grant(self) -> Result<Grant, Error> {
        let user = UserId::try_from(self.sub)
            .map_err(|error| Error::Unauthorized(format!("token: sub: {error}")))?;
        let role = self.role.as_deref();
        let rank = match role {
            Some(OPERATOR) => Rank::Operator,
            Some(SUPERVISOR) => Rank::Supervisor,
            _ => Rank::User,
        };
        let identity = Identity {
            user,
            rank,
            agent: Agent::Client,
            rooms: self.rooms.map(Arc::from),
        };
        // A time after the calendar's end counts as its end.
        let expires_at = DateTime::from_timestamp_millis((self.exp * 1000.0) as i64)
            .unwrap_or(DateTime::<Utc>::MAX_UTC);
        if expires_at <= Utc::now() {
            return Err(Error::TokenExpired);
        }
        Ok(Grant {
            identity,
            expires_at,
            is_service: role == Some(SERVICE),
        })
    }
}

/// The rules for valid tokens: a key with its one algorithm, and the demands on the claims.
#[derive(Debug)]
pub struct Verifier {
    key: DecodingKey,
    validation: Validation,
}

impl Verifier {
    /// Accepts tokens signed by HS256.
    ///
    /// # Errors
    ///
    /// When the secret has less than [`MIN_SECRET_BYTES`], or is blank or one character repeated.
    pub fn from_secret(secret: &str) -> Result<Self, &'static str> {
        let key = DecodingKey::from_secret(long_enough(secret)?.as_bytes());
        Ok(Self::new(key, Algorithm::HS256))
    }

    /// Accepts tokens signed by the private key of this public one, in PEM. The key's kind decides
    /// on RS256, ES256 or EdDSA.
    ///
    /// # Errors
    ///
    /// When the text is no such key, or the key is weak.
    pub fn from_public_key(pem: &str) -> Result<Self, &'static str> {
        if !pem.contains("PUBLIC KEY-----") {
            return Err("must be a public key in PEM");
        }
        let pem = pem.as_bytes();
        let readers = [
            DecodingKey::from_rsa_pem,
            DecodingKey::from_ec_pem,
            DecodingKey::from_ed_pem,
        ];
        let key = readers
            .iter()
            .find_map(|read| read(pem).ok())
            .ok_or("must be an RSA, P-256 or Ed25519 key in PEM")?;
        let bytes = key.try_get_as_bytes().map_or(0, <[u8]>::len);
        match key.family() {
            AlgorithmFamily::Rsa if bytes > MIN_RSA_BYTES => Ok(Self::new(key, Algorithm::RS256)),
            AlgorithmFamily::Rsa => Err("an RSA key must have at least 2,048 bits"),
            AlgorithmFamily::Ec if bytes == P256_POINT_BYTES => {
                Ok(Self::new(key, Algorithm::ES256))
            }
            AlgorithmFamily::Ec => Err("an elliptic curve's key must be of P-256"),
            _ => Ok(Self::new(key, Algorithm::EdDSA)),
        }
    }

    fn new(key: DecodingKey, algorithm: Algorithm) -> Self {
        let mut validation = Validation::new(algorithm);
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        Self { key, validation }
    }

    /// Restricts valid tokens to this `iss`.
    pub fn require_issuer(&mut self, issuer: &str) {
        self.validation.set_issuer(&[issuer]);
        self.validation.required_spec_claims.insert("iss".into());
    }

    /// Restricts valid tokens to this `aud`, alone or in a list. Without such a restriction, a
    /// token with an `aud` is for somebody else.
    pub fn require_audience(&mut self, audience: &str) {
        self.validation.set_audience(&[audience]);
        self.validation.required_spec_claims.insert("aud".into());
    }

    /// Verifies a token.
    ///
    /// # Errors
    ///
    /// [`Error::TokenExpired`] after its time; [`Error::Unauthorized`] when it is invalid
    /// otherwise.
    pub fn check(&self, token: &str) -> Result<Grant, Error> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Error::Unauthorized(format!(
                "token: must be at most {MAX_TOKEN_BYTES} bytes"
            )));
        }
        let decoded = decode::<Claims>(token, &self.key, &self.validation).map_err(|error| {
            match error.kind() {
                ErrorKind::ExpiredSignature => Error::TokenExpired,
                kind => Error::Unauthorized(format!("token: {}", describe(kind))),
            }
        })?;
        // The library ignores an `aud` of another kind than a text or a list of texts.
        if self.validation.aud.is_none() && decoded.claims.aud.is_some() {
            return Err(Error::Unauthorized(
                "token: aud: is for another audience".into(),
            ));
        }
        // Critical extensions, of which this server knows none:
        // https://www.rfc-editor.org/rfc/rfc7515#section-4.1.11.
        if decoded.header.crit.is_some() {
            return Err(Error::Unauthorized(
                "token: crit: names an unknown extension".into(),
            ));
        }
        decoded.claims.grant()
    }
}

/// Describes the fault of a token.
fn describe(fault: &ErrorKind) -> Cow<'static, str> {
    match fault {
        ErrorKind::InvalidToken | ErrorKind::Base64(_) | ErrorKind::Utf8(_) => {
            "is not a JSON Web Token".into()
        }
        ErrorKind::InvalidSignature => "is not signed by this server's key".into(),
        ErrorKind::InvalidAlgorithm
        | ErrorKind::InvalidAlgorithmName
        | ErrorKind::UnsupportedAlgorithm => "alg: does not fit this server's key".into(),
        ErrorKind::MissingRequiredClaim(claim) => {
            format!("{}: is required", shortened(claim, MAX_CAUSE_CHARS)).into()
        }
        ErrorKind::InvalidClaimFormat(claim) => {
            format!("{}: has the wrong type", shortened(claim, MAX_CAUSE_CHARS)).into()
        }
        ErrorKind::InvalidIssuer => "iss: is not the required issuer".into(),
        ErrorKind::InvalidAudience => "aud: is for another audience".into(),
        ErrorKind::InvalidSubject => "sub: is not the required subject".into(),
        ErrorKind::ImmatureSignature => "nbf: is not valid yet".into(),
        ErrorKind::Json(error) => json_error::explain("", error).into(),
        _ => "cannot be checked".into(),
    }
}

/// The claims of a test token.
#[derive(Debug, Serialize)]
pub struct TokenClaims<'a> {
    /// The bearer's user id.
    pub sub: &'a UserId,
    /// The end of its validity, in seconds since 1970.
    pub exp: i64,
    /// [`OPERATOR`], [`SUPERVISOR`] or [`SERVICE`], or none for an ordinary user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    /// Room ids and patterns; none: all rooms.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub rooms: &'a [String],
    /// The issuer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iss: Option<&'a str>,
    /// The audience.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aud: Option<&'a str>,
}

impl TokenClaims<'_> {
    /// Signs a token by HS256.
    ///
    /// # Errors
    ///
    /// When the secret has less than [`MIN_SECRET_BYTES`], or is blank or one character repeated.
    pub fn sign(&self, secret: &str) -> Result<String, &'static str> {
        let key = EncodingKey::from_secret(long_enough(secret)?.as_bytes());
        encode(&Header::new(Algorithm::HS256), self, &key).map_err(|_| "cannot sign")
    }
}

fn long_enough(secret: &str) -> Result<&str, &'static str> {
    if secret.len() < MIN_SECRET_BYTES {
        return Err("must have at least 32 bytes; `openssl rand -hex 32` makes one");
    }
    let first = secret.chars().next();
    if secret.chars().all(char::is_whitespace) || secret.chars().all(|c| Some(c) == first) {
        return Err(
            "must not be blank or one character repeated; `openssl rand -hex 32` makes one",
        );
    }
    Ok(secret)
}
