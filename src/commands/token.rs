//! `parlor token`: prints a token for experiments.

use chrono::Utc;
use secrecy::ExposeSecret;

use crate::{
    auth::{OPERATOR, SERVICE, SUPERVISOR, TokenClaims},
    config::{Config, Role, TokenRequest},
};

/// Prints the token on standard output.
///
/// # Errors
///
/// One line with the name of the variable, if there is no good secret to sign with.
pub(super) fn run(config: &Config, request: &TokenRequest) -> Result<(), String> {
    println!("{}", sign(config, request)?);
    Ok(())
}

fn sign(config: &Config, request: &TokenRequest) -> Result<String, String> {
    let secret = config
        .jwt_secret
        .as_ref()
        .ok_or("JWT_SECRET: is required to sign a token")?;
    let seconds = i64::try_from(request.ttl.as_secs()).unwrap_or(i64::MAX);
    let claims = TokenClaims {
        sub: &request.sub,
        exp: Utc::now().timestamp().saturating_add(seconds),
        role: request.role.map(|role| match role {
            Role::Operator => OPERATOR,
            Role::Supervisor => SUPERVISOR,
            Role::Service => SERVICE,
        }),
        rooms: &request.rooms,
        iss: config.jwt_issuer.as_deref(),
        aud: config.jwt_audience.as_deref(),
    };
    claims
        .sign(secret.expose_secret())
        .map_err(|reason| format!("JWT_SECRET: {reason}"))
}
