//! What lets a socket in, and for how long.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use chrono::{DateTime, Utc};
use socketioxide::{
    SocketError,
    adapter::LocalAdapter,
    handler::{FromConnectParts, Value},
    socket::Socket,
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    protocol::{Auth, Failure, event},
    session,
};
use crate::{
    auth::{Grant, Identity, Verifier},
    error::Error,
};

/// How long at most until the clock is looked at again: it may be set, and no timer reaches to the end of time.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// The pause before a socket whose queue was full is told again that its time is over.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// The time that a token gives to a socket; a newer token extends it.
pub struct Lease {
    verifier: Arc<Verifier>,
    expires_at: DateTime<Utc>,
    /// Ends with the lease.
    timer: Mutex<Option<AbortOnDropHandle<()>>>,
}

/// A socket that has just been told that it is connected.
pub struct Connected(pub Arc<Socket>);

/// Whom a client speaks for, if that is known yet, and the time that its token gives, unless it is a guest.
///
/// Errors: [`Error::Unauthorized`], [`Error::TokenExpired`]; [`Error::Forbidden`] when it calls itself somebody else than its
/// token does.
pub fn admit(
    verifier: Option<Arc<Verifier>>,
    auth: Auth,
    socket: &Socket,
) -> Result<(Option<Identity>, Option<Lease>), Error> {
    let claim = auth.user_id.map(Identity::user);
    let Some(verifier) = verifier else {
        return Ok((claim, None));
    };
    let token = auth.token.as_deref().or_else(|| bearer(socket));
    let token = token.ok_or_else(|| Error::Unauthorized("a token is required".into()))?;
    let Grant { identity, expires_at } = verifier.check(token)?;
    if let Some(claim) = claim {
        identity.covers(&claim)?;
    }
    Ok((Some(identity), Some(Lease { verifier, expires_at, timer: Mutex::default() })))
}

/// The token in the `Authorization` header of the request that opened the connection:
/// <https://www.rfc-editor.org/rfc/rfc6750#section-2.1>.
fn bearer(socket: &Socket) -> Option<&str> {
    let header = socket.req_parts().headers.get("authorization")?;
    let (scheme, token) = header.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl Lease {
    /// What a newer token gives.
    ///
    /// Errors as [`Verifier::check`] does.
    pub fn check(&self, token: &str) -> Result<Grant, Error> {
        self.verifier.check(token)
    }

    /// Begins to watch the time of the socket's first token.
    pub fn begin(&self, socket: &Arc<Socket>) {
        self.extend(socket, self.expires_at);
    }

    /// Gives the socket time until then instead.
    pub fn extend(&self, socket: &Arc<Socket>, expires_at: DateTime<Utc>) {
        // The socket owns the lease, and the lease the task: this must not own the socket.
        let timer = tokio::spawn(expire(Arc::downgrade(socket), expires_at));
        let mut running = self.timer.lock().unwrap_or_else(PoisonError::into_inner);
        *running = Some(AbortOnDropHandle::new(timer));
    }
}

async fn expire(socket: Weak<Socket>, at: DateTime<Utc>) {
    while let Some(left) = (at - Utc::now()).to_std().ok().filter(|left| !left.is_zero()) {
        tokio::time::sleep(left.min(LONGEST_SLEEP)).await;
    }
    while socket.upgrade().is_some_and(|socket| end(socket).is_err()) {
        tokio::time::sleep(RETRY_DELAY).await;
    }
}

/// Disconnects a socket. A stock client does not come back by itself then, with the same token:
/// <https://socket.io/docs/v4/client-socket-instance/#disconnect>.
fn end(socket: Arc<Socket>) -> Result<(), SocketError> {
    if !socket.connected() {
        return Ok(());
    }
    if let Some(session) = session(&socket) {
        session.begin_leaving();
    }
    let error = (&Error::TokenExpired).into();
    socket.emit(event::ERROR, &Failure { event: event::CONNECT, error }).ok();
    socket.disconnect()
}

impl FromConnectParts<LocalAdapter> for Connected {
    type Error = Infallible;

    fn from_connect_parts(socket: &Arc<Socket>, _: &Option<Value>) -> Result<Self, Infallible> {
        Ok(Self(socket.clone()))
    }
}
