//! A reader of streams, byte by byte as the standard says:
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream>.

use reqwest::{Method, Response};
use serde_json::Value;

use crate::{
    api::{Answer, Backend},
    support::within_deadline,
};

/// An event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub id: Option<String>,
    pub name: String,
    pub data: Value,
}

/// An open stream.
pub struct Stream {
    response: Response,
    unread: Vec<u8>,
}

impl Stream {
    /// Opens a stream, or returns the refusal.
    pub async fn open(
        caller: &Backend,
        path: &str,
        query: &[(&str, &str)],
        last: Option<&str>,
    ) -> Result<Self, Answer> {
        let mut request = caller.request(Method::GET, path).query(query);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = within_deadline("a stream", request.send()).await.unwrap();
        let status = response.status().as_u16();
        if status != 200 {
            let text = within_deadline("a refusal", response.text()).await.unwrap();
            let body = serde_json::from_str(&text).unwrap();
            return Err(Answer { status, body });
        }
        let headers = response.headers();
        assert_eq!(headers["content-type"], "text/event-stream");
        assert_eq!(headers["cache-control"], "no-store");
        let unread = vec![];
        Ok(Self { response, unread })
    }

    /// Returns the next event, or none at the stream's end.
    pub async fn next(&mut self) -> Option<Event> {
        // Heartbeats do not count.
        within_deadline("an event", self.read()).await
    }

    async fn read(&mut self) -> Option<Event> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|two| two == b"\n\n") {
                let block: Vec<_> = self.unread.drain(..end + 2).collect();
                if let Some(event) = parse(std::str::from_utf8(&block).unwrap()) {
                    return Some(event);
                }
                continue;
            }
            // The connection of a slow reader breaks.
            let chunk = self.response.chunk().await.ok().flatten();
            self.unread.extend(chunk?);
        }
    }

    /// Returns the next event, which has this name.
    pub async fn event(&mut self, name: &str) -> Event {
        let event = self.next().await.expect("the stream goes on");
        assert_eq!(event.name, name, "{event:?}");
        event
    }

    /// Waits for the end of the stream, and returns the events before it.
    pub async fn rest(&mut self) -> Vec<Event> {
        let mut rest = vec![];
        while let Some(event) = self.next().await {
            rest.push(event);
        }
        rest
    }
}

fn parse(block: &str) -> Option<Event> {
    let field = |name: &str| {
        let mut lines = block.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    };
    Some(Event {
        id: field("id").map(str::to_owned),
        name: field("event")?.to_owned(),
        data: serde_json::from_str(field("data")?).unwrap(),
    })
}
