//! Requests about the settings and members of rooms, and their answers.

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use utoipa::{IntoParams, ToSchema};

use super::saturating;
use crate::model::{
    Access, MAX_FIRST_MEMBERS, Metadata, NewSettings, Role, RoomChanged, RoomId, RoomMember,
    RoomSettings, Title, UserId, WholeNumber,
};

/// `createRoom`: creates a room.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateRoom {
    /// The room.
    pub room_id: RoomId,
    title: Option<Title>,
    metadata: Option<Metadata>,
    access: Option<Access>,
    members: Option<FirstMembers>,
}

impl CreateRoom {
    /// The event's name.
    pub const EVENT: &str = "createRoom";

    /// Returns the settings and the first members.
    pub fn parts(self) -> (NewSettings, Vec<UserId>) {
        let settings = NewSettings {
            title: self.title,
            metadata: self.metadata,
            access: self.access,
        };
        (settings, self.members.map_or(vec![], |members| members.0))
    }
}

/// The first members of a room.
#[derive(Debug)]
pub(super) struct FirstMembers(Vec<UserId>);

impl<'de> Deserialize<'de> for FirstMembers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let members = Vec::deserialize(deserializer)?;
        if members.len() > MAX_FIRST_MEMBERS {
            let why = format!("must be at most {MAX_FIRST_MEMBERS}; add the others later");
            return Err(D::Error::custom(why));
        }
        Ok(Self(members))
    }
}

/// `setRoom`: changes the settings of a room.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SetRoom {
    /// The room.
    pub room_id: RoomId,
    title: Option<Title>,
    metadata: Option<Metadata>,
    access: Option<Access>,
}

impl SetRoom {
    /// The event's name.
    pub const EVENT: &str = "setRoom";

    /// Returns the new settings.
    pub fn settings(&self) -> NewSettings {
        NewSettings {
            title: self.title.clone(),
            metadata: self.metadata.clone(),
            access: self.access,
        }
    }
}

/// The answer to `createRoom`.
#[derive(Debug, Serialize, ToSchema)]
pub struct RoomCreated {
    /// The settings.
    pub room: RoomSettings,
}

/// The answer to `setRoom`.
#[derive(Debug, Serialize, ToSchema)]
pub struct RoomSet {
    /// The settings.
    pub room: RoomSettings,
    /// False when everything was so already.
    pub changed: bool,
}

impl From<RoomChanged> for RoomSet {
    fn from(set: RoomChanged) -> Self {
        Self {
            room: set.settings,
            changed: set.changed,
        }
    }
}

/// `addMember`: makes somebody a member of a room, or gives a member another role.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AddMember {
    /// The room.
    pub room_id: RoomId,
    /// The member.
    pub user_id: UserId,
    /// The role; none for a plain member.
    pub role: Option<Role>,
}

impl AddMember {
    /// The event's name.
    pub const EVENT: &str = "addMember";
}

/// `removeMember`: puts somebody out of a room.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct RemoveMember {
    /// The room.
    pub room_id: RoomId,
    /// The member.
    pub user_id: UserId,
}

impl RemoveMember {
    /// The event's name.
    pub const EVENT: &str = "removeMember";
}

/// The answer to `addMember` and `removeMember`.
#[derive(Debug, Serialize, ToSchema)]
pub struct MemberChanged {
    /// False when it was so already.
    pub changed: bool,
}

/// `getMembers`: reads a page of a room's members.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct GetMembers {
    /// The room.
    pub room_id: RoomId,
    limit: Option<WholeNumber>,
    /// The end of the page before.
    pub cursor: Option<UserId>,
}

impl GetMembers {
    /// The event's name.
    pub const EVENT: &str = "getMembers";

    /// Returns the number of members asked for.
    pub fn limit(&self) -> Option<usize> {
        self.limit.map(saturating)
    }
}

/// The answer to `getMembers`.
#[derive(Debug, Serialize, ToSchema)]
pub struct MembersPage {
    /// The members, by their names.
    pub members: Vec<RoomMember>,
    /// The place of the next page; null after the last one.
    pub cursor: Option<UserId>,
}
