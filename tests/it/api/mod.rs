//! REST for backends.

mod access;
mod archive;
mod conversation;
mod document;
mod everywhere;
mod limits;
mod routes;

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Database, Server, within_deadline};

/// A key of a backend.
pub const KEY: &str = "a-key-of-a-backend-of-more-than-32-characters";

/// The flag of a server with a backend.
pub const WITH_KEY: &str = "--api-keys=a-key-of-a-backend-of-more-than-32-characters";

/// A backend of the product around the chat.
pub struct Backend {
    http: Client,
    base: String,
    credentials: String,
}

/// The answer to a backend.
#[derive(Debug, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Answer {
    /// Returns the code of a refusal, with its status.
    pub fn refusal(&self) -> (u16, &str) {
        (self.status, self.body["error"]["code"].as_str().unwrap())
    }
}

impl Backend {
    /// A backend of a server, with a key.
    pub fn of(server: &Server) -> Self {
        Self::with(server, KEY)
    }

    /// A backend with other credentials.
    pub fn with(server: &Server, credentials: &str) -> Self {
        Self::at(&server.url(), credentials)
    }

    /// A backend of the server at a URL.
    pub fn at(url: &str, credentials: &str) -> Self {
        Self {
            http: Client::new(),
            base: format!("{url}/api/v1"),
            credentials: credentials.into(),
        }
    }

    /// Returns a request, to be sent.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}{path}", self.base);
        self.http
            .request(method, url)
            .bearer_auth(&self.credentials)
    }

    /// Reads with the fields of a query.
    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> Answer {
        answer(self.request(Method::GET, path).query(query)).await
    }

    /// Deletes with the fields of a query.
    pub async fn delete(&self, path: &str, query: &[(&str, &str)]) -> Answer {
        answer(self.request(Method::DELETE, path).query(query)).await
    }

    /// Writes with a body.
    pub async fn write(&self, method: &str, path: &str, body: Value) -> Answer {
        let method = method.parse().unwrap();
        answer(with_json(self.request(method, path), &body)).await
    }

    /// Writes with a body, and returns the body of the answer.
    pub async fn ok(&self, method: &str, path: &str, body: Value) -> Value {
        let answer = self.write(method, path, body).await;
        assert!((200..300).contains(&answer.status), "{path}: {answer:?}");
        answer.body
    }

    /// Sends a message, and returns it.
    pub async fn send(&self, room: &str, user: &str, text: &str) -> Value {
        let message = json!({ "roomId": room, "userId": user, "message": text });
        let sent = self.ok("POST", "/messages", message).await;
        sent["message"].clone()
    }
}

/// Adds a body of JSON to a request.
pub fn with_json(request: reqwest::RequestBuilder, body: &Value) -> reqwest::RequestBuilder {
    request
        .header("content-type", "application/json")
        .body(body.to_string())
}

/// Sends a request, and reads the answer.
pub async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = within_deadline("an answer", request.send()).await.unwrap();
    let status = response.status();
    let text = response.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Answer {
        status: StatusCode::as_u16(&status),
        body,
    }
}

/// Starts a server with a backend.
async fn server_on(database: Database) -> (Server, Backend) {
    let server = Server::on(database, &[WITH_KEY]).await;
    let backend = Backend::of(&server);
    (server, backend)
}
