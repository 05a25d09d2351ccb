//! Handlers, one function per event: it parses the request, calls the chat, and returns the answer.
//!
//! A new event has its name and its payload in `protocol/requests.rs`, and its function and its line
//! in the `handler` of one file here.

mod calls;
mod changes;
mod conversations;
mod credentials;
mod ice;
mod inbox;
mod messages;
mod presence;
mod rooms;
mod search;
mod settings;
mod signals;

use futures_util::{FutureExt, future::Either};

pub use self::rooms::enter;
use super::{call::Call, panics, protocol::echoed};
use crate::{
    contract::{Empty, SendMessage},
    error::Error,
};

/// Answers an event. One handler answers every event: the library's map of handlers would be 360
/// bytes of each socket.
pub fn answer(call: Call) -> impl Future<Output = ()> {
    let reply = call.reply.clone();
    panics::survived(handle(call)).map(move |panic| {
        if let Some(error) = panic {
            reply.error(&error);
        }
    })
}

/// Handles an event. Its task has room for the largest future here, so all but a send's are boxed.
///
/// As an `async fn`, this and [`answer`] would hold that future twice.
fn handle(call: Call) -> impl Future<Output = ()> {
    let event = call.event();
    if event == SendMessage::EVENT {
        return Either::Left(call.answer(messages::send_message));
    }
    let handler = rooms::handler(event)
        .or_else(|| messages::handler(event))
        .or_else(|| changes::handler(event))
        .or_else(|| inbox::handler(event))
        .or_else(|| search::handler(event))
        .or_else(|| settings::handler(event))
        .or_else(|| conversations::handler(event))
        .or_else(|| calls::handler(event))
        .or_else(|| presence::handler(event))
        .or_else(|| signals::handler(event))
        .or_else(|| ice::handler(event))
        .or_else(|| credentials::handler(event));
    Either::Right(match handler {
        Some(handler) => handler(call),
        None => call.answer(unknown_event).boxed(),
    })
}

async fn unknown_event(mut call: Call) -> Result<Empty, Error> {
    let event = echoed(call.event()).into_owned();
    call.wait().await?;
    Err(Error::UnknownEvent(event))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<F>(_: impl FnOnce(Call) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn the_task_of_an_event_is_hardly_larger_than_a_send() {
        let (task, send) = (size(answer), size(messages::send_message));
        assert!(task < send + 128, "{task} bytes, a send {send}");
    }
}
