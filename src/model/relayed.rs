//! Clients' own events, relayed to others in a room.

use std::{fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::value::RawValue;

use super::{
    ids::{CallId, PartyId, SignalType, UserId},
    state::check_object,
};

/// The most bytes of an event's data, as JSON.
pub const MAX_SIGNAL_DATA_BYTES: usize = 16 * 1024;

/// A client's own event, on its way to others in its room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Relayed {
    /// The sender's user.
    pub user_id: UserId,
    /// The sender's party in the room's call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub party_id: Option<PartyId>,
    /// That call: an event to a party is for one of the same call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_id: Option<CallId>,
    /// The number of the sender's client, which hears nothing of it; other servers have no use for it.
    #[serde(skip)]
    pub client: u64,
    /// The receiver; none for all others in the room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Recipient>,
    /// The kind of the event.
    pub event: SignalType,
    /// Its content.
    pub data: SignalData,
}

impl Relayed {
    /// Returns the approximate size in bytes.
    pub fn bytes(&self) -> usize {
        let party = self
            .party_id
            .as_ref()
            .map_or(0, |party| party.as_str().len());
        let names = self.user_id.as_str().len() + party + self.event.as_str().len();
        names + self.data.as_str().len()
    }
}

/// The receiver of an event: the user's id, or an object with a `partyId`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Recipient {
    /// A user's clients in the room.
    User(UserId),
    /// The client that is a party of the room's call.
    Party(Party),
}

/// A party of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Party {
    /// Its id.
    pub party_id: PartyId,
}

impl<'de> Deserialize<'de> for Recipient {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RecipientVisitor)
    }
}

/// The reading of a receiver.
struct RecipientVisitor;

impl<'de> Visitor<'de> for RecipientVisitor {
    type Value = Recipient;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a userId or an object with a partyId")
    }

    fn visit_str<E: serde::de::Error>(self, user: &str) -> Result<Recipient, E> {
        user.try_into().map(Recipient::User).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Recipient, A::Error> {
        Party::deserialize(MapAccessDeserializer::new(map)).map(Recipient::Party)
    }
}

/// A JSON object on one line, the content of an event.
#[derive(Debug, Clone, Serialize)]
pub struct SignalData(Arc<RawValue>);

impl SignalData {
    /// Returns the JSON.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }
}

impl PartialEq for SignalData {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for SignalData {}

impl<'de> Deserialize<'de> for SignalData {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Box::<RawValue>::deserialize(deserializer)?;
        check_object(&json, MAX_SIGNAL_DATA_BYTES).map_err(D::Error::custom)?;
        Ok(Self(on_one_line(json).into()))
    }
}

/// Takes the line breaks out of a valid JSON. Outside its texts they mean nothing, and inside them they are
/// escaped.
fn on_one_line(json: Box<RawValue>) -> Box<RawValue> {
    if !json.get().contains(['\n', '\r']) {
        return json;
    }
    let line = json.get().replace(['\n', '\r'], "");
    RawValue::from_string(line).unwrap_or(json)
}

#[cfg(test)]
mod tests {
    use super::{super::signal::Signal, *};

    fn relayed(to: Option<Recipient>, data: &str) -> Relayed {
        Relayed {
            user_id: "ann \" é".try_into().unwrap(),
            party_id: to.is_some().then(|| "tab 1".try_into().unwrap()),
            call_id: to.is_some().then(|| "call".try_into().unwrap()),
            client: 7,
            to,
            event: "move".try_into().unwrap(),
            data: serde_json::from_str(data).unwrap(),
        }
    }

    #[test]
    fn an_event_is_the_same_on_another_server_but_for_its_client() {
        let user = Recipient::User("bob".try_into().unwrap());
        let party = Recipient::Party(Party {
            party_id: "tab 2".try_into().unwrap(),
        });
        for to in [None, Some(user), Some(party)] {
            let sent = relayed(to, r#"{"b": 1.0,"a":[18446744073709551616, "é"]}"#);
            let json = serde_json::to_string(&Signal::Relayed(Box::new(sent.clone()))).unwrap();
            let heard = Relayed { client: 0, ..sent };
            assert_eq!(
                Signal::from_json(&json),
                Some(Signal::Relayed(heard.into()))
            );
        }
    }

    #[test]
    fn data_has_one_line_and_the_same_meaning() {
        let data = relayed(None, "{\r\n\"a b\":\n\t[1,\n \"\\n\"]}").data;
        assert_eq!(data.as_str(), "{\"a b\":\t[1, \"\\n\"]}");
    }

    #[test]
    fn a_receiver_is_a_user_or_a_party() {
        let read =
            |json| serde_json::from_str::<Recipient>(json).map_err(|error| error.to_string());
        assert!(matches!(read(r#""ann""#), Ok(Recipient::User(_))));
        assert!(matches!(
            read(r#"{"partyId":"p"}"#),
            Ok(Recipient::Party(_))
        ));
        for bad in [
            r#""""#,
            "[]",
            "5",
            "{}",
            r#"{"partyId":""}"#,
            r#"{"userId":"ann"}"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
