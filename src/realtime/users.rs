//! The clients of each user on this node.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use socketioxide::socket::Socket;

use crate::model::UserId;

/// The sockets of each user. A guest is listed from its first join on.
#[derive(Default)]
pub struct Users(Mutex<HashMap<UserId, Vec<Weak<Socket>>>>);

impl Users {
    /// Adds a socket of a user.
    pub fn add(&self, user: &UserId, socket: &Arc<Socket>) {
        let mut users = self.lock();
        // Most users have one socket.
        let sockets = users
            .entry(user.clone())
            .or_insert_with(|| Vec::with_capacity(1));
        sockets.push(Arc::downgrade(socket));
    }

    /// Removes a socket of a user.
    pub fn remove(&self, user: &UserId, socket: &Socket) {
        if let Entry::Occupied(mut sockets) = self.lock().entry(user.clone()) {
            let ended = std::ptr::from_ref(socket);
            sockets.get_mut().retain(|one| one.as_ptr() != ended);
            if sockets.get().is_empty() {
                sockets.remove();
            }
        }
    }

    /// Returns the sockets of a user.
    pub fn sockets_of(&self, user: &UserId) -> Vec<Arc<Socket>> {
        let users = self.lock();
        let sockets = users.get(user).into_iter().flatten();
        sockets.filter_map(Weak::upgrade).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UserId, Vec<Weak<Socket>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
