//! Batches: several writes in one request, in order.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    http::StatusCode,
};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use tokio::time::Instant;
use utoipa::ToSchema;

use super::{
    Api,
    access::Caller,
    answer::{Answer, Refusal, Refused},
    changes, inbox, messages,
    request::{IdempotencyKey, Json, read_json},
    rooms,
};
use crate::{auth::Service, error::Error, http};

/// The most requests in a batch.
pub const MAX_REQUESTS: usize = 100;
/// The most bytes of a batch.
pub const MAX_BYTES: usize = 1024 * 1024;

/// The time after which the rest of a batch is answered with 503: proxies wait half a minute or more.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A batch of writes.
#[derive(Deserialize, ToSchema)]
pub struct Batch {
    /// The requests.
    #[schema(max_items = 100)]
    requests: Vec<Operation>,
}

/// A write, as its own request would make it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Operation {
    /// The method.
    method: Method,
    /// The path below `/api/v1`.
    path: Path,
    /// The body; for `DELETE`, the fields of its query.
    #[schema(value_type = Object)]
    body: Body,
}

/// The body of a write, an object.
#[derive(Deserialize)]
#[serde(try_from = "Box<RawValue>")]
struct Body(String);

impl TryFrom<Box<RawValue>> for Body {
    type Error = &'static str;

    fn try_from(json: Box<RawValue>) -> Result<Self, Self::Error> {
        match json.get().starts_with('{') {
            true => Ok(Self(json.get().to_owned())),
            false => Err("must be an object"),
        }
    }
}

/// The method of a write.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
enum Method {
    Post,
    Put,
    Patch,
    Delete,
}

/// The path of a write.
#[derive(Clone, Copy, Deserialize, ToSchema)]
enum Path {
    #[serde(rename = "/messages")]
    Messages,
    #[serde(rename = "/reactions")]
    Reactions,
    #[serde(rename = "/pins")]
    Pins,
    #[serde(rename = "/rooms")]
    Rooms,
    #[serde(rename = "/members")]
    Members,
    #[serde(rename = "/reads")]
    Reads,
    #[serde(rename = "/follows")]
    Follows,
}

/// The answers to a batch, in the order of its requests.
#[derive(Serialize, ToSchema)]
pub struct Answers {
    answers: Vec<OneAnswer>,
}

/// The answer to a request of a batch.
#[derive(Serialize, ToSchema)]
struct OneAnswer {
    /// The status that the request alone would have got.
    status: u16,
    /// The body that it would have got.
    #[schema(value_type = Object)]
    body: Box<RawValue>,
}

impl From<Result<Answer, Error>> for OneAnswer {
    fn from(result: Result<Answer, Error>) -> Self {
        let (status, body) = match result {
            Ok(answer) => (answer.status, answer.body),
            Err(error) => {
                let body = to_raw_value(&http::error_body(&error));
                let body = body.expect("an error is JSON");
                (http::status(&error), body)
            }
        };
        Self {
            status: status.as_u16(),
            body,
        }
    }
}

/// Makes several writes, in order. Each is answered for itself: one that fails stops none after it.
#[utoipa::path(
    post, path = "/batch", tag = "batch", request_body = Batch,
    responses((status = 200, description = "The answers.", body = Answers), Refused)
)]
pub async fn run(
    State(api): State<Arc<Api>>,
    Caller(service): Caller,
    request: Request,
) -> Result<Answer, Refusal> {
    let Batch { requests } = read_json(request, MAX_BYTES).await?.read()?;
    if requests.len() > MAX_REQUESTS {
        let why = format!("requests: must be at most {MAX_REQUESTS}");
        return Err(Error::InvalidPayload(why).into());
    }
    // The batch itself has counted as one.
    let others = u32::try_from(requests.len().saturating_sub(1)).ok();
    if let Some(others) = others.and_then(NonZeroU32::new) {
        api.rates.check_many(service.name(), others)?;
    }
    let answers = answers(&api, &service, requests).await;
    Ok(Answer::new(StatusCode::OK, &Answers { answers }))
}

/// Carries out the requests in order. Neighbours of one queue share a commit; their order is settled as
/// they are queued, one after another.
async fn answers(api: &Api, service: &Service, requests: Vec<Operation>) -> Vec<OneAnswer> {
    let mut answers = Vec::with_capacity(requests.len());
    let queue = |one: &Operation| one.queue(api);
    let alike = requests.chunk_by(|one, next| queue(one).is_some() && queue(one) == queue(next));
    let deadline = Instant::now() + TIMEOUT;
    for group in alike {
        if Instant::now() >= deadline {
            let late = || Err(Error::Unavailable).into();
            answers.extend(group.iter().map(|_| late()));
            continue;
        }
        let group = group.iter().map(|one| one.answer(api, service));
        answers.extend(join_all(group).await);
    }
    answers
}

/// The queues in which writes wait for a commit that they share.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Queue {
    /// That of messages and their changes.
    Writer,
    /// That of read marks.
    Marks,
}

impl Operation {
    /// Returns the queue of a write; none for one that is carried out at once, or after a question.
    fn queue(&self, api: &Api) -> Option<Queue> {
        match self.path {
            Path::Messages if api.chat.is_moderated() => None,
            Path::Messages | Path::Reactions | Path::Pins => Some(Queue::Writer),
            Path::Reads => Some(Queue::Marks),
            Path::Rooms | Path::Members | Path::Follows => None,
        }
    }

    async fn answer(&self, api: &Api, service: &Service) -> OneAnswer {
        let json = Json(self.body.0.clone());
        let answer = match (self.method, self.path) {
            (Method::Post, Path::Messages) => {
                messages::send(api, service, IdempotencyKey::none(), &json).await
            }
            (Method::Patch, Path::Messages) => changes::edit(api, service, &json).await,
            (Method::Delete, Path::Messages) => changes::delete(api, service, &json).await,
            (Method::Put, Path::Reactions) => changes::react(api, service, &json).await,
            (Method::Put, Path::Pins) => changes::pin(api, service, &json).await,
            (Method::Post, Path::Rooms) => rooms::create(api, service, &json).await,
            (Method::Patch, Path::Rooms) => rooms::set(api, service, &json).await,
            (Method::Put, Path::Members) => rooms::add(api, service, &json).await,
            (Method::Delete, Path::Members) => rooms::remove(api, service, &json).await,
            (Method::Put, Path::Reads) => inbox::mark(api, service, &json).await,
            (Method::Put, Path::Follows) => inbox::follow(api, service, &json).await,
            (Method::Delete, Path::Follows) => inbox::unfollow(api, service, &json).await,
            _ => Err(Error::InvalidPayload(
                "method: the path has no such method".into(),
            )),
        };
        answer.into()
    }
}
