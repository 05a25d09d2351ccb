//! Payloads on the bus: a line `1 NODE NUMBER SCHEMA`, then the news: for each room a line
//! `SEQ ROOM`, or a line `*` for any room, for each room with changes a line `~REVISION ROOM`, for
//! each new roster a line `+ROOM`, and for each signal a line of JSON, or several with parts of it. A server
//! that does not know a line looks into the log; a signal that it does not know, it skips. Names and JSON have
//! no control characters, so a line's end is unambiguous.

pub(super) use super::payloads::{Header, Limits};
use super::{
    news::News,
    parts::{MAX_LINE_BYTES, Part},
    payloads::{Payloads, VERSION},
};
use crate::model::{RoomId, Signal};
use serde_json::value::RawValue;

/// A payload, read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) header: Header,
    /// The news without the signals.
    pub(super) news: News,
    /// The signals, in order.
    pub(super) signals: Vec<SignalLine>,
}

/// The line of a signal.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SignalLine {
    /// A signal.
    Whole(RoomId, Signal),
    /// A part of a signal.
    Part(Part<'static>),
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
        let Some(line) = line_of(&room, &signal) else {
            continue;
        };
        let is_late = !rest.signals.is_empty();
        if is_late || !payloads.push_signal(&room, &line) {
            rest.signals.push(room, signal);
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
    let payloads = payloads.end(header);
    (payloads, rest)
}

/// Returns the line of a signal; none for one that a receiver would drop.
fn line_of(room: &RoomId, signal: &Signal) -> Option<String> {
    let line = serde_json::to_string(&(room, signal)).expect("texts and numbers are JSON");
    let is_too_long = line.len() > MAX_LINE_BYTES;
    if is_too_long {
        tracing::error!(%room, bytes = line.len(), "signal too large for the other servers");
    }
    Some(line).filter(|_| !is_too_long)
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
    let (mut news, mut signals) = (News::default(), vec![]);
    for line in lines {
        match line.as_bytes().first()? {
            b'*' => news.wakes.any = true,
            b'~' => {
                let (room, revision) = place(&line[1..])?;
                news.wakes.add_change(room, revision);
            }
            b'+' => _ = news.rosters.insert(RoomId::try_from(&line[1..]).ok()?),
            b'[' => signals.extend(signal(line)?),
            _ => {
                let (room, seq) = place(line)?;
                news.wakes.add(room, seq);
            }
        }
    }
    Some(Frame {
        header,
        news,
        signals,
    })
}

/// Reads the line of a signal; nothing of a kind that only a later version knows.
pub(super) fn signal(line: &str) -> Option<Option<SignalLine>> {
    let (room, json): (RoomId, &RawValue) = serde_json::from_str(line).ok()?;
    let json = json.get();
    let whole = Signal::from_json(json).map(|signal| SignalLine::Whole(room, signal));
    Some(whole.or_else(|| Part::from_json(json).map(SignalLine::Part)))
}

/// Reads the line of a room.
fn place<T: TryFrom<i64>>(line: &str) -> Option<(RoomId, T)> {
    let (place, room) = line.split_once(' ')?;
    let place: i64 = place.parse().ok()?;
    Some((RoomId::try_from(room).ok()?, place.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::{
        super::{news::Wakes, parts::Parts, signals::Signals},
        *,
    };
    use crate::model::Relayed;

    const LIMITS: Limits = Limits {
        bytes: 7_900,
        payloads: 32,
    };

    /// Returns a payload's header and all of its news.
    fn read(payload: &str) -> (Header, News) {
        let mut frame = decode(payload).unwrap();
        frame.news.signals = whole(frame.signals);
        (frame.header, frame.news)
    }

    fn whole(lines: Vec<SignalLine>) -> Signals {
        let whole = lines.into_iter().map(|line| match line {
            SignalLine::Whole(room, signal) => (room, signal),
            SignalLine::Part(part) => panic!("{part:?}"),
        });
        whole.collect()
    }

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
            let (head, news) = read(payload);
            assert_eq!(head, header(number));
            heard.merge(news);
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
                heard.merge(read(&payload).1);
            }
            (left, times) = (rest, times + 1);
        }
        assert_eq!(heard, news(5_000));
        assert!(times > 1);
    }

    fn large(number: usize, bytes: usize) -> (RoomId, Signal) {
        let data = format!(r#"{{"number":{number},"a\"b":"{}"}}"#, "x".repeat(bytes));
        let relayed = Relayed {
            user_id: "ann".try_into().unwrap(),
            party_id: None,
            call_id: None,
            client: 0,
            to: None,
            event: "large".try_into().unwrap(),
            data: serde_json::from_str(&data).unwrap(),
        };
        let room = "a \" room".try_into().unwrap();
        (room, Signal::Relayed(Box::new(relayed)))
    }

    #[test]
    fn large_signals_travel_in_parts_and_keep_their_order_among_small_ones() {
        let signals = (0..200).map(|number| large(number, number * 7_919 % 16_000));
        let sent: Signals = signals.collect();
        let mut left = News {
            signals: sent.clone(),
            ..News::default()
        };
        let (mut next, mut parts, mut heard) = (header(0), Parts::default(), Signals::default());
        let (mut number, mut times) = (0, 0);
        while !left.is_empty() {
            let (payloads, rest) = encode(&mut next, left, LIMITS);
            for payload in payloads {
                assert!(payload.len() <= LIMITS.bytes, "{}", payload.len());
                let frame = decode(&payload).unwrap();
                assert_eq!(frame.header.number, number);
                number += 1;
                for line in frame.signals {
                    let whole = match line {
                        SignalLine::Whole(room, signal) => Some((room, signal)),
                        SignalLine::Part(part) => parts
                            .add(Uuid::nil(), &part)
                            .0
                            .map(|line| whole(vec![signal(&line).unwrap().unwrap()])[0].clone()),
                    };
                    whole
                        .into_iter()
                        .for_each(|(room, signal)| heard.push(room, signal));
                }
            }
            (left, times) = (rest, times + 1);
        }
        assert_eq!(heard, sent);
        assert!((5..20).contains(&times), "{times} times");
    }

    #[test]
    fn an_echo_has_no_news_and_any_room_is_some() {
        let decoded = |wakes: Wakes| {
            let (payloads, _) = encode(&mut header(0), wakes.into(), LIMITS);
            read(&payloads[0]).1
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
        let news = read(&payload).1;
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
