//! Authentication: users, their rank and their rooms, as a token grants them or a guest claims
//! them.

mod bearer;
mod identity;
mod token;

pub use self::{
    bearer::bearer,
    identity::Identity,
    token::{Grant, MAX_TOKEN_BYTES, OPERATOR, TokenClaims, Verifier},
};
