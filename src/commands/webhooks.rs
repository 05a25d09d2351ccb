//! `parlor webhooks`: the state of the receivers, past events sent again, a receiver enabled again.

use std::{
    io::{self, Write},
    sync::Arc,
};

use anyhow::Context;
use chrono::{DateTime, SecondsFormat, Utc};

use crate::{
    config::WebhooksRequest,
    store::{EndpointStatus, MessageStore, WebhookStore},
    webhooks::Endpoint,
};

/// The most rooms in a statement.
const ROOMS_AT_ONCE: usize = 200;

/// Runs the command.
///
/// # Errors
///
/// The database's, those of the output, and a URL that is no receiver's.
pub(super) async fn run(
    request: &WebhooksRequest,
    store: Arc<dyn MessageStore>,
) -> anyhow::Result<()> {
    let webhooks = store.webhooks().context("this store has no webhooks")?;
    if let Some(url) = &request.enable {
        restart(webhooks, url, None).await?;
    }
    if let Some(from) = request.replay_from {
        for url in urls(webhooks, request.endpoint.as_ref()).await? {
            restart(webhooks, &url, Some(from)).await?;
        }
    }
    let mut output = io::stdout().lock();
    for status in webhooks.statuses().await? {
        write(&mut output, &status)?;
    }
    store.close().await;
    Ok(())
}

/// Returns the receivers to send to again.
async fn urls(webhooks: &dyn WebhookStore, only: Option<&String>) -> anyhow::Result<Vec<String>> {
    match only {
        Some(url) => Ok(vec![url.clone()]),
        None => {
            let statuses = webhooks.statuses().await?.into_iter();
            Ok(statuses.map(|status| status.url).collect())
        }
    }
}

/// Enables a receiver, forgets its failures, and moves its places back to a time if there is one.
async fn restart(
    webhooks: &dyn WebhookStore,
    url: &str,
    from: Option<DateTime<Utc>>,
) -> anyhow::Result<()> {
    let endpoint: Endpoint = url
        .parse()
        .map_err(|why| anyhow::anyhow!("{url:?} {why}"))?;
    let mut last = None;
    loop {
        let moved = webhooks.rewind(endpoint.id(), from, last.as_ref(), ROOMS_AT_ONCE);
        last = moved.await?;
        if last.is_none() {
            break;
        }
    }
    let is_known = webhooks.restart(endpoint.id()).await?;
    anyhow::ensure!(is_known, "no server has ever sent to {url:?}");
    Ok(())
}

fn write(output: &mut impl Write, status: &EndpointStatus) -> io::Result<()> {
    writeln!(output, "{}", status.url)?;
    match &status.disabled {
        None => writeln!(output, "  state: on")?,
        Some((since, why)) => writeln!(output, "  state: off since {}: {why}", time(*since))?,
    }
    write!(
        output,
        "  behind: {} rooms, {} events",
        status.rooms, status.events
    )?;
    match status.oldest {
        None => writeln!(output)?,
        Some(oldest) => writeln!(output, ", oldest message {}", time(oldest))?,
    }
    let succeeded = status.results.succeeded.map(time);
    let succeeded = succeeded.as_deref().unwrap_or("none");
    writeln!(output, "  last success: {succeeded}")?;
    match &status.results.failed {
        None => writeln!(output, "  last failure: none"),
        Some((at, error)) => writeln!(output, "  last failure: {}: {error}", time(*at)),
    }
}

fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
