//! Payloads on the bus: a line `1 NODE NUMBER SCHEMA`, then the news: for each room a line
//! `SEQ ROOM`, or a line `*` for any room, for each room with changes a line `~REVISION ROOM`, for
//! each new roster a line `+ROOM`, and for each signal a line of JSON. A server that does not know a
//! line looks into the log; a signal that it does not know, it skips. Names and JSON have no control
//! characters, so a line's end is unambiguous.

use std::mem;

use serde_json::{json, value::RawValue};
use uuid::Uuid;

use super::news::News;
use crate::model::{RoomId, Signal};

/// The version of the format. A server that reads another version looks into the log instead.
const VERSION: &str = "1";

/// The bounds of the payloads sent together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// The most bytes of a payload.
    pub(super) bytes: usize,
    /// The most payloads.
    pub(super) payloads: usize,
}

/// The sender's part of a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    /// The server that sent it.
    pub(super) node: Uuid,
    /// Its place among the server's payloads.
    pub(super) number: u64,
    /// The schema of the server's tables; empty when it has none of its own.
    pub(super) schema: String,
}

/// A payload, read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) header: Header,
    pub(super) news: News,
}

/// Payloads in the making.
struct Payloads {
    header: Header,
    limits: Limits,
    done: Vec<String>,
    open: String,
}

impl Payloads {
    fn begin(header: Header, limits: Limits) -> Self {
        let mut payloads = Self {
            header,
            limits,
            done: vec![],
            open: String::new(),
        };
        payloads.open = payloads.head();
        payloads
    }

    fn head(&mut self) -> String {
        let Header {
            node,
            number,
            schema,
        } = &self.header;
        let head = format!("{VERSION} {node} {number} {schema}");
        self.header.number += 1;
        head
    }

    /// Adds a line. Returns false when it does not fit any more.
    fn push(&mut self, line: &str) -> bool {
        if self.open.len() + 1 + line.len() > self.limits.bytes {
            if self.done.len() + 1 == self.limits.payloads {
                return false;
            }
            let next = self.head();
            self.done.push(mem::replace(&mut self.open, next));
        }
        self.open.push('\n');
        self.open.push_str(line);
        true
    }
}

/// Splits news into payloads, numbered from `header.number` on, which becomes the next number.
/// Returns the news beyond the limits, too. Without news, the one payload is only an echo.
pub(super) fn encode(header: &mut Header, news: News, limits: Limits) -> (Vec<String>, News) {
    let mut payloads = Payloads::begin(header.clone(), limits);
    let mut rest = News::default();
    if news.wakes.any {
        payloads.push("*");
    }
    for (room, signal) in news.signals {
        let is_late = !rest.signals.is_empty();
        if is_late || !payloads.push(&json!([room.as_str(), signal]).to_string()) {
            rest.signals.push((room, signal));
        }
    }
    for room in news.rosters {
        if !payloads.push(&format!("+{}", room.as_str())) {
            rest.rosters.insert(room);
        }
    }
    for (room, revision) in news.wakes.changes {
        if !payloads.push(&format!("~{} {}", revision.get(), room.as_str())) {
            rest.wakes.add_change(room, revision);
        }
    }
    for (room, seq) in news.wakes.rooms {
        if !payloads.push(&format!("{} {}", seq.get(), room.as_str())) {
            rest.wakes.add(room, seq);
        }
    }
    header.number = payloads.header.number;
    payloads.done.push(payloads.open);
    (payloads.done, rest)
}

/// Reads a payload; returns none when it has another version, or is damaged.
pub(super) fn decode(payload: &str) -> Option<Frame> {
    let mut lines = payload.split('\n');
    let mut header = lines.next()?.splitn(4, ' ');
    if header.next()? != VERSION {
        return None;
    }
    let header = Header {
        node: header.next()?.parse().ok()?,
        number: header.next()?.parse().ok()?,
        schema: header.next()?.to_owned(),
    };
    let mut news = News::default();
    for line in lines {
        match line.as_bytes().first()? {
            b'*' => news.wakes.any = true,
            b'~' => {
                let (room, revision) = place(&line[1..])?;
                news.wakes.add_change(room, revision);
            }
            b'+' => _ = news.rosters.insert(RoomId::try_from(&line[1..]).ok()?),
            b'[' => news.signals.extend(signal(line)?),
            _ => {
                let (room, seq) = place(line)?;
                news.wakes.add(room, seq);
            }
        }
    }
    Some(Frame { header, news })
}

