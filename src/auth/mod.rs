//! Authentication: users, their rank and their rooms, as a token grants them or a guest claims
//! them.

mod bearer;
mod identity;
mod service;
mod token;

pub use self::{
    bearer::bearer,
    identity::Identity,
    service::{ApiKeys, Service, Services},
    token::{Grant, MAX_TOKEN_BYTES, OPERATOR, SERVICE, TokenClaims, Verifier},
};
