//! The lower bound: the least work of any server for this protocol. Raw tokio, one buffer per
//! message, framed once and shared by all receivers, and one vectored write per connection for
//! everything in its queue.
//!
//! It speaks Engine.IO 4 over WebSocket only, and of the contract `joinRoom` and `sendMessage`.
//! Left out: storing, history, members' names, leaving, presence, typing, duplicates, checks and
//! limits, polling, pings (the interval told to clients is an hour), fragmented frames and frames
//! over 65,535 bytes, and the time: every message has the same one, and an id made from its `seq`.

use std::{
    collections::HashMap,
    io::{self, IoSlice},
    mem,
    sync::{Arc, Mutex},
};

use bytes::{Buf, Bytes};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinSet,
};
use tungstenite::handshake::derive_accept_key;

/// The size of one read.
const READ_BYTES: usize = 4 * 1024;
/// The most buffers of one write.
const MAX_SLICES: usize = 64;
/// The ping interval and timeout, in milliseconds: no client is ever pinged.
const PING_MS: u32 = 3_600_000;
const TIMESTAMP: &str = "2026-01-01T00:00:00.000Z";

/// Parts of a WebSocket frame: <https://www.rfc-editor.org/rfc/rfc6455#section-5.2>.
const FINAL_TEXT: u8 = 0x81;
const FINAL_CLOSE: u8 = 0x88;
const LENGTH: u8 = 0x7f;
/// The length's value that announces a length in the next two bytes.
const LONG: u8 = 126;
const MASK_BYTES: usize = 4;

/// Serves until the future is dropped, and its connections with it.
///
/// # Errors
///
/// When the listener cannot accept a connection.
pub async fn serve(listener: TcpListener) -> io::Result<()> {
    let hub = Arc::new(Hub::default());
    let mut connections = JoinSet::new();
    for number in 0.. {
        let (stream, _) = listener.accept().await?;
        connections.spawn(attend(stream, hub.clone(), number));
        while connections.try_join_next().is_some() {}
    }
    Ok(())
}

type SharedRoom = Arc<Mutex<Room>>;

/// All rooms, by their names in JSON.
type Hub = Mutex<HashMap<String, SharedRoom>>;

#[derive(Default)]
struct Room {
    last_seq: u64,
    members: Vec<Arc<Outbox>>,
}

/// A connection's queue of frames.
#[derive(Default)]
struct Outbox {
    frames: Mutex<Vec<Bytes>>,
    filled: Notify,
}

/// One connection's side of the protocol.
struct Session {
    hub: Arc<Hub>,
    number: u64,
    /// The user's name, in JSON.
    user: String,
    rooms: HashMap<String, SharedRoom>,
    outbox: Arc<Outbox>,
}

/// A request's payload. Texts stay in JSON, so that they need no decoding and no encoding.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Request<'a> {
    #[serde(borrow)]
    user_id: Option<&'a RawValue>,
    room_id: Option<&'a RawValue>,
    message: Option<&'a RawValue>,
    client_message_id: Option<&'a RawValue>,
}

/// Returns a field in JSON.
fn json(field: Option<&RawValue>) -> &str {
    field.map_or("null", RawValue::get)
}

/// Serves one connection. Errors end only that one.
async fn attend(stream: TcpStream, hub: Arc<Hub>, number: u64) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let mut unread = Vec::new();
    let Ok(key) = handshake(&stream, &mut unread).await else {
        return;
    };
    let outbox = Arc::new(Outbox::default());
    let mut session = Session {
        hub,
        number,
        user: String::new(),
        rooms: HashMap::new(),
        outbox: outbox.clone(),
    };
    session.open(&key);
    tokio::select! {
        _ = session.listen(&stream, unread) => {}
        _ = outbox.drain(&stream) => {}
    }
}

/// Reads the WebSocket's opening request, and returns its key.
async fn handshake(stream: &TcpStream, unread: &mut Vec<u8>) -> io::Result<String> {
    loop {
        read_some(stream, unread).await?;
        let Some(end) = unread.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&unread[..end]).into_owned();
        unread.drain(..end + 4);
        let mut headers = head.lines().filter_map(|line| line.split_once(':'));
        let key = headers.find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"));
        return key
            .map(|(_, key)| key.trim().to_owned())
            .ok_or_else(|| io::ErrorKind::InvalidData.into());
    }
}

