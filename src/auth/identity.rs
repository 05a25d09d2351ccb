//! Identities: users and operators, and the rooms open to them.

use std::sync::Arc;

use crate::{
    error::Error,
    model::{Authority, RoomId, RoomPattern, Speaker, UserId},
};

/// The user a client acts as. Fixed for the client's life; a new token may change its role and
/// rooms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub(super) user: UserId,
    pub(super) rank: Rank,
    pub(super) agent: Agent,
    /// The rooms open to the user; none: all rooms.
    pub(super) rooms: Option<Arc<[RoomPattern]>>,
}

/// The rank of a user in support. A higher one includes the lower ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// A customer, or any other user.
    User,
    /// Answers customers.
    Operator,
    /// Answers in the conversations of other operators, too, and hands them on.
    Supervisor,
}

/// The maker of requests in the name of an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Agent {
    /// The user's own client.
    Client,
    /// A backend, for itself.
    Service,
    /// A backend, for the user.
    ServiceForUser,
}

impl Identity {
    /// Returns the identity of an ordinary user.
    pub fn user(user: UserId) -> Self {
        Self {
            user,
            rank: Rank::User,
            agent: Agent::Client,
            rooms: None,
        }
    }

    /// Returns the identity of a user acting as an operator.
    pub fn operator(user: UserId) -> Self {
        Self {
            rank: Rank::Operator,
            ..Self::user(user)
        }
    }

    /// Returns the identity of a backend that acts for itself.
    pub(super) fn service(name: UserId) -> Self {
        Self {
            agent: Agent::Service,
            ..Self::user(name)
        }
    }

    /// Returns the identity claimed by a client as it joins: a user, or an operator if it names no
    /// user.
    pub fn from_claim(user_id: Option<UserId>, operator_id: Option<UserId>) -> Option<Self> {
        match (user_id, operator_id) {
            (Some(user), _) => Some(Self::user(user)),
            (None, Some(operator)) => Some(Self::operator(operator)),
            (None, None) => None,
        }
    }

    /// Checks that this identity includes a claimed one.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] when the claim names another user, or claims to be an operator without
    /// the rank.
    pub fn covers(&self, claim: &Self) -> Result<(), Error> {
        self.check_user(&claim.user)?;
        if claim.rank > self.rank {
            return Err(Error::Forbidden(
                "operatorId: this client does not act as an operator".into(),
            ));
        }
        Ok(())
    }

    /// Checks that the identity is `user`'s.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] when it is another user's.
    pub fn check_user(&self, user: &UserId) -> Result<(), Error> {
        if *user != self.user {
            return Err(Error::Forbidden(format!(
                "userId: this client acts as {:?}",
                self.user
            )));
        }
        Ok(())
    }

    /// Checks that a room is open to the identity.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] when it is not.
    pub fn may_enter(&self, room: &RoomId) -> Result<(), Error> {
        match &self.rooms {
            Some(rooms) if !rooms.iter().any(|pattern| pattern.matches(room)) => Err(
                Error::Forbidden("roomId: the token is not for this room".into()),
            ),
            _ => Ok(()),
        }
    }

    /// Returns the rooms open to the identity; none: all rooms.
    pub fn rooms(&self) -> Option<&[RoomPattern]> {
        self.rooms.as_deref()
    }

    /// Returns true for a backend, whoever it acts for.
    pub fn is_service(&self) -> bool {
        self.agent != Agent::Client
    }

    /// Returns true for a backend that acts for itself, and not for a user.
    pub fn is_service_itself(&self) -> bool {
        self.agent == Agent::Service
    }

    /// Returns the rights in rooms that somebody created, beyond those of a member.
    pub fn authority(&self) -> Authority {
        match self.agent {
            Agent::Service | Agent::ServiceForUser => Authority::Service,
            Agent::Client => match self.rank {
                Rank::User => Authority::User,
                Rank::Operator => Authority::Operator,
                Rank::Supervisor => Authority::Supervisor,
            },
        }
    }

    /// Returns the user's id.
    pub fn user_id(&self) -> &UserId {
        &self.user
    }

    /// Returns true for a user who acts as an operator.
    pub fn is_operator(&self) -> bool {
        self.rank >= Rank::Operator
    }

    /// Returns the part of the user's messages in conversations; none for a backend that speaks for
    /// itself.
    pub fn speaker(&self) -> Option<Speaker> {
        match (self.agent, self.rank) {
            (Agent::Service, _) => None,
            (_, Rank::User) => Some(Speaker::Customer),
            (Agent::Client, Rank::Operator) => Some(Speaker::Operator),
            (_, Rank::Operator | Rank::Supervisor) => Some(Speaker::Supervisor),
        }
    }

    /// Returns the user's id if the user acts as an operator.
    pub fn operator_id(&self) -> Option<&UserId> {
        self.is_operator().then_some(&self.user)
    }
}
