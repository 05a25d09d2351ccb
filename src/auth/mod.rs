//! Authentication: users, their rank and their rooms, as a token grants them or a guest claims
//! them.

mod bearer;
mod expiry;
mod identity;
mod service;
mod token;

pub use self::{
    bearer::bearer,
    expiry::expired,
    identity::Identity,
    service::{ApiKeys, Caller, Credentials, Service, Services},
    token::{Grant, MAX_TOKEN_BYTES, OPERATOR, SERVICE, SUPERVISOR, TokenClaims, Verifier},
};
