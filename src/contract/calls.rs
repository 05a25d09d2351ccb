//! Requests about calls, and their answers.

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use crate::{
    chat::{Entered, Grant, NewCall},
    model::{Call, CallId, MAX_RUNG, Media, PartyId, RoomId, UserId},
};

/// `startCall`: starts a call, with the client as its first party.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StartCall {
    /// The room.
    pub room_id: RoomId,
    /// The client.
    pub party_id: PartyId,
    call_id: CallId,
    media: Media,
    to: Option<Rung>,
}

impl StartCall {
    /// The event's name.
    pub const EVENT: &str = "startCall";

    /// Returns the call.
    pub fn call(&self) -> NewCall {
        NewCall {
            call_id: self.call_id.clone(),
            media: self.media,
            to: self.to.as_ref().map(|rung| rung.0.clone()),
        }
    }
}

/// The users whom a call rings: a list, or one user.
#[derive(Debug)]
struct Rung(Vec<UserId>);

impl<'de> Deserialize<'de> for Rung {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Users {
            One(String),
            Many(Vec<String>),
        }
        let named = match Users::deserialize(deserializer) {
            Ok(Users::One(user)) => vec![user],
            Ok(Users::Many(users)) => users,
            Err(_) => return Err(D::Error::custom("must be a user, or a list of users")),
        };
        if named.len() > MAX_RUNG {
            let why = format!("must be at most {MAX_RUNG} users");
            return Err(D::Error::custom(why));
        }
        let users: Result<Vec<_>, _> = named.into_iter().map(UserId::try_from).collect();
        let mut users = users.map_err(D::Error::custom)?;
        users.sort();
        users.dedup();
        Ok(Self(users))
    }
}

/// `joinCall`: joins a call, or comes back to it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JoinCall {
    /// The room.
    pub room_id: RoomId,
    /// The call.
    pub call_id: CallId,
    /// The client.
    pub party_id: PartyId,
}

impl JoinCall {
    /// The event's name.
    pub const EVENT: &str = "joinCall";
}

/// `rejectCall`: declines a call, for all clients of the user.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RejectCall {
    /// The room.
    pub room_id: RoomId,
    /// The call.
    pub call_id: CallId,
}

impl RejectCall {
    /// The event's name.
    pub const EVENT: &str = "rejectCall";
}

/// `leaveCall`: leaves a call.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeaveCall {
    /// The room.
    pub room_id: RoomId,
    /// The call.
    pub call_id: CallId,
    /// The client.
    pub party_id: PartyId,
}

impl LeaveCall {
    /// The event's name.
    pub const EVENT: &str = "leaveCall";
}

/// The answer to a client that is a party now.
#[derive(Debug, Serialize)]
pub struct CallEntered {
    /// The call in its present state.
    pub call: Call,
    /// The way to the media, where a LiveKit server carries them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub livekit: Option<Grant>,
}

impl From<Entered> for CallEntered {
    fn from(Entered { call, livekit }: Entered) -> Self {
        Self { call, livekit }
    }
}

/// The answer to a step of a call.
#[derive(Debug, Serialize)]
pub struct CallStepped {
    /// The call in its present state.
    pub call: Call,
}

impl From<Call> for CallStepped {
    fn from(call: Call) -> Self {
        Self { call }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rung(to: &str) -> Result<Option<Vec<UserId>>, String> {
        let json =
            format!(r#"{{"roomId":"r","callId":"c","partyId":"p","media":"audio","to":{to}}}"#);
        let start: StartCall = super::super::parse(&json).map_err(|error| error.to_string())?;
        Ok(start.call().to)
    }

    #[test]
    fn a_call_rings_everybody_or_a_user_or_some_users_each_once() {
        let user = |name: &str| UserId::try_from(name).unwrap();
        assert_eq!(rung("null"), Ok(None));
        assert_eq!(rung(r#""ann""#), Ok(Some(vec![user("ann")])));
        let both = Ok(Some(vec![user("ann"), user("bob")]));
        assert_eq!(rung(r#"["bob", "ann", "bob"]"#), both);
        let many = serde_json::json!(Vec::from_iter((0..=MAX_RUNG).map(|n| n.to_string())));
        for bad in ["1", "{}", "[1]", r#"[""]"#, r#""""#, &many.to_string()] {
            let error = rung(bad).unwrap_err();
            assert!(error.starts_with("to: must be"), "{bad}: {error}");
        }
    }
}
