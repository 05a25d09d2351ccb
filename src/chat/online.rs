//! Reports of users' clients coming and going.

use std::{fmt, sync::Arc};

use crate::model::UserId;

/// Hears of users' clients on this node, each one apart. Never waits.
pub trait UserListener: Send + Sync + 'static {
    /// Notes a client whose user is known.
    fn connected(&self, user: &UserId);

    /// Notes the end of such a client.
    fn disconnected(&self, user: &UserId);
}

/// A client whose user is known; dropping it reports its end.
pub(super) struct Online {
    listener: Arc<dyn UserListener>,
    user: UserId,
}

impl Online {
    pub(super) fn new(listener: Arc<dyn UserListener>, user: UserId) -> Self {
        listener.connected(&user);
        Self { listener, user }
    }
}

impl Drop for Online {
    fn drop(&mut self) {
        self.listener.disconnected(&self.user);
    }
}

impl fmt::Debug for Online {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Online").field(&self.user).finish()
    }
}
