//! Rooms that somebody created: their settings, their members, and who may be in them.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    call::{Call, CallStep},
    conversation::{Conversation, Handover, Queued},
    ids::{FromStore, InvalidIdentifier, RoomId, UserId, check_characters},
    message::Message,
    state::{Metadata, Revision},
    visible,
};
use crate::error::{Current, Error};

/// The most bytes of UTF-8 in a room's title.
pub const MAX_TITLE_BYTES: usize = 256;
/// The most members that a room is created with.
pub const MAX_FIRST_MEMBERS: usize = 100;

/// A room's title; an empty one stands for none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Title(Arc<str>);

/// The reason why a text is no title.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTitle {
    /// It is over [`MAX_TITLE_BYTES`].
    #[error("must be at most {MAX_TITLE_BYTES} bytes of UTF-8")]
    Length,
    /// Nothing of it can be seen.
    #[error("must not be blank: nothing of it can be seen")]
    Blank,
    /// It has an unfit character.
    #[error(transparent)]
    Unfit(InvalidIdentifier),
}

impl Title {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the title, or none for an empty one.
    fn if_any(self) -> Option<Self> {
        Some(self).filter(|title| !title.0.is_empty())
    }
}

impl TryFrom<String> for Title {
    type Error = InvalidTitle;

    fn try_from(text: String) -> Result<Self, InvalidTitle> {
        if text.len() > MAX_TITLE_BYTES {
            return Err(InvalidTitle::Length);
        }
        if !text.is_empty() && visible::is_blank(&text) {
            return Err(InvalidTitle::Blank);
        }
        check_characters(&text).map_err(InvalidTitle::Unfit)?;
        Ok(Self(text.into()))
    }
}

impl FromStore for Title {
    fn from_store(text: String) -> Self {
        Self(text.into())
    }
}

/// The users who may be in a room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// All but those who were removed.
    #[default]
    Open,
    /// The members only.
    Members,
}

/// A member's rights. A higher one includes the lower ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// May be in the room.
    #[default]
    Member,
    /// May change the title, add and remove members, delete and pin messages.
    Moderator,
    /// May do everything.
    Owner,
}

/// A user's relation to a room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Membership {
    /// Nobody added the user.
    #[default]
    Outsider,
    /// Somebody removed the user, who is to stay away.
    Removed,
    /// A member.
    Member(Role),
}

impl Membership {
    /// Returns the role; none for others than members.
    pub fn role(self) -> Option<Role> {
        match self {
            Self::Member(role) => Some(role),
            Self::Outsider | Self::Removed => None,
        }
    }

    /// Returns the name in the database; none for outsiders, who have no row.
    pub(crate) fn name(self) -> Option<&'static str> {
        match self {
            Self::Outsider => None,
            Self::Removed => Some("removed"),
            Self::Member(Role::Member) => Some("member"),
            Self::Member(Role::Moderator) => Some("moderator"),
            Self::Member(Role::Owner) => Some("owner"),
        }
    }

    /// Reads a name out of the database. A name of a later version counts as a removal: nobody gets
    /// in by it.
    pub(crate) fn from_store(name: Option<&str>) -> Self {
        match name {
            None => Self::Outsider,
            Some("member") => Self::Member(Role::Member),
            Some("moderator") => Self::Member(Role::Moderator),
            Some("owner") => Self::Member(Role::Owner),
            Some(_) => Self::Removed,
        }
    }
}

/// A user's standing in a room that somebody created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The users who may be in the room.
    pub access: Access,
    /// The user's own relation to it.
    pub membership: Membership,
}

/// The reason why a user may not be in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Exclusion {
    /// Somebody removed the user.
    Removed,
    /// The room is for members only.
    NotMember,
}

impl Standing {
    /// Returns the reason why the user may not be in the room, if there is one.
    pub fn exclusion(self) -> Option<Exclusion> {
        match (self.membership, self.access) {
            (Membership::Removed, _) => Some(Exclusion::Removed),
            (Membership::Outsider, Access::Members) => Some(Exclusion::NotMember),
            _ => None,
        }
    }

    /// Checks that the user may be in the room.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] when it may not.
    pub fn check(self) -> Result<(), Error> {
        self.exclusion().map_or(Ok(()), |exclusion| {
            Err(Error::Forbidden(format!("roomId: {exclusion}")))
        })
    }
}

impl fmt::Display for Exclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Removed => "you were removed from this room",
            Self::NotMember => "this room is for its members only",
        })
    }
}

/// The settings of a room, as clients see them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RoomInfo {
    /// The title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<Title>,
    /// An object of the clients' own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
    /// The users who may be in the room.
    pub access: Access,
    /// The conversation, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation: Option<Conversation>,
    /// The latest call, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<Box<Call>>,
}

