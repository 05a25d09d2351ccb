//! Who a connection speaks for.

use crate::{error::Error, model::UserId};

/// Whom a connection speaks for; once settled, it stays so for the life of the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    user: UserId,
    operator: bool,
}

impl Identity {
    /// An ordinary user.
    pub fn user(user: UserId) -> Self {
        Self { user, operator: false }
    }

    /// A user who speaks as an operator.
    pub fn operator(user: UserId) -> Self {
        Self { user, operator: true }
    }

    /// What a guest says of itself when joining: a user, or, naming no user, an operator.
    pub fn claimed(user_id: Option<UserId>, operator_id: Option<UserId>) -> Option<Self> {
        match (user_id, operator_id) {
            (Some(user), _) => Some(Self::user(user)),
            (None, Some(operator)) => Some(Self::operator(operator)),
            (None, None) => None,
        }
    }

    /// Whether one who is `self` may also call itself `claim`.
    ///
    /// Errors: [`Error::Forbidden`] when the claim names somebody else, or the rank of an operator that `self` has not.
    pub fn covers(&self, claim: &Self) -> Result<(), Error> {
        if claim.user != self.user {
            return Err(Error::Forbidden(format!("userId: this connection speaks for {:?}", self.user)));
        }
        if claim.operator && !self.operator {
            return Err(Error::Forbidden("operatorId: this connection does not speak for an operator".into()));
        }
        Ok(())
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