/// Waits without a buffer, as most connections are idle.
async fn read_some(stream: &TcpStream, unread: &mut Vec<u8>) -> io::Result<()> {
    loop {
        stream.readable().await?;
        unread.reserve(READ_BYTES);
        match stream.try_read_buf(unread) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

impl Session {
    /// Answers the handshake, and opens Engine.IO.
    fn open(&self, key: &str) {
        let accept = derive_accept_key(key.as_bytes());
        let response = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        let (number, ping) = (self.number, PING_MS);
        let open = format!(
            r#"0{{"sid":"engine-{number}","upgrades":[],"pingInterval":{ping},"pingTimeout":{ping},"maxPayload":1000000}}"#
        );
        self.outbox.push(response.into());
        self.outbox.push(frame(&[&open]));
    }

    /// Takes packets until the connection ends.
    async fn listen(&mut self, stream: &TcpStream, mut unread: Vec<u8>) -> io::Result<()> {
        loop {
            self.take_frames(&mut unread)?;
            if unread.is_empty() {
                unread = Vec::new();
            }
            read_some(stream, &mut unread).await?;
        }
    }

    /// Takes the whole frames out of the bytes read so far.
    fn take_frames(&mut self, unread: &mut Vec<u8>) -> io::Result<()> {
        let mut taken = 0;
        while let Some(head) = Head::parse(&unread[taken..]) {
            let payload = taken + head.bytes..taken + head.bytes + head.payload_bytes;
            if unread.len() < payload.end {
                break;
            }
            taken = payload.end;
            let payload = &mut unread[payload];
            unmask(payload, head.mask);
            match head.kind {
                FINAL_TEXT => self.take_packet(payload)?,
                FINAL_CLOSE => return Err(io::ErrorKind::UnexpectedEof.into()),
                _ => {}
            }
        }
        unread.drain(..taken);
        Ok(())
    }

    fn take_packet(&mut self, packet: &[u8]) -> io::Result<()> {
        let packet = str::from_utf8(packet).map_err(io::Error::other)?;
        if let Some(event) = packet.strip_prefix("42") {
            self.take_event(event)?;
        } else if let Some(auth) = packet.strip_prefix("40") {
            let auth: Request = serde_json::from_str(auth).unwrap_or_default();
            self.user = json(auth.user_id).into();
            self.outbox.push(frame(&[&format!(
                r#"40{{"sid":"socket-{}"}}"#,
                self.number
            )]));
        }
        Ok(())
    }

    fn take_event(&mut self, event: &str) -> io::Result<()> {
        let ack = event.split('[').next().unwrap_or_default();
        let (name, request): (&str, Request) = serde_json::from_str(&event[ack.len()..])?;
        match name {
            "joinRoom" => self.join(ack, &request),
            "sendMessage" => self.send(ack, &request),
            _ => {}
        }
        Ok(())
    }

    fn join(&mut self, ack: &str, request: &Request) {
        let room_id = json(request.room_id);
        let room = self
            .hub
            .lock()
            .unwrap()
            .entry(room_id.to_owned())
            .or_default()
            .clone();
        let joined_before = self
            .rooms
            .insert(room_id.to_owned(), room.clone())
            .is_some();
        let mut room = room.lock().unwrap();
        if !joined_before {
            room.members.push(self.outbox.clone());
        }
        let (user, last_seq, count) = (&self.user, room.last_seq, room.members.len());
        let joined = format!(
            r#""roomId":{room_id},"userId":{user},"messages":[],"lastSeq":{last_seq},"hasMore":{},"members":[],"memberCount":{count}}}]"#,
            last_seq > 0,
        );
        self.outbox.push(match ack {
            "" => frame(&[r#"42["history",{"#, &joined]),
            _ => frame(&["43", ack, r#"[{"status":"ok","#, &joined]),
        });
    }

    fn send(&mut self, ack: &str, request: &Request) {
        let Some(room) = self.rooms.get(json(request.room_id)) else {
            return;
        };
        let mut room = room.lock().unwrap();
        room.last_seq += 1;
        let seq = room.last_seq;
        let before =
            format!(r#"{{"id":"00000000-0000-7000-8000-{seq:012x}","seq":{seq},"roomId":"#);
        let message = [
            &before,
            json(request.room_id),
            r#","userId":"#,
            &self.user,
            r#","operatorId":null,"timestamp":""#,
            TIMESTAMP,
            r#"","clientMessageId":"#,
            json(request.client_message_id),
            r#","message":"#,
            json(request.message),
        ];
        if !ack.is_empty() {
            let answer = [
                &["43", ack, r#"[{"status":"ok","duplicate":false,"message":"#],
                &message[..],
                &["}}]"],
            ];
            self.outbox.push(frame(&answer.concat()));
        }
        let delivery = frame(&[&[r#"42["newMessage","#], &message[..], &["}]"]].concat());
        room.members
            .iter()
            .for_each(|member| member.push(delivery.clone()));
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for room in self.rooms.values() {
            room.lock()
                .unwrap()
                .members
                .retain(|member| !Arc::ptr_eq(member, &self.outbox));
        }
    }
}

impl Outbox {
    fn push(&self, frame: Bytes) {
        let mut frames = self.frames.lock().unwrap();
        frames.push(frame);
        if frames.len() == 1 {
            self.filled.notify_one();
        }
    }

    /// Writes the queue, everything in it at once.
    async fn drain(&self, stream: &TcpStream) -> io::Result<()> {
        loop {
            self.filled.notified().await;
            let mut batch = mem::take(&mut *self.frames.lock().unwrap());
            let mut written = 0;
            while written < batch.len() {
                match write_some(stream, &mut batch[written..]) {
                    Ok(frames) => written += frames,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        stream.writable().await?
                    }
                    Err(error) => return Err(error),
                }
            }
        }
    }
}

/// Writes as many frames as the connection takes, and returns the number of whole ones.
fn write_some(stream: &TcpStream, frames: &mut [Bytes]) -> io::Result<usize> {
    let mut slices = [IoSlice::new(&[]); MAX_SLICES];
    let filled = slices
        .iter_mut()
        .zip(&*frames)
        .map(|(slice, frame)| *slice = IoSlice::new(frame))
        .count();
    let mut bytes = stream.try_write_vectored(&slices[..filled])?;
    for (place, frame) in frames.iter_mut().enumerate() {
        if bytes < frame.len() {
            frame.advance(bytes);
            return Ok(place);
        }
        bytes -= frame.len();
    }
    Ok(frames.len())
}

/// The header of a client's frame.
struct Head {
    kind: u8,
    /// Its length, with the mask.
    bytes: usize,
    payload_bytes: usize,
    mask: [u8; MASK_BYTES],
}

impl Head {
    /// Reads a header, and returns none while it is incomplete.
    fn parse(frame: &[u8]) -> Option<Self> {
        let (length, before_mask) = match frame.get(1)? & LENGTH {
            LONG => (u16::from_be_bytes(frame.get(2..4)?.try_into().ok()?), 4),
            length => (length.into(), 2),
        };
        let bytes = before_mask + MASK_BYTES;
        let mask = frame.get(before_mask..bytes)?.try_into().ok()?;
        Some(Self {
            kind: frame[0],
            bytes,
            payload_bytes: length.into(),
            mask,
        })
    }
}

fn unmask(payload: &mut [u8], mask: [u8; MASK_BYTES]) {
    for chunk in payload.chunks_mut(MASK_BYTES) {
        for (byte, mask) in chunk.iter_mut().zip(mask) {
            *byte ^= mask;
        }
    }
}

/// Builds a text frame of some parts.
fn frame(parts: &[&str]) -> Bytes {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut frame = Vec::with_capacity(2 + size_of::<u16>() + length);
    match u8::try_from(length) {
        Ok(short) if short < LONG => frame.extend([FINAL_TEXT, short]),
        _ => {
            frame.extend([FINAL_TEXT, LONG]);
            frame.extend((length as u16).to_be_bytes());
        }
    }
    for part in parts {
        frame.extend_from_slice(part.as_bytes());
    }
    frame.into()
}
