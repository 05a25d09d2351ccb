//! Authenticates clients, and disconnects them when their tokens expire.

use std::sync::{Arc, Weak};

use socketioxide::socket::Socket;

use super::{
    client::session,
    lease::Lease,
    overflow,
    protocol::{Auth, Failure, event},
};
use crate::{
    auth::{self, Grant, Identity, Verifier},
    error::Error,
};

/// Returns a client's identity, if known yet, and the lease of its token; guests have none.
///
/// # Errors
///
/// [`Error::Unauthorized`], [`Error::TokenExpired`]; [`Error::Forbidden`] when the client names
/// another user than its token does.
pub fn authenticate(
    verifier: Option<Arc<Verifier>>,
    handshake: Auth,
    socket: &Socket,
) -> Result<(Option<Identity>, Option<Lease>), Error> {
    let claim = handshake.user_id.map(Identity::user);
    let Some(verifier) = verifier else {
        return Ok((claim, None));
    };
    let bearer = auth::bearer(&socket.req_parts().headers);
    let token = handshake.token.as_deref();
    let token = token.or_else(|| bearer.as_ref().map(|bearer| bearer.token()));
    let token = token.ok_or_else(|| Error::Unauthorized("a token is required".into()))?;
    let Grant {
        identity,
        expires_at,
        ..
    } = verifier.check(token)?;
    if let Some(claim) = claim {
        identity.covers(&claim)?;
    }
    Ok((Some(identity), Some(Lease::new(verifier, expires_at))))
}

/// Disconnects the socket when its lease, as it stands now, expires.
pub fn watch(socket: &Arc<Socket>, lease: &Lease) {
    // The socket owns the lease, and the lease the task: the task must not own the socket.
    let expiring = expire(Arc::downgrade(socket), lease.expires_at());
    lease.set_timer(tokio::spawn(expiring));
}

async fn expire(socket: Weak<Socket>, at: i64) {
    auth::expired(at).await;
    if let Some(socket) = socket.upgrade() {
        disconnect(socket, &Error::TokenExpired);
    }
}

/// Tells a client the reason and disconnects it, or cuts it when its queue is full. After a disconnect packet, a stock
/// client does not come back by itself with the same token:
/// <https://socket.io/docs/v4/client-socket-instance/#disconnect>.
pub fn disconnect(socket: Arc<Socket>, reason: &Error) {
    if !socket.connected() {
        return;
    }
    if let Some(session) = session(&socket) {
        session.begin_leaving();
    }
    let failure = Failure {
        event: event::CONNECT,
        room_id: None,
        error: reason.into(),
    };
    socket.emit(event::ERROR, &failure).ok();
    if socket.clone().disconnect().is_err() {
        overflow::cut(&socket);
    }
}