impl RoomInfo {
    /// Returns the settings after a change.
    pub fn with(&self, new: &NewSettings) -> Self {
        let NewSettings {
            title,
            metadata,
            access,
        } = new.clone();
        let is_any = |metadata: &Metadata| !metadata.is_empty();
        Self {
            title: title.map_or_else(|| self.title.clone(), Title::if_any),
            metadata: metadata
                .map_or_else(|| self.metadata.clone(), |json| Some(json).filter(is_any)),
            access: access.unwrap_or(self.access),
            conversation: self.conversation.clone(),
            call: self.call.clone(),
        }
    }

    /// Returns the settings without what outsiders may not see.
    pub fn for_outsiders(&self) -> Self {
        Self {
            access: self.access,
            ..Self::default()
        }
    }

    /// Returns the approximate size as JSON, in bytes.
    pub fn size(&self) -> usize {
        let title = self.title.as_ref().map_or(0, |title| title.0.len());
        let metadata = self.metadata.as_ref().map_or(0, |json| json.as_str().len());
        let conversation = self.conversation.as_ref().map_or(0, |_| 256);
        let call = self.call.as_ref().map_or(0, |call| call.size());
        title + metadata + conversation + call + 64
    }
}

/// The settings of a room, with the revision of their last change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RoomSettings {
    /// The settings.
    #[serde(flatten)]
    pub info: RoomInfo,
    /// The room's revision when the settings or the members changed last.
    pub revision: Revision,
}

/// New settings; those that are none stay as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewSettings {
    /// The title; an empty one takes it away.
    pub title: Option<Title>,
    /// The metadata; an empty object takes them away.
    pub metadata: Option<Metadata>,
    /// The users who may be in the room.
    pub access: Option<Access>,
}

/// A change of a room's settings or members.
#[derive(Debug, Clone)]
pub struct RoomChange {
    /// The room.
    pub room_id: RoomId,
    /// The user who asks for it.
    pub user_id: UserId,
    /// The user's rights beyond the membership.
    pub authority: Authority,
    /// The change itself.
    pub action: RoomAction,
}

/// The rights of somebody who changes a room, beyond those of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authority {
    /// None.
    User,
    /// A moderator's, and an owner's where no owner is left.
    Operator,
    /// An operator's, and those of every conversation's operator.
    Supervisor,
    /// An owner's and a supervisor's; the last owner need not stay.
    Service,
}

/// The kinds of changes of a room.
#[derive(Debug, Clone)]
pub enum RoomAction {
    /// Creates the room.
    Create {
        /// The settings.
        settings: NewSettings,
        /// The owner; only a service creates rooms without one.
        owner: Option<UserId>,
        /// The first members besides the owner.
        members: Vec<UserId>,
    },
    /// Changes the settings.
    Set(NewSettings),
    /// Makes somebody a member, or gives a member another role.
    Add {
        /// The member.
        user: UserId,
        /// The role.
        role: Role,
    },
    /// Puts somebody out of the room.
    Remove {
        /// The member.
        user: UserId,
    },
    /// Changes the conversation.
    HandOver(Handover),
    /// Changes the call.
    Call(CallStep),
}

/// A stored change of a room.
#[derive(Debug, Clone)]
pub struct RoomChanged {
    /// The settings after it, with the room's revision after it.
    pub settings: RoomSettings,
    /// False when everything was so already.
    pub changed: bool,
    /// The users whose lists of rooms have changed.
    pub users: Vec<UserId>,
    /// The conversation, after a change of it.
    pub queued: Option<Queued>,
    /// The message that a call has left in the log.
    pub trace: Option<Arc<Message>>,
}

/// The reason why a change of a room is refused. Nothing of it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoomRefusal {
    /// Nobody created the room.
    NotFound,
    /// The room exists already, with these settings.
    Exists(RoomInfo),
    /// There is no conversation in the room.
    NoConversation,
    /// Somebody was faster; the present conversation.
    Held(Conversation),
    /// There was no call in the room.
    NoCall,
    /// Somebody was faster; the present call.
    OtherCall(Box<Call>),
    /// The user may not; the text says why.
    Forbidden(&'static str),
}

impl From<RoomRefusal> for Error {
    fn from(refusal: RoomRefusal) -> Self {
        match refusal {
            RoomRefusal::NotFound => Self::NotFound("roomId: nobody created this room".into()),
            RoomRefusal::NoConversation => {
                Self::NotFound("roomId: there is no conversation in this room".into())
            }
            RoomRefusal::Exists(info) => Self::Conflict(Current::new(&info)),
            RoomRefusal::Held(conversation) => Self::Conflict(Current::new(&conversation)),
            RoomRefusal::NoCall => Self::NotFound("callId: there was no call in this room".into()),
            RoomRefusal::OtherCall(call) => Self::Conflict(Current::new(&*call)),
            RoomRefusal::Forbidden(why) => Self::Forbidden(why.into()),
        }
    }
}

/// A member of a room that somebody created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RoomMember {
    /// The user.
    pub user_id: UserId,
    /// The role.
    pub role: Role,
}
