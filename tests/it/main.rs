//! Parlor from outside: real clients, real databases, real processes.

mod support;

mod lifecycle;
mod promises;
mod room;
mod store;
mod writer;
