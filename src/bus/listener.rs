//! The listening to the other servers.

use std::{convert::Infallible, fmt::Display, sync::Arc, time::Duration};

use backon::ExponentialBackoff;
use tokio::time::sleep;

use super::{backoff, line::Line};

/// A way to hear the payloads of all servers, this one included.
pub(super) trait Subscriber: Send + 'static {
    /// The end of a connection.
    type Lost: Display + Send;

    /// Returns the pause after an end that the next attempt will meet, too; none for others.
    fn long_pause(_: &Self::Lost) -> Option<Duration> {
        None
    }

    /// Connects, begins to hear with [`Line::begin`], and passes each payload to [`Line::take`].
    ///
    /// # Errors
    ///
    /// Every end: this server may have missed something.
    fn listen(
        &mut self,
        line: &Arc<Line>,
    ) -> impl Future<Output = Result<Infallible, Self::Lost>> + Send;
}

/// Listens until the bus stops. Every failure begins anew: first listen, then report that anything
/// may have been missed.
pub(super) async fn run(line: Arc<Line>, subscriber: impl Subscriber) {
    let mut listener = Listener {
        line,
        subscriber,
        pauses: backoff(),
        is_reported: false,
    };
    let stop = listener.line.stop.clone();
    stop.run_until_cancelled(listener.listen()).await;
}

struct Listener<S> {
    line: Arc<Line>,
    subscriber: S,
    pauses: ExponentialBackoff,
    /// True when the present loss stands in the log.
    is_reported: bool,
}

impl<S: Subscriber> Listener<S> {
    async fn listen(&mut self) {
        loop {
            let Err(lost) = self.subscriber.listen(&self.line).await;
            self.note_loss(&lost);
            let pause = S::long_pause(&lost).or_else(|| self.pauses.next());
            sleep(pause.unwrap_or_default()).await;
        }
    }

    /// Notes a loss. Only the first of several in a row is logged.
    fn note_loss(&mut self, lost: &S::Lost) {
        if self.line.lose() {
            self.pauses = backoff();
            self.is_reported = false;
        }
        if std::mem::replace(&mut self.is_reported, true) {
            tracing::debug!(reason = %lost, "bus: degraded");
        } else {
            tracing::warn!(reason = %lost, "bus: degraded; messages of other servers arrive a little later");
        }
    }
}
