//! JSON Web Tokens: their verification, and tokens for trying out.

use std::{borrow::Cow, sync::Arc};

use chrono::{DateTime, Utc};
use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, EncodingKey, Header, Validation, decode, encode,
    errors::ErrorKind,
};
use serde::{Deserialize, Deserializer, Serialize, de::IgnoredAny};

use super::identity::{Identity, RoomPattern};
use crate::{
    error::{Error, MAX_CAUSE_CHARS, shortened},
    json_error,
    model::UserId,
};

/// The least bytes of a secret for HS256, as many as its hash has:
/// <https://www.rfc-editor.org/rfc/rfc7518#section-3.2>.
pub const MIN_SECRET_BYTES: usize = 32;

/// The least bytes of an RSA key's modulus: <https://www.rfc-editor.org/rfc/rfc7518#section-3.3>.
const MIN_RSA_BYTES: usize = 256;

/// The bytes of a point on the curve P-256, uncompressed.
const P256_POINT_BYTES: usize = 65;

/// The most bytes of a token; longer ones are not looked at.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// How far the clock of whoever signs may be ahead, in seconds: a token counts that long before its
/// `nbf`. Its `exp` is kept to the letter.
pub const LEEWAY_SECONDS: u64 = 5;

/// What a token gives: an identity, for a time.
#[derive(Debug, Clone)]
pub struct Grant {
    /// Whom its bearer speaks for.
    pub identity: Identity,
    /// Until when.
    pub expires_at: DateTime<Utc>,
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

/// The `role` that makes an operator.
pub const OPERATOR: &str = "operator";

/// Only a claim that is not there means all rooms: `null` does not.
fn present<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<RoomPattern>>, D::Error> {
    Vec::deserialize(deserializer).map(Some)
}

impl Claims {
    fn grant(self) -> Result<Grant, Error> {
        let user = UserId::try_from(self.sub)
            .map_err(|error| Error::Unauthorized(format!("token: sub: {error}")))?;
        let operator = self.role.as_deref() == Some(OPERATOR);
        let identity = Identity {
            user,
            operator,
            rooms: self.rooms.map(Arc::from),
        };
        // A time after the calendar's end is as good as its end.
        let expires_at = DateTime::from_timestamp_millis((self.exp * 1000.0) as i64)
            .unwrap_or(DateTime::<Utc>::MAX_UTC);
        if expires_at <= Utc::now() {
            return Err(Error::TokenExpired);
        }
        Ok(Grant {
            identity,
            expires_at,
        })
    }
}

/// Whose tokens count: a key with the one algorithm that it is for, and what else their claims must
/// say.
#[derive(Debug)]
pub struct Verifier {
    key: DecodingKey,
    validation: Validation,
}

impl Verifier {
    /// Tokens signed by HS256.
    ///
    /// Errors when the secret has less than [`MIN_SECRET_BYTES`], or is blank or one character
    /// repeated.
    pub fn from_secret(secret: &str) -> Result<Self, &'static str> {
        let key = DecodingKey::from_secret(long_enough(secret)?.as_bytes());
        Ok(Self::new(key, Algorithm::HS256))
    }

    /// Tokens signed by the private key of this public one, in PEM: RS256, ES256 or EdDSA, by the
    /// key's kind.
    ///
    /// Errors when it is no such key, or a weak one.
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

    /// Only tokens whose `iss` is this.
    pub fn require_issuer(&mut self, issuer: &str) {
        self.validation.set_issuer(&[issuer]);
        self.validation.required_spec_claims.insert("iss".into());
    }

    /// Only tokens whose `aud` is this, or has this; without it, those that have an `aud` are for
    /// somebody else.
    pub fn require_audience(&mut self, audience: &str) {
        self.validation.set_audience(&[audience]);
        self.validation.required_spec_claims.insert("aud".into());
    }

    /// What a token gives.
    ///
    /// Errors: [`Error::Unauthorized`], [`Error::TokenExpired`].
    pub fn check(&self, token: &str) -> Result<Grant, Error> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Error::Unauthorized(format!(
                "token: must be at most {MAX_TOKEN_BYTES} bytes"
            )));
        }
        let decoded = decode::<Claims>(token, &self.key, &self.validation).map_err(|error| {
            match error.kind() {
                ErrorKind::ExpiredSignature => Error::TokenExpired,
                kind => Error::Unauthorized(format!("token: {}", in_words(kind))),
            }
        })?;
        // The library passes over one that is neither a text nor texts.
        if self.validation.aud.is_none() && decoded.claims.aud.is_some() {
            return Err(Error::Unauthorized(
                "token: aud: it is for somebody else".into(),
            ));
        }
        // Extensions that must be understood, and are not:
        // https://www.rfc-editor.org/rfc/rfc7515#section-4.1.11.
        if decoded.header.crit.is_some() {
            return Err(Error::Unauthorized(
                "token: crit: there is no such extension here".into(),
            ));
        }
        decoded.claims.grant()
    }
}

/// Why a token does not count.
fn in_words(why: &ErrorKind) -> Cow<'static, str> {
    match why {
        ErrorKind::InvalidToken | ErrorKind::Base64(_) | ErrorKind::Utf8(_) => {
            "is no JSON Web Token".into()
        }
        ErrorKind::InvalidSignature => "is not signed by the key of this server".into(),
        ErrorKind::InvalidAlgorithm
        | ErrorKind::InvalidAlgorithmName
        | ErrorKind::UnsupportedAlgorithm => "alg: is not the one of this server's key".into(),
        ErrorKind::MissingRequiredClaim(claim) => {
            format!("{}: is required", shortened(claim, MAX_CAUSE_CHARS)).into()
        }
        ErrorKind::InvalidClaimFormat(claim) => format!(
            "{}: is of the wrong kind",
            shortened(claim, MAX_CAUSE_CHARS)
        )
        .into(),
        ErrorKind::InvalidIssuer => "iss: is not the one asked for".into(),
        ErrorKind::InvalidAudience => "aud: it is for somebody else".into(),
        ErrorKind::InvalidSubject => "sub: is not the one asked for".into(),
        ErrorKind::ImmatureSignature => "nbf: its time has not come".into(),
        ErrorKind::Json(error) => json_error::explain("", error).into(),
        _ => "cannot be checked".into(),
    }
}

/// The claims of a token for trying out.
#[derive(Debug, Serialize)]
pub struct TokenClaims<'a> {
    /// Whom its bearer speaks for.
    pub sub: &'a UserId,
    /// Until when, in seconds since 1970.
    pub exp: i64,
    /// [`OPERATOR`], or nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    /// Room ids and patterns; none: all rooms.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub rooms: &'a [String],
    /// Who signs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iss: Option<&'a str>,
    /// Whom it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aud: Option<&'a str>,
}

impl TokenClaims<'_> {
    /// Signs it by HS256.
    ///
    /// Errors when the secret has less than [`MIN_SECRET_BYTES`], or is blank or one character
    /// repeated.
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
