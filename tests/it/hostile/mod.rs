//! Malicious clients: the server lives through their attacks, its memory stays within a bound, and
//! other users chat on.
//!
//! Their attacks are of the classes of CVEs against Socket.IO servers: 2020-36048 and 2023-31125
//! (polling payloads), 2022-2421 and 2026-33151 (attachments), 2022-41940 and 2023-32695 (packets
//! that no client sends), 2024-38355 (reserved events).

mod floods;
mod packets;
mod payloads;
mod readers;
mod siege;
