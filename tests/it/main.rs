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
mod early;
mod engine;
mod examples;
mod faults;
mod fuzz;
mod hostile;
mod leases;
mod lifecycle;
mod locks;
mod page;
mod panics;
mod pgbouncer;
mod procfile;
mod promises;
mod protocol;
mod rates;
mod room;
mod storage;
mod store;
mod texts;
mod writer;
