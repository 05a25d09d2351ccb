//! Users, operators, and the rooms that they may enter.

use std::sync::Arc;

use serde::Deserialize;

use crate::{
    error::Error,
    model::{RoomId, UserId},
};

/// Whom a connection speaks for. Who that is stays so for the life of the connection; a new token
/// may change the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub(super) user: UserId,
    pub(super) operator: bool,
    /// None: it may enter all rooms.
    pub(super) rooms: Option<Arc<[RoomPattern]>>,
}

/// A room's id, or, with `*` at its end, what ids begin with.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct RoomPattern(String);

impl RoomPattern {
    fn matches(&self, room: &RoomId) -> bool {
        match self.0.strip_suffix('*') {
            Some(beginning) => room.as_str().starts_with(beginning),
            None => room.as_str() == self.0,
        }
    }
}

impl Identity {
    /// An ordinary user.
    pub fn user(user: UserId) -> Self {
        Self {
            user,
            operator: false,
            rooms: None,
        }
    }

    /// A user who speaks as an operator.
    pub fn operator(user: UserId) -> Self {
        Self {
            operator: true,
            ..Self::user(user)
        }
    }

    /// What a client says of itself when joining: a user, or, naming no user, an operator.
    pub fn claimed(user_id: Option<UserId>, operator_id: Option<UserId>) -> Option<Self> {
        match (user_id, operator_id) {
            (Some(user), _) => Some(Self::user(user)),
            (None, Some(operator)) => Some(Self::operator(operator)),
            (None, None) => None,
        }
    }

    /// Whether one who is `self` may also call itself `claim`.
    ///
    /// Errors: [`Error::Forbidden`] when the claim names somebody else, or the rank of an operator
    /// that `self` has not.
    pub fn covers(&self, claim: &Self) -> Result<(), Error> {
        self.check_user(&claim.user)?;
        if claim.operator && !self.operator {
            return Err(Error::Forbidden(
                "operatorId: this connection does not speak for an operator".into(),
            ));
        }
        Ok(())
    }

    /// Whether it is this user.
    ///
    /// Errors: [`Error::Forbidden`] when it is not.
    pub fn check_user(&self, user: &UserId) -> Result<(), Error> {
        if *user != self.user {
            return Err(Error::Forbidden(format!(
                "userId: this connection speaks for {:?}",
                self.user
            )));
        }
        Ok(())
    }

    /// Whether it may enter a room.
    ///
    /// Errors: [`Error::Forbidden`] when it may not.
    pub fn may_enter(&self, room: &RoomId) -> Result<(), Error> {
        match &self.rooms {
            Some(rooms) if !rooms.iter().any(|pattern| pattern.matches(room)) => Err(
                Error::Forbidden("roomId: the token is not for this room".into()),
            ),
            _ => Ok(()),
        }
    }

    /// The user's id.
    pub fn user_id(&self) -> &UserId {
        &self.user
    }

    /// The user's id, if it speaks as an operator.
    pub fn operator_id(&self) -> Option<&UserId> {
        self.operator.then_some(&self.user)
    }
}
