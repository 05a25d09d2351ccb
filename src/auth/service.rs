//! Services: the backends of the product around the chat, by an API key or a token.

use std::{str::FromStr, sync::Arc};

use chrono::{DateTime, Utc};
use headers::HeaderMap;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use super::{
    bearer,
    identity::{Agent, Identity},
    token::{Grant, SERVICE, Verifier},
};
use crate::{error::Error, model::UserId};

/// The fewest bytes of an API key.
const MIN_KEY_BYTES: usize = 32;

/// The beginning of the names of services with API keys.
const KEY_NAME: &str = "api-key-";

/// The API keys of a deployment. Several are valid at once, so that one can be replaced.
#[derive(Debug, Clone, Default)]
pub struct ApiKeys(Vec<SecretString>);

impl ApiKeys {
    /// Returns true when there is no key.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the place of a key, from 1 on. All keys are compared, each in a time that does not
    /// depend on its text.
    fn place_of(&self, key: &str) -> Option<usize> {
        let mut found = None;
        for (index, known) in self.0.iter().enumerate() {
            let known = known.expose_secret().as_bytes();
            if known.ct_eq(key.as_bytes()).into() {
                found = Some(index + 1);
            }
        }
        found
    }
}

impl FromStr for ApiKeys {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let keys = text.split(',').map(str::trim).filter(|key| !key.is_empty());
        let checked = keys.map(|key| {
            let is_visible = key.bytes().all(|byte| byte.is_ascii_graphic());
            let first = key.chars().next();
            if key.len() < MIN_KEY_BYTES || key.chars().all(|c| Some(c) == first) {
                return Err(format!(
                    "a key must have at least {MIN_KEY_BYTES} characters, not all the same; `openssl rand -hex 32` makes one"
                ));
            }
            if !is_visible {
                return Err("a key must be of visible ASCII characters, without spaces".into());
            }
            Ok(SecretString::from(key))
        });
        Ok(Self(checked.collect::<Result<_, _>>()?))
    }
}

/// A backend. It acts for itself or for any user, in the rooms of its token.
#[derive(Debug, Clone)]
pub struct Service(Identity);

impl Service {
    /// Returns the service of a token.
    ///
    /// # Errors
    ///
    /// [`Error::Unauthorized`] for the name of an API key: logs and rates would take one for the other.
    fn from_token(identity: Identity) -> Result<Self, Error> {
        if identity.user.as_str().starts_with(KEY_NAME) {
            let why = format!("token: sub: must not begin with {KEY_NAME:?} for a service");
            return Err(Error::Unauthorized(why));
        }
        Ok(Self(Identity {
            agent: Agent::Service,
            ..identity
        }))
    }

    /// Returns the name: a token's `sub`, or `api-key-1` for the first key.
    pub fn name(&self) -> &UserId {
        &self.0.user
    }

    /// Checks that the service may act on users as such, beyond some rooms.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] for a token that is for some rooms only.
    pub fn check_all_rooms(&self) -> Result<(), Error> {
        if self.0.rooms.is_some() {
            let why = "token: rooms: is for some rooms only, and the request concerns all";
            return Err(Error::Forbidden(why.into()));
        }
        Ok(())
    }

    /// Returns the identity of the service itself.
    pub fn itself(&self) -> Identity {
        self.0.clone()
    }

    /// Returns the identity of a user for whom the service vouches, in the rooms of its token: the user's own
    /// rights, not those of the service.
    pub fn vouch_for(&self, user: Identity) -> Identity {
        Identity {
            rooms: self.0.rooms.clone(),
            ..user
        }
    }

    /// Returns the identity of the service as it acts for a user or an operator.
    pub fn acting_for(&self, user: &Identity) -> Identity {
        Identity {
            rooms: self.0.rooms.clone(),
            agent: Agent::ServiceForUser,
            ..user.clone()
        }
    }
}

/// The credentials that make a caller a service.
#[derive(Debug, Clone)]
pub struct Services {
    /// The API keys.
    pub keys: ApiKeys,
    /// The verifier of tokens; none where clients are guests.
    pub verifier: Option<Arc<Verifier>>,
}

impl Services {
    /// Returns true when no caller can be a service.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.verifier.is_none()
    }

    /// Authenticates the service that makes a request, by its `Authorization` header.
    ///
    /// # Errors
    ///
    /// [`Error::Unauthorized`], [`Error::TokenExpired`]; [`Error::Forbidden`] for the token of somebody
    /// else than a service.
    pub fn authenticate(&self, headers: &HeaderMap) -> Result<Service, Error> {
        match self.identify(headers)?.caller {
            Caller::Service(service) => Ok(service),
            Caller::User(_) => {
                let why = format!("token: role: must be {SERVICE:?}");
                Err(Error::Forbidden(why))
            }
        }
    }

    /// Authenticates the service or the user that makes a request, by its `Authorization` header.
    ///
    /// # Errors
    ///
    /// [`Error::Unauthorized`], [`Error::TokenExpired`].
    pub fn identify(&self, headers: &HeaderMap) -> Result<Credentials, Error> {
        let bearer = bearer(headers).ok_or_else(|| {
            let why = "an API key or a token is required: Authorization: Bearer ...";
            Error::Unauthorized(why.into())
        })?;
        if let Some(place) = self.keys.place_of(bearer.token()) {
            let name = UserId::try_from(format!("{KEY_NAME}{place}"));
            let name = name.expect("the name is short and visible");
            return Ok(Credentials {
                caller: Caller::Service(Service(Identity::service(name))),
                expires_at: None,
            });
        }
        let Some(verifier) = &self.verifier else {
            return Err(Error::Unauthorized("the API key is not valid".into()));
        };
        let Grant {
            identity,
            is_service,
            expires_at,
        } = verifier.check(bearer.token())?;
        let caller = match is_service {
            true => Caller::Service(Service::from_token(identity)?),
            false => Caller::User(identity),
        };
        Ok(Credentials {
            caller,
            expires_at: Some(expires_at),
        })
    }
}

/// The maker of a request.
#[derive(Debug, Clone)]
pub enum Caller {
    /// A backend.
    Service(Service),
    /// A user or an operator.
    User(Identity),
}

/// Valid credentials of a request.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The maker of the request.
    pub caller: Caller,
    /// The end of the credentials; API keys have none.
    pub expires_at: Option<DateTime<Utc>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_separated_by_commas_and_each_is_checked() {
        let (first, second) = ("0123456789abcdef".repeat(2), "fedcba9876543210".repeat(2));
        let keys: ApiKeys = format!(" {first} , {second},").parse().unwrap();
        assert_eq!(keys.place_of(&first), Some(1));
        assert_eq!(keys.place_of(&second), Some(2));
        for other in ["", &first[1..], &format!("{first}0"), &first.to_uppercase()] {
            assert_eq!(keys.place_of(other), None, "{other}");
        }
        assert!("".parse::<ApiKeys>().unwrap().is_empty());
        for bad in ["short", &"a".repeat(64), &format!("{first},short")] {
            let error = bad.parse::<ApiKeys>().unwrap_err();
            assert!(error.contains("at least 32"), "{error}");
        }
        let spaced = format!("{first} {second}");
        assert!(spaced.parse::<ApiKeys>().unwrap_err().contains("visible"));
    }
}
