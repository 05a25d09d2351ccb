//! Who a connection speaks for, and which rooms it may enter: as a token says, or as a guest says
//! of itself.

mod identity;
mod token;

pub use self::{
    identity::Identity,
    token::{
        Grant, LEEWAY_SECONDS, MAX_TOKEN_BYTES, MIN_SECRET_BYTES, OPERATOR, TokenClaims, Verifier,
    },
};
