//! Access to LiveKit, a server that forwards the media of larger calls.

use std::{fmt, time::Duration};

use aws_lc_rs::digest::{Context, SHA256};
use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::Serialize;

use crate::model::{CallId, PartyId, RoomId, UserId};

/// The life of an access token. LiveKit looks at it when a client connects, and not while it is connected.
const TOKEN_LIFE: Duration = Duration::from_secs(600);

/// The beginning of the text whose hash names a LiveKit room.
const ROOM: &[u8] = b"parlor livekit room\0";

/// A LiveKit server with a key of its API.
#[derive(Clone)]
pub struct LiveKit {
    url: String,
    api_key: String,
    secret: EncodingKey,
}

/// The way of a party to the media of its call.
#[derive(Clone, Serialize)]
pub struct Grant {
    /// The URL of the LiveKit server.
    pub url: String,
    /// The access token.
    pub token: String,
}

/// The claims of an access token: <https://docs.livekit.io/frontends/reference/tokens-grants/>.
#[derive(Serialize)]
struct Claims<'a> {
    /// The API key.
    iss: &'a str,
    /// The identity of the participant. LiveKit has one of each in a room, and a later one replaces it.
    sub: &'a PartyId,
    /// The name that is shown for the participant.
    name: &'a UserId,
    nbf: i64,
    exp: i64,
    video: VideoGrant,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VideoGrant {
    room: String,
    room_join: bool,
    can_publish: bool,
    can_subscribe: bool,
    can_publish_data: bool,
}

impl LiveKit {
    /// Takes the server's URL, and a key of its API with its secret.
    pub fn new(url: String, api_key: String, secret: &str) -> Self {
        Self {
            url,
            api_key,
            secret: EncodingKey::from_secret(secret.as_bytes()),
        }
    }

    /// Lets a party of a call into the call's LiveKit room.
    pub fn grant(&self, room: &RoomId, call: &CallId, party: &PartyId, user: &UserId) -> Grant {
        self.grant_at(Utc::now(), self.room(room, call), party, user)
    }

    fn grant_at(&self, now: DateTime<Utc>, room: String, party: &PartyId, user: &UserId) -> Grant {
        let claims = Claims {
            iss: &self.api_key,
            sub: party,
            name: user,
            nbf: now.timestamp(),
            exp: (now + TOKEN_LIFE).timestamp(),
            video: VideoGrant {
                room,
                room_join: true,
                can_publish: true,
                can_subscribe: true,
                can_publish_data: true,
            },
        };
        let token = encode(&Header::new(Algorithm::HS256), &claims, &self.secret);
        Grant {
            url: self.url.clone(),
            token: token.expect("claims of texts and numbers are JSON"),
        }
    }

    /// Returns the name of a call's LiveKit room. Chats that share a LiveKit have keys of their own, so their rooms
    /// never meet, even for the same ids.
    fn room(&self, room: &RoomId, call: &CallId) -> String {
        let mut hash = Context::new(&SHA256);
        hash.update(ROOM);
        for part in [&self.api_key, room.as_str(), call.as_str()] {
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let hash = hash.finish();
        let digits = hash.as_ref().iter().map(|byte| format!("{byte:02x}"));
        digits.collect()
    }
}

impl fmt::Debug for LiveKit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveKit")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
    use serde_json::{Value, json};

    use super::*;

    const SECRET: &str = "hunter2hunter2hunter2hunter2hunter2";

    fn livekit(api_key: &str) -> LiveKit {
        LiveKit::new("wss://sfu.example".into(), api_key.into(), SECRET)
    }

    /// Returns a grant for a party `p` of `ann`.
    fn grant(livekit: &LiveKit, room: &str, call: &str) -> Grant {
        let (room, call) = (room.try_into().unwrap(), call.try_into().unwrap());
        let (party, user) = ("p".try_into().unwrap(), "ann".try_into().unwrap());
        livekit.grant(&room, &call, &party, &user)
    }

    fn claims(token: &str) -> Value {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "sub"]);
        validation.set_issuer(&["key"]);
        validation.validate_nbf = true;
        let key = DecodingKey::from_secret(SECRET.as_bytes());
        decode(token, &key, &validation).unwrap().claims
    }

    #[test]
    fn a_token_lets_a_party_into_its_calls_room_and_nothing_else() {
        let grant = grant(&livekit("key"), "room", "call");
        assert_eq!(grant.url, "wss://sfu.example");
        let header = decode_header(&grant.token).unwrap();
        assert_eq!(
            (header.alg, &*header.typ.unwrap()),
            (Algorithm::HS256, "JWT")
        );
        let mut claims = claims(&grant.token);
        let [nbf, exp] = ["nbf", "exp"].map(|name| claims[name].as_i64().unwrap());
        assert_eq!(exp - nbf, 600);
        assert!(Utc::now().timestamp().abs_diff(nbf) < 60);
        let room = claims["video"]["room"].take();
        assert_eq!(room.as_str().unwrap().len(), 64);
        assert_eq!(
            claims,
            json!({
                "iss": "key", "sub": "p", "name": "ann", "nbf": nbf, "exp": exp,
                "video": {
                    "room": null, "roomJoin": true, "canPublish": true, "canSubscribe": true,
                    "canPublishData": true,
                },
            })
        );
    }

    #[test]
    fn each_call_of_each_room_of_each_chat_has_a_livekit_room_of_its_own() {
        let room = |key, room: &str, call: &str| {
            let (room, call) = (room.try_into().unwrap(), call.try_into().unwrap());
            livekit(key).room(&room, &call)
        };
        let rooms = [
            room("key", "room", "call"),
            room("key", "room", "call2"),
            room("key", "room2", "call"),
            room("key", "roomc", "all"),
            room("key", "call", "room"),
            room("key2", "room", "call"),
        ];
        assert_eq!(BTreeSet::from(rooms.clone()).len(), rooms.len());
        assert_eq!(room("key", "room", "call"), rooms[0]);
    }

    #[test]
    fn no_secret_is_shown() {
        let livekit = livekit("key");
        let grant = grant(&livekit, "room", "call");
        let shown = format!("{livekit:?} {grant:?}");
        assert!(shown.contains("wss://sfu.example"), "{shown}");
        for secret in ["hunter2", &grant.token, "key\""] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}
