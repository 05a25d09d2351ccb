//! The servers that find and relay the ways of calls, with credentials for a time.

use std::{fmt, time::Duration};

use aws_lc_rs::hmac::{HMAC_SHA1_FOR_LEGACY_USE_ONLY, HMAC_SHA256, Key, sign};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use chrono::{DateTime, SubsecRound, Utc};
use serde::Serialize;

use super::IceUrls;
use crate::model::{UserId, optional_time};

/// The beginning of the text whose keyed hash stands for a user, so that the secret signs nothing else alike.
const USER: &[u8] = b"parlor turn user\0";
/// The bytes of that hash in a username: enough that no two users meet, and few in a packet.
const USER_BYTES: usize = 12;

/// The servers for parties of calls.
#[derive(Debug, Clone, Default)]
pub struct IceServers {
    stun: IceUrls,
    turn: Option<Turn>,
}

/// TURN servers, and the secret that they share with this server.
#[derive(Clone)]
pub struct Turn {
    urls: IceUrls,
    /// Signs usernames. TURN servers know no other hash:
    /// <https://datatracker.ietf.org/doc/html/draft-uberti-behave-turn-rest-00#section-2.2>.
    credentials: Key,
    /// Hashes the ids of users.
    users: Key,
    /// The life of credentials.
    ttl: Duration,
}

/// The servers for a user, in the words of browsers' `RTCConfiguration`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IceConfiguration {
    /// The servers.
    ice_servers: Vec<IceServer>,
    /// The end of the credentials; none without any.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "optional_time"
    )]
    expires_at: Option<DateTime<Utc>>,
}

/// A server: <https://www.w3.org/TR/webrtc/#rtciceserver-dictionary>.
#[derive(Serialize)]
struct IceServer {
    urls: IceUrls,
    #[serde(flatten)]
    login: Option<Login>,
}

#[derive(Serialize)]
struct Login {
    username: String,
    credential: String,
}

impl IceServers {
    /// Takes the URLs of STUN servers, and the TURN servers.
    pub fn new(stun: IceUrls, turn: Option<Turn>) -> Self {
        Self { stun, turn }
    }

    /// Returns the servers for a user from now on.
    pub fn servers_for(&self, user: &UserId) -> IceConfiguration {
        self.servers_at(Utc::now(), user)
    }

    /// Returns the servers for a user from a time on.
    pub fn servers_at(&self, now: DateTime<Utc>, user: &UserId) -> IceConfiguration {
        let stun = (!self.stun.is_empty()).then(|| IceServer {
            urls: self.stun.clone(),
            login: None,
        });
        let expires_at = self.turn.as_ref().map(|turn| turn.expiry(now));
        let turn = self.turn.as_ref().zip(expires_at);
        let turn = turn.map(|(turn, expires_at)| turn.server(expires_at, user));
        IceConfiguration {
            ice_servers: stun.into_iter().chain(turn).collect(),
            expires_at,
        }
    }
}

