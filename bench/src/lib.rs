//! Benchmarks of Parlor beside a Node server with the same job, and beside a lower bound for this
//! machine.
//!
//! Every server runs as a process of its own, alone with its database and the load. The servers
//! take turns, and medians count. The load generator shares the machine, so figures per second of
//! the server's processor time say more than figures per second of the clock.

pub mod client;
pub mod crowd;
pub mod lab;
pub mod lower_bound;
pub mod plot;
pub mod report;
pub mod server;
pub mod unpersisted;
pub mod workload;
