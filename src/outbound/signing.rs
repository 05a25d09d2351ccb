//! Signatures as in Standard Webhooks 1.0.

use std::{fmt, str::FromStr, sync::Arc};

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use base64::{Engine, engine::general_purpose::STANDARD};

/// The beginning of a secret.
const PREFIX: &str = "whsec_";
/// The least and the most bytes of a key.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// The most secrets: the present one and, during a rotation, the next one.
const MAX_SECRETS: usize = 2;

/// The keys of the signatures, each of which signs.
#[derive(Clone)]
pub struct Secrets(Arc<[Key]>);

impl Secrets {
    /// Returns the value of the `webhook-signature` header.
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let content = [format!("{id}.{timestamp}.").as_bytes(), body].concat();
        let signatures = self.0.iter().map(|key| {
            let signature = STANDARD.encode(sign(key, &content));
            format!("v1,{signature}")
        });
        Vec::from_iter(signatures).join(" ")
    }
}

impl FromStr for Secrets {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let secrets = text.split([' ', ',']).filter(|secret| !secret.is_empty());
        let keys = secrets.map(|secret| {
            let encoded = secret.strip_prefix(PREFIX);
            let bytes = encoded.and_then(|encoded| STANDARD.decode(encoded).ok());
            bytes
                .filter(|bytes| KEY_BYTES.contains(&bytes.len()))
                .map(|bytes| Key::new(HMAC_SHA256, &bytes))
        });
        let keys = keys.collect::<Option<Vec<_>>>().ok_or_else(|| {
            let (least, most) = (KEY_BYTES.start(), KEY_BYTES.end());
            format!("must be {PREFIX} and the base64 of {least} to {most} random bytes")
        })?;
        if !(1..=MAX_SECRETS).contains(&keys.len()) {
            return Err(format!(
                "must be one secret, or {MAX_SECRETS} during a rotation"
            ));
        }
        Ok(Self(keys.into()))
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn a_signature_is_that_of_the_specification() {
        let secrets: Secrets = SECRET.parse().unwrap();
        let signature = secrets.sign(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn two_secrets_sign_during_a_rotation() {
        for separator in [" ", ",", ", "] {
            let both: Secrets = format!("{SECRET}{separator}{SECRET}").parse().unwrap();
            let signatures = both.sign("id", 1, b"{}");
            let (one, other) = signatures.split_once(' ').unwrap();
            assert_eq!(one, other);
        }
    }

    #[test]
    fn a_bad_secret_is_refused_and_none_is_shown() {
        let key = |bytes: usize| {
            format!(
                "whsec_{}",
                STANDARD.encode("hunter2".repeat(10).split_at(bytes).0)
            )
        };
        for bad in [
            "",
            "hunter2",
            "whsec_",
            "whsec_hunter2",
            &key(23),
            &key(65),
            &[SECRET; 3].join(" "),
        ] {
            let error = bad.parse::<Secrets>().unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
        for good in [key(24), key(64)] {
            assert_eq!(
                format!("{:?}", good.parse::<Secrets>().unwrap()),
                "Secrets(…)"
            );
        }
    }
}
