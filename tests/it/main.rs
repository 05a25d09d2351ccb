//! Parlor from outside: real clients, real databases, real processes.

mod support;

mod admission;
mod client_module;
mod clients;
mod command;
mod connections;
mod contract;
mod credentials;
mod deploy;
mod docs;
mod examples;
mod faults;
mod fuzz;
mod hostile;
mod lifecycle;
mod locks;
mod misplaced;
mod page;
mod pgbouncer;
mod procfile;
mod promises;
mod protocol;
mod rates;
mod readiness;
mod room;
mod schema;
mod starting;
mod storage;
mod store;
mod unreadable;
mod writer;
