//! The inbox on several servers.
