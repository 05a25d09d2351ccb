//! Parlor measured beside a Node server that does the same job, and beside what a machine can do at
//! all.
//!
//! Every server runs as a process of its own, alone with its database and the load; ours and theirs
//! take turns, and what counts are medians. The load generator shares the machine, so figures per
//! second of the server's processor time say more than those per second of the clock.

pub mod client;
pub mod crowd;
pub mod lab;
pub mod lower_bound;
pub mod plot;
pub mod report;
pub mod server;
pub mod unpersisted;
pub mod workload;
