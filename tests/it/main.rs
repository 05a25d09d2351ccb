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
mod page;
mod procfile;
mod promises;
mod protocol;
mod rates;
mod room;
mod start;
mod storage;
mod store;
mod writer;
