//! Parlor from outside: real clients, real databases, real processes.

mod support;

mod admission;
#[cfg(target_os = "linux")]
mod bounds;
mod client_module;
mod clients;
mod comebacks;
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
mod files;
mod fuzz;
mod healing;
mod hostile;
mod imports;
mod leases;
mod lifecycle;
mod locks;
mod misplaced;
mod origins;
mod page;
mod panics;
mod pgbouncer;
mod procfile;
mod promises;
mod protocol;
mod proxies;
mod rates;
mod readiness;
mod room;
mod schema;
mod start;
mod starting;
mod storage;
mod store;
mod texts;
mod unreadable;
mod writer;
