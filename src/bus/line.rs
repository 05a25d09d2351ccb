//! A server's end of the bus: the news on its way, and the state of the connection to the engine.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    echo::Echo,
    frame::{self, Frame, Header, SignalLine},
    news::{News, NewsQueue, Wakes},
    parts::Parts,
    senders::Senders,
    signals::Signals,
};
use crate::{metrics, store::Schema};

/// The state shared by the listening and the sending.
#[derive(Debug)]
pub(super) struct Line {
    node: Uuid,
    /// The schema of the tables, or nothing. Other schemas are other chats.
    schema: String,
    /// News for the other servers.
    pub(super) outbox: NewsQueue,
    /// News of the other servers.
    pub(super) inbox: NewsQueue,
    pub(super) echo: Echo,
    /// The listener's wish for an echo.
    pub(super) probe: Notify,
    /// The number of losses so far: after one, the sending connection may lead elsewhere, too.
    losses: AtomicU64,
    is_well: AtomicBool,
    pub(super) metrics: metrics::Bus,
    senders: Mutex<Senders>,
    parts: Mutex<Parts>,
    pub(super) stop: CancellationToken,
}

impl Line {
    pub(super) fn new(schema: Option<&Schema>, metrics: metrics::Bus) -> Self {
        Self {
            node: Uuid::now_v7(),
            schema: schema.map(Schema::as_str).unwrap_or_default().to_owned(),
            outbox: NewsQueue::default(),
            inbox: NewsQueue::default(),
            echo: Echo::default(),
            probe: Notify::new(),
            losses: AtomicU64::new(0),
            is_well: AtomicBool::new(false),
            metrics,
            senders: Mutex::default(),
            parts: Mutex::default(),
            stop: CancellationToken::new(),
        }
    }

    /// Returns the number of this server, from its start to its end.
    pub(super) fn node(&self) -> Uuid {
        self.node
    }

    /// Returns the header of the first payload.
    pub(super) fn first_header(&self) -> Header {
        Header {
            node: self.node,
            number: 1,
            schema: self.schema.clone(),
        }
    }

    /// Returns true once the server has heard itself, until the next loss.
    pub(super) fn is_well(&self) -> bool {
        self.is_well.load(Ordering::Relaxed)
    }

    /// Returns the number of losses.
    pub(super) fn losses(&self) -> u64 {
        self.losses.load(Ordering::Relaxed)
    }

    /// Begins to hear: from here on, nothing is missed unnoticed.
    pub(super) fn begin(&self) {
        self.echo.forget();
        self.probe.notify_one();
        self.inbox.merge(Wakes::any().into());
    }

    /// Takes a payload in.
    pub(super) fn take(&self, payload: &str) {
        match frame::decode(payload) {
            Some(frame) if frame.header.node == self.node => self.note_echo(frame.header.number),
            Some(frame) => self.take_news(frame),
            None => self.miss(),
        }
    }

    /// Notes that any report may have been missed.
    fn miss(&self) {
        self.metrics.missed.inc();
        self.inbox.merge(Wakes::any().into());
    }

    fn take_news(&self, frame: Frame) {
        let Frame {
            header,
            mut news,
            signals,
        } = frame;
        let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        let has_gap = senders.note_gap(header.node, header.number);
        drop(senders);
        news.signals = self.join(header.node, signals, has_gap);
        self.metrics.note_heard(news.content());
        if header.schema != self.schema {
            news.signals = Signals::default();
            news.rosters.clear();
        }
        if has_gap {
            news.wakes.any = true;
            self.metrics.missed.inc();
        }
        if !news.is_empty() {
            self.inbox.merge(news);
        }
    }

    /// Returns the signals of a payload, those in parts once they are whole. After a gap, the signal whose
    /// parts were coming is lost.
    fn join(&self, sender: Uuid, lines: Vec<SignalLine>, has_gap: bool) -> Signals {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut signals = Signals::default();
        let mut lost = u64::from(has_gap && parts.forget(sender));
        for line in lines {
            match line {
                SignalLine::Whole(room, signal) => {
                    lost += u64::from(parts.forget(sender));
                    signals.push(room, signal);
                }
                SignalLine::Part(part) => {
                    let (line, is_lost) = parts.add(sender, &part);
                    lost += u64::from(is_lost);
                    let whole = line.and_then(|line| frame::signal(&line).flatten());
                    if let Some(SignalLine::Whole(room, signal)) = whole {
                        signals.push(room, signal);
                    }
                }
            }
        }
        self.metrics.dropped.inc_by(lost);
        signals
    }

    fn note_echo(&self, number: u64) {
        if let Some(lag) = self.echo.heard(number) {
            self.metrics.note_echo(lag);
        }
        if !self.is_well.swap(true, Ordering::Relaxed) {
            tracing::info!("bus: ok");
            self.inbox.merge(Wakes::any().into());
        }
    }

    /// Notes a loss; a tailer that waits for the next sweep wakes up. Returns true when the line was
    /// well before.
    pub(super) fn lose(&self) -> bool {
        let was_well = self.is_well.swap(false, Ordering::Relaxed);
        self.losses.fetch_add(1, Ordering::Relaxed);
        if was_well {
            self.metrics.missed.inc();
        }
        self.inbox.merge(Wakes::any().into());
        was_well
    }

    /// Adds news for the other servers.
    pub(super) fn send(&self, news: News) {
        self.outbox.merge(news);
    }
}
