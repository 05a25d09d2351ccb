//! Payloads of notifications: a line `1 NODE NUMBER`, then a line `SEQ ROOM` for each room, or `*`
//! for any room. Identifiers of rooms have no control characters, so a line's end is unambiguous.

use std::{fmt::Write as _, mem};

use uuid::Uuid;

use super::super::wakes::Wakes;
use crate::model::{RoomId, Seq};

/// The version of the format. A server that reads another version looks into the log instead.
const VERSION: &str = "1";

/// The most bytes of a payload; Postgres refuses 8,000.
///
/// <https://www.postgresql.org/docs/current/sql-notify.html>
const MAX_BYTES: usize = 7_900;

/// The most payloads in one statement.
pub(super) const MAX_PAYLOADS: usize = 32;

/// A payload, read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// The server that sent it.
    pub(super) node: Uuid,
    /// Its place among the server's payloads.
    pub(super) number: u64,
    /// The reports.
    pub(super) wakes: Wakes,
}

/// Splits reports into payloads, numbered from `next` on, and returns those beyond
/// [`MAX_PAYLOADS`]. Without reports, the one payload is only an echo.
pub(super) fn encode(node: Uuid, next: &mut u64, wakes: Wakes) -> (Vec<String>, Wakes) {
    let mut header = || {
        let header = format!("{VERSION} {node} {next}");
        *next += 1;
        header
    };
    let mut payload = header();
    if wakes.any {
        payload.push_str("\n*");
    }
    let (mut payloads, mut rest) = (vec![], Wakes::default());
    for (room, seq) in wakes.rooms {
        let line = format!("\n{} {}", seq.get(), room.as_str());
        if payload.len() + line.len() > MAX_BYTES {
            if payloads.len() + 1 == MAX_PAYLOADS {
                rest.add(room, seq);
                continue;
            }
            payloads.push(mem::replace(&mut payload, header()));
        }
        _ = payload.write_str(&line);
    }
    payloads.push(payload);
    (payloads, rest)
}

/// Reads a payload; returns none when it has another version, or is damaged.
pub(super) fn decode(payload: &str) -> Option<Frame> {
    let mut lines = payload.split('\n');
    let mut header = lines.next()?.splitn(3, ' ');
    if header.next()? != VERSION {
        return None;
    }
    let (node, number) = (header.next()?.parse().ok()?, header.next()?.parse().ok()?);
    let mut wakes = Wakes::default();
    for line in lines {
        if line == "*" {
            wakes.any = true;
        } else {
            let (seq, room) = line.split_once(' ')?;
            wakes.add(
                RoomId::try_from(room).ok()?,
                Seq::try_from(seq.parse::<i64>().ok()?).ok()?,
            );
        }
    }
    Some(Frame {
        node,
        number,
        wakes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wakes(rooms: usize) -> Wakes {
        let mut wakes = Wakes::default();
        for number in 0..rooms {
            let room = format!("{number} é 'quoted' \\ {}", "x".repeat(100));
            let seq = i64::try_from(number).unwrap();
            wakes.add(room.as_str().try_into().unwrap(), seq.try_into().unwrap());
        }
        wakes
    }

    #[test]
    fn reports_arrive_as_they_were_sent_in_payloads_that_postgres_accepts() {
        let (node, sent) = (Uuid::now_v7(), wakes(500));
        let mut next = 7;
        let (payloads, rest) = encode(node, &mut next, sent.clone());
        assert!(rest.is_empty());
        assert!(payloads.iter().all(|payload| payload.len() < 8_000));
        let mut heard = Wakes::default();
        for (number, payload) in (7..).zip(&payloads) {
            let frame = decode(payload).unwrap();
            assert_eq!((frame.node, frame.number), (node, number));
            heard.merge(frame.wakes);
        }
        assert_eq!(heard, sent);
        assert_eq!(next, 7 + payloads.len() as u64);
    }

    #[test]
    fn reports_beyond_one_statement_are_left_for_the_next() {
        let mut left = wakes(5_000);
        let (mut next, mut heard, mut statements) = (0, Wakes::default(), 0);
        while !left.is_empty() {
            let (payloads, rest) = encode(Uuid::nil(), &mut next, left);
            assert!(payloads.len() <= MAX_PAYLOADS);
            for payload in payloads {
                heard.merge(decode(&payload).unwrap().wakes);
            }
            (left, statements) = (rest, statements + 1);
        }
        assert_eq!(heard, wakes(5_000));
        assert!(statements > 1);
    }

    #[test]
    fn an_echo_has_no_report_and_any_room_is_one() {
        let decoded = |wakes| {
            let (payloads, _) = encode(Uuid::nil(), &mut 0, wakes);
            decode(&payloads[0]).unwrap().wakes
        };
        assert!(decoded(Wakes::default()).is_empty());
        assert_eq!(decoded(Wakes::any()), Wakes::any());
    }

    #[test]
    fn other_versions_and_damaged_payloads_are_told_from_payloads() {
        let nil = Uuid::nil();
        for payload in [
            "".to_owned(),
            format!("2 {nil} 1"),
            "1 x 1".into(),
            format!("1 {nil}"),
            format!("1 {nil} x"),
            format!("1 {nil} 1\n"),
            format!("1 {nil} 1\n-1 room"),
            format!("1 {nil} 1\n1"),
            format!("1 {nil} 1\n1 "),
        ] {
            assert_eq!(decode(&payload), None, "{payload:?}");
        }
    }
}