/// Reads the line of a signal; nothing of a kind that only a later version knows.
fn signal(line: &str) -> Option<Option<(RoomId, Signal)>> {
    let (room, json): (String, &RawValue) = serde_json::from_str(line).ok()?;
    let room = RoomId::try_from(room.as_str()).ok()?;
    let signal = serde_json::from_str(json.get()).ok();
    Some(signal.map(|signal| (room, signal)))
}

/// Reads the line of a room.
fn place<T: TryFrom<i64>>(line: &str) -> Option<(RoomId, T)> {
    let (place, room) = line.split_once(' ')?;
    let place: i64 = place.parse().ok()?;
    Some((RoomId::try_from(room).ok()?, place.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{super::news::Wakes, *};

    const LIMITS: Limits = Limits {
        bytes: 7_900,
        payloads: 32,
    };

    fn wakes(rooms: usize) -> Wakes {
        let mut wakes = Wakes::default();
        for number in 0..rooms {
            let room = format!("{number} é 'quoted' \\ {}", "x".repeat(100));
            let seq = i64::try_from(number).unwrap();
            wakes.add(room.as_str().try_into().unwrap(), seq.try_into().unwrap());
        }
        wakes
    }

    fn header(number: u64) -> Header {
        Header {
            node: Uuid::nil(),
            number,
            schema: "a schema".into(),
        }
    }

    fn news(count: usize) -> News {
        let signal = |number: usize| {
            let user_id = format!("{number} \" é").as_str().try_into().unwrap();
            let is_typing = number.is_multiple_of(2);
            let room = format!("[{}", number / 2).as_str().try_into().unwrap();
            (room, Signal::Typing { user_id, is_typing })
        };
        News {
            signals: (0..count.min(900)).map(signal).collect(),
            ..wakes(count).into()
        }
    }

    #[test]
    fn news_arrives_as_it_was_sent_in_payloads_within_the_limit() {
        let mut next = header(7);
        let (payloads, rest) = encode(&mut next, news(500), LIMITS);
        assert!(rest.is_empty());
        assert!(payloads.iter().all(|payload| payload.len() <= LIMITS.bytes));
        let mut heard = News::default();
        for (number, payload) in (7..).zip(&payloads) {
            let frame = decode(payload).unwrap();
            assert_eq!(frame.header, header(number));
            heard.merge(frame.news);
        }
        assert_eq!(heard, news(500));
        assert_eq!(next, header(7 + payloads.len() as u64));
    }

    #[test]
    fn news_beyond_the_limits_is_left_for_the_next_time_in_order() {
        let mut left = news(5_000);
        let (mut next, mut heard, mut times) = (header(0), News::default(), 0);
        while !left.is_empty() {
            let (payloads, rest) = encode(&mut next, left, LIMITS);
            assert!(payloads.len() <= LIMITS.payloads);
            for payload in payloads {
                heard.merge(decode(&payload).unwrap().news);
            }
            (left, times) = (rest, times + 1);
        }
        assert_eq!(heard, news(5_000));
        assert!(times > 1);
    }

    #[test]
    fn an_echo_has_no_news_and_any_room_is_some() {
        let decoded = |wakes: Wakes| {
            let (payloads, _) = encode(&mut header(0), wakes.into(), LIMITS);
            decode(&payloads[0]).unwrap().news
        };
        assert!(decoded(Wakes::default()).is_empty());
        assert_eq!(decoded(Wakes::any()), Wakes::any().into());
    }

    #[test]
    fn a_signal_of_a_later_version_is_skipped_and_the_rest_is_read() {
        let payload = format!(
            "1 {} 1 \n7 room\n[\"room\",{{\"type\":\"later\"}}]",
            Uuid::nil()
        );
        let news = decode(&payload).unwrap().news;
        assert_eq!((news.wakes.rooms.len(), news.signals.len()), (1, 0));
    }

    #[test]
    fn other_versions_and_damaged_payloads_are_told_from_payloads() {
        let nil = Uuid::nil();
        for payload in [
            "".to_owned(),
            format!("2 {nil} 1 "),
            "1 x 1 ".into(),
            format!("1 {nil}"),
            format!("1 {nil} 1"),
            format!("1 {nil} x "),
            format!("1 {nil} 1 \n"),
            format!("1 {nil} 1 \n-1 room"),
            format!("1 {nil} 1 \n1"),
            format!("1 {nil} 1 \n1 "),
            format!("1 {nil} 1 \n[\"room\"]"),
        ] {
            assert_eq!(decode(&payload), None, "{payload:?}");
        }
    }
}
