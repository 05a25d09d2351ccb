//! Requests to other programs by HTTP: signed as in Standard Webhooks, bounded in time and size, and to no
//! address of this host or of private networks unless allowed.

mod address;
mod client;
mod signing;
mod target;

pub use self::{
    client::{HttpClient, Post, Reply},
    signing::Secrets,
    target::Target,
};
