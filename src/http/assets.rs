//! Files that are part of the binary: the page, and the Socket.IO client's bundle.

use axum::{
    extract::Path,
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use rust_embed::{EmbeddedFile, RustEmbed};

#[derive(RustEmbed)]
#[folder = "static"]
struct Pages;

/// What `build.rs` found of the npm package `socket.io-client`.
#[derive(RustEmbed)]
#[folder = "$OUT_DIR/client"]
struct Client;

/// Browsers keep files, but ask each time whether they have changed, as Node's server has them do.
const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("public, max-age=0");

const NO_CLIENT: &str = "This server was built without the Socket.IO client. \
    Run `npm ci --omit=dev` where its source is, and build again.\n";

/// Whether the client's bundle was there when the server was built.
pub fn has_client() -> bool {
    Client::iter().next().is_some()
}

/// Serves the page and what belongs to it.
pub(super) async fn page(uri: Uri, headers: HeaderMap) -> Response {
    let path = match uri.path().trim_start_matches('/') {
        "" => "index.html",
        path => path,
    };
    match Pages::get(path) {
        Some(file) => serve(path, &file, &headers),
        None => (StatusCode::NOT_FOUND, "not found\n").into_response(),
    }
}

/// Serves the client's bundles where Node's server does: `/socket.io/socket.io.js` and its variants.
pub(super) async fn client(Path(name): Path<String>, headers: HeaderMap) -> Response {
    match Client::get(&name) {
        Some(file) => serve(&name, &file, &headers),
        None if !has_client() => (StatusCode::NOT_FOUND, NO_CLIENT).into_response(),
        None => (StatusCode::NOT_FOUND, "not found\n").into_response(),
    }
}

fn serve(path: &str, file: &EmbeddedFile, headers: &HeaderMap) -> Response {
    let digest = u128::from_be_bytes(first_half(file.metadata.sha256_hash()));
    // Weak, as the file may be sent compressed: https://www.rfc-editor.org/rfc/rfc9110#section-8.8.1
    let etag = format!("W/\"{digest:032x}\"");
    let known = headers.get_all(header::IF_NONE_MATCH).iter();
    let mut known = known.filter_map(|tags| tags.to_str().ok());
    let caching = [(header::ETAG, etag.clone())];
    let caching = (caching, [(header::CACHE_CONTROL, CACHE_CONTROL)]);
    if known.any(|tags| tags.contains(&etag)) {
        return (StatusCode::NOT_MODIFIED, caching).into_response();
    }
    let content_type = [(header::CONTENT_TYPE, content_type(path))];
    (caching, content_type, file.data.clone().into_owned()).into_response()
}

fn first_half(hash: [u8; 32]) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&hash[..16]);
    half
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("map" | "json") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("ts") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
