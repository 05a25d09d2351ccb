//! Streams of events.

mod clients;
mod cuts;
mod doors;
mod events;
mod reader;

use chrono::Utc;
use parlor::testing::auth::TokenClaims;
use serde_json::{Value, json};

use self::reader::Stream;
use crate::{
    api::{Backend, WITH_KEY},
    support::{Database, Server},
};

const SECRET: &str = "a secret of more than 32 bytes, for tests";

/// Returns a user's token that is valid for some seconds, for some rooms or for all.
fn token(user: &str, seconds: i64, rooms: &[&str]) -> String {
    let rooms: Vec<_> = rooms.iter().map(|room| (*room).to_owned()).collect();
    let claims = TokenClaims {
        sub: &user.try_into().unwrap(),
        exp: Utc::now().timestamp() + seconds,
        role: None,
        rooms: &rooms,
        iss: None,
        aud: None,
    };
    claims.sign(SECRET).unwrap()
}

/// Starts a server with a backend, and users with tokens.
async fn server(flags: &[&str]) -> (Server, Backend) {
    let secret = format!("--jwt-secret={SECRET}");
    let flags = [&[WITH_KEY, &secret], flags].concat();
    let server = Server::on(Database::sqlite(), &flags).await;
    let backend = Backend::of(&server);
    (server, backend)
}

/// Opens the stream of a room, with the credentials of a backend or a user.
async fn open(caller: &Backend, room: &str, last: Option<&str>) -> Stream {
    let stream = Stream::open(caller, "/events", &[("roomId", room)], last).await;
    stream.unwrap_or_else(|refusal| panic!("{refusal:?}"))
}

/// Asks for a ticket, and returns it.
async fn ticket(caller: &Backend, asked: Value) -> String {
    let given = caller.ok("POST", "/tickets", asked).await;
    given["ticket"].as_str().unwrap().to_owned()
}

/// Sends many messages, as batches.
async fn send_many(backend: &Backend, room: &str, count: usize, text: &str) {
    let send = |number: usize| {
        let message = format!("{number} {text}");
        json!({ "method": "POST", "path": "/messages",
            "body": { "roomId": room, "userId": "ann", "message": message } })
    };
    let requests: Vec<_> = (1..=count).map(send).collect();
    for some in requests.chunks(100) {
        let answers = backend
            .ok("POST", "/batch", json!({ "requests": some }))
            .await;
        let answers = answers["answers"].as_array().unwrap();
        assert!(answers.iter().all(|answer| answer["status"] == 201));
    }
}
