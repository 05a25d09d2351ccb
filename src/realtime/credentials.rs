//! What lets a socket in, and for how long.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use socketioxide::{
    adapter::LocalAdapter,
    handler::{FromConnectParts, Value},
    socket::Socket,
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    overflow,
    protocol::{Auth, Failure, event},
    session,
};
use crate::{
    auth::{Grant, Identity, Verifier},
    error::Error,
};

/// How long at most until the clock is looked at again: it may be set, and no timer reaches to the
/// end of time.
const LONGEST_SLEEP: Duration = Duration::from_secs(2);

/// The time that a token gives to a socket; a newer token extends it.
pub struct Lease {
    verifier: Arc<Verifier>,
    /// In milliseconds since 1970.
    expires_at: AtomicI64,
    /// Ends with the lease.
    timer: Mutex<Option<AbortOnDropHandle<()>>>,
}

/// A socket that has just been told that it is connected.
pub struct Connected(pub Arc<Socket>);

/// Whom a client speaks for, if that is known yet, and the time that its token gives, unless it is
/// a guest.
///
/// Errors: [`Error::Unauthorized`], [`Error::TokenExpired`]; [`Error::Forbidden`] when it calls
/// itself somebody else than its token does.
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
    let Grant {
        identity,
        expires_at,
    } = verifier.check(token)?;
    if let Some(claim) = claim {
        identity.covers(&claim)?;
    }
    Ok((Some(identity), Some(Lease::new(verifier, expires_at))))
}

/// The token in the `Authorization` header of the request that opened the connection:
/// <https://www.rfc-editor.org/rfc/rfc6750#section-2.1>.
fn bearer(socket: &Socket) -> Option<&str> {
    let header = socket.req_parts().headers.get("authorization")?;
    let (scheme, token) = header.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl Lease {
    fn new(verifier: Arc<Verifier>, expires_at: DateTime<Utc>) -> Self {
        Self {
            verifier,
            expires_at: expires_at.timestamp_millis().into(),
            timer: Mutex::default(),
        }
    }

    /// Checks that the time is not over.
    ///
    /// # Errors
    /// [`Error::TokenExpired`] once it is.
    pub fn check_time(&self) -> Result<(), Error> {
        let over = self.expires_at.load(Ordering::Relaxed) <= Utc::now().timestamp_millis();
        if over {
            Err(Error::TokenExpired)
        } else {
            Ok(())
        }
    }

    /// What a newer token gives.
    ///
    /// Errors as [`Verifier::check`] does.
    pub fn check(&self, token: &str) -> Result<Grant, Error> {
        self.verifier.check(token)
    }

    /// Begins to watch the time of the socket's first token.
    pub fn begin(&self, socket: &Arc<Socket>) {
        self.watch(socket);
    }

    /// Gives the socket time until then instead.
    pub fn extend(&self, socket: &Arc<Socket>, expires_at: DateTime<Utc>) {
        self.expires_at
            .store(expires_at.timestamp_millis(), Ordering::Relaxed);
        self.watch(socket);
    }

    fn watch(&self, socket: &Arc<Socket>) {
        let expires_at = self.expires_at.load(Ordering::Relaxed);
        // The socket owns the lease, and the lease the task: this must not own the socket.
        let timer = tokio::spawn(expire(Arc::downgrade(socket), expires_at));
        let mut running = self.timer.lock().unwrap_or_else(PoisonError::into_inner);
        *running = Some(AbortOnDropHandle::new(timer));
    }
}

async fn expire(socket: Weak<Socket>, at: i64) {
    while let Some(left) = u64::try_from(at - Utc::now().timestamp_millis())
        .ok()
        .filter(|left| *left > 0)
    {
        tokio::time::sleep(Duration::from_millis(left).min(LONGEST_SLEEP)).await;
    }
    if let Some(socket) = socket.upgrade() {
        end(socket);
    }
}

/// Disconnects a socket, or cuts one that takes no packet any more. A stock client does not come
/// back by itself after the former, with the same token:
/// <https://socket.io/docs/v4/client-socket-instance/#disconnect>.
fn end(socket: Arc<Socket>) {
    if !socket.connected() {
        return;
    }
    if let Some(session) = session(&socket) {
        session.begin_leaving();
    }
    let error = (&Error::TokenExpired).into();
    let failure = Failure {
        event: event::CONNECT,
        room_id: None,
        error,
    };
    socket.emit(event::ERROR, &failure).ok();
    if socket.clone().disconnect().is_err() {
        overflow::cut(&socket);
    }
}

impl FromConnectParts<LocalAdapter> for Connected {
    type Error = Infallible;

    fn from_connect_parts(socket: &Arc<Socket>, _: &Option<Value>) -> Result<Self, Infallible> {
        Ok(Self(socket.clone()))
    }
}