impl Turn {
    /// Takes the URLs, the shared secret, and the life of credentials.
    pub fn new(urls: IceUrls, secret: &str, ttl: Duration) -> Self {
        Self {
            urls,
            credentials: Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes()),
            users: Key::new(HMAC_SHA256, secret.as_bytes()),
            ttl,
        }
    }

    /// Returns the end of credentials of now; they end with a whole second.
    fn expiry(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now.trunc_subsecs(0) + self.ttl
    }

    fn server(&self, expires_at: DateTime<Utc>, user: &UserId) -> IceServer {
        let username = format!("{}:{}", expires_at.timestamp(), self.pseudonym(user));
        let credential = STANDARD.encode(sign(&self.credentials, username.as_bytes()));
        IceServer {
            urls: self.urls.clone(),
            login: Some(Login {
                username,
                credential,
            }),
        }
    }

    /// Returns the name of a user for TURN servers: always the same one, so that they count its relays, and none
    /// from which others learn the id.
    fn pseudonym(&self, user: &UserId) -> String {
        let hash = sign(&self.users, &[USER, user.as_str().as_bytes()].concat());
        URL_SAFE_NO_PAD.encode(&hash.as_ref()[..USER_BYTES])
    }
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn")
            .field("urls", &self.urls)
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for IceServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceServer")
            .field("urls", &self.urls)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{
        super::{stun_urls, turn_urls},
        *,
    };

    const TTL: Duration = Duration::from_secs(7200);

    fn turn(secret: &str) -> Turn {
        let urls = turn_urls("turn:t.example?transport=udp,turns:t.example:443?transport=tcp");
        Turn::new(urls.unwrap(), secret, TTL)
    }

    fn user(name: &str) -> UserId {
        name.try_into().unwrap()
    }

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_700_000_000_987).unwrap()
    }

    /// Returns the configuration's TURN server.
    fn credentials(secret: &str, name: &str) -> Value {
        let servers = IceServers::new(IceUrls::default(), Some(turn(secret)));
        let configuration = serde_json::to_value(servers.servers_at(now(), &user(name))).unwrap();
        configuration["iceServers"][0].clone()
    }

    /// The cases 1 and 2 of <https://www.rfc-editor.org/rfc/rfc2202#section-3>.
    #[test]
    fn the_hash_is_that_of_the_rfc() {
        for (key, data, expected) in [
            (&[0x0b; 20][..], "Hi There", "thcxhlUFcmTii8C2+zeMjvFGvgA="),
            (
                b"Jefe",
                "what do ya want for nothing?",
                "7/zfauXrL6LSdBbV8YTfnCWafHk=",
            ),
        ] {
            let key = Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
            assert_eq!(STANDARD.encode(sign(&key, data.as_bytes())), expected);
        }
    }

    /// Independently, the pseudonym is
    ///
    /// ```sh
    /// printf 'parlor turn user\0ann' | openssl dgst -sha256 -hmac 0123456789abcdef -binary |
    ///   head -c 12 | base64 | tr +/ -_
    /// ```
    ///
    /// and the credential, as coturn computes it,
    ///
    /// ```sh
    /// printf 1700007200:PSEUDONYM | openssl dgst -sha1 -hmac 0123456789abcdef -binary | base64
    /// ```
    #[test]
    fn credentials_are_those_of_coturn() {
        let server = credentials("0123456789abcdef", "ann");
        assert_eq!(server["username"], "1700007200:jRwSt01gpxgoZY69");
        assert_eq!(server["credential"], "wql2ISfCpdskEe36zhPMxSh1oNw=");
    }

    #[test]
    fn servers_are_told_in_the_words_of_browsers() {
        let ann = user("ann");
        let told = |stun: &str, turn| {
            let servers = IceServers::new(stun_urls(stun).unwrap(), turn);
            serde_json::to_value(servers.servers_at(now(), &ann)).unwrap()
        };
        assert_eq!(told("", None), json!({ "iceServers": [] }));
        let stun = json!({ "urls": ["stun:s.example", "stun:[2001:db8::1]:3478"] });
        let stun_only = told("stun:s.example,stun:[2001:db8::1]:3478", None);
        assert_eq!(stun_only, json!({ "iceServers": [stun] }));
        let both = told("stun:s.example", Some(turn("0123456789abcdef")));
        assert_eq!(both["expiresAt"], "2023-11-15T00:13:20.000Z");
        let servers = both["iceServers"].as_array().unwrap();
        let fields = |server: &Value| Vec::from_iter(server.as_object().unwrap().keys().cloned());
        assert_eq!(
            Vec::from_iter(servers.iter().map(fields)),
            [vec!["urls"], vec!["credential", "urls", "username"]]
        );
        assert_eq!(servers[1]["urls"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn a_username_is_the_users_own_and_names_nobody() {
        let username = |secret, name| credentials(secret, name)["username"].to_string();
        let secret = "0123456789abcdef";
        assert_eq!(username(secret, "ann"), username(secret, "ann"));
        assert_ne!(username(secret, "ann"), username(secret, "bob"));
        assert_ne!(
            username(secret, "ann"),
            username("another secret, too", "ann")
        );
        for name in ["ann", "a:b", "é: Ann", &"x".repeat(128)] {
            let username = username(secret, name);
            assert_eq!(username.matches(':').count(), 1, "{username}");
            assert!(
                !username.contains(name) && username.len() < 40,
                "{username}"
            );
        }
    }

    #[test]
    fn no_secret_is_shown() {
        let servers = IceServers::new(IceUrls::default(), Some(turn("hunter2hunter2hunter2")));
        let configuration = servers.servers_at(now(), &user("ann"));
        let shown = format!("{servers:?} {configuration:?}");
        assert!(shown.contains("turn:t.example"), "{shown}");
        for secret in ["hunter2", "1700007200:", "credential:"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}
