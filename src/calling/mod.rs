//! The servers of other programs that carry the media of calls: STUN, TURN, and LiveKit.

mod ice;
mod livekit;
mod url;

pub use self::{
    ice::{IceConfiguration, IceServers, Turn},
    livekit::{Grant, LiveKit},
    url::{IceUrls, stun_urls, turn_urls},
};
