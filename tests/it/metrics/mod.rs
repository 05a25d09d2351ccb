//! Figures for Prometheus, and the traces of clients in the log.

mod counts;
mod endpoint;
mod files;
mod series;
mod traces;
