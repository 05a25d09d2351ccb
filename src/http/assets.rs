//! Files in the binary: the page, and the Socket.IO client's bundle.

use axum::{
    body::Body,
    extract::State,
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode, Uri,
        header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY},
    },
    response::{IntoResponse, Response},
};
use headers::{ETag, HeaderMapExt, IfNoneMatch};
use rust_embed::{EmbeddedFile, RustEmbed};

use super::{ADMIN_PERMISSIONS, PERMISSIONS_POLICY};

/// The files found by `build.rs`, by the paths at which they are served.
#[derive(RustEmbed)]
#[folder = "$OUT_DIR/files"]
struct Files;

/// The compressible files, as gzip.
#[derive(RustEmbed)]
#[folder = "$OUT_DIR/gzip"]
struct Gzipped;

/// The pages of a server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pages {
    /// True when administrators have one.
    pub(super) has_admin: bool,
}

/// The beginning of the names of the files for administrators.
const ADMIN: &str = "admin";

/// The folder of the client's bundles; Node's server has them at the same path.
const CLIENT: &str = "socket.io/";

/// Browsers keep files, but revalidate them each time, as under Node's server.
const REVALIDATE: HeaderValue = HeaderValue::from_static("public, max-age=0");

const GZIP: HeaderValue = HeaderValue::from_static("gzip");

const NO_CLIENT: &str = "This server was built without the Socket.IO client. \
    Run `npm ci --omit=dev` where its source is, and build again.\n";

/// Returns true if the server was built with the client's bundle.
pub fn has_client() -> bool {
    Files::iter().any(|path| path.starts_with(CLIENT))
}

/// Serves the page, its files, and the client's bundles.
pub(super) async fn serve_file(
    State(pages): State<Pages>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let path = match uri.path().trim_start_matches('/') {
        "" => "index.html",
        ADMIN => "admin.html",
        path => path,
    };
    let is_admin = path.starts_with(ADMIN);
    match Files::get(path).filter(|_| pages.has_admin || !is_admin) {
        Some(file) if is_admin => {
            let permissions = [(PERMISSIONS_POLICY, ADMIN_PERMISSIONS)];
            (permissions, respond(path, file, &headers)).into_response()
        }
        Some(file) => respond(path, file, &headers),
        None if path.starts_with(CLIENT) && !has_client() => {
            (StatusCode::NOT_FOUND, NO_CLIENT).into_response()
        }
        None => (StatusCode::NOT_FOUND, "not found\n").into_response(),
    }
}

fn respond(path: &str, file: EmbeddedFile, request: &HeaderMap) -> Response {
    let etag = etag(&file);
    let caching = [
        (CACHE_CONTROL, REVALIDATE),
        (VARY, HeaderValue::from_name(ACCEPT_ENCODING)),
    ];
    let is_known = is_known(request, &etag);
    let mut tag = HeaderMap::new();
    tag.typed_insert(etag);
    let caching = (caching, tag);
    if is_known {
        return (StatusCode::NOT_MODIFIED, caching).into_response();
    }
    let content_type = [(CONTENT_TYPE, content_type(path))];
    match Gzipped::get(path).filter(|_| accepts_gzip(request)) {
        Some(gzipped) => (
            caching,
            content_type,
            [(CONTENT_ENCODING, GZIP)],
            Body::from(gzipped.data),
        )
            .into_response(),
        None => (caching, content_type, Body::from(file.data)).into_response(),
    }
}

/// Returns the tag of a file. It is weak because the compressed file has the same:
/// <https://www.rfc-editor.org/rfc/rfc9110#section-8.8.1>.
fn etag(file: &EmbeddedFile) -> ETag {
    let hash = file.metadata.sha256_hash();
    let digest: String = hash[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let tag = format!("W/\"{digest}\"").parse();
    tag.expect("digits in quotes are a tag")
}

/// Returns true if the client has the file already:
/// <https://www.rfc-editor.org/rfc/rfc9110#section-13.1.2>.
fn is_known(request: &HeaderMap, etag: &ETag) -> bool {
    let known = request.typed_get::<IfNoneMatch>();
    known.is_some_and(|known| !known.precondition_passes(etag))
}

/// Returns true if the client accepts gzip; `headers` has no type for `Accept-Encoding`:
/// <https://www.rfc-editor.org/rfc/rfc9110#section-12.5.3>.
fn accepts_gzip(request: &HeaderMap) -> bool {
    let accepts = |coding: &str| {
        items(request, ACCEPT_ENCODING).find_map(|item| {
            let (name, weight) = item.split_once(';').unwrap_or((item, "q=1"));
            let weight = weight.trim().trim_start_matches(['q', 'Q', '=']).parse();
            name.trim()
                .eq_ignore_ascii_case(coding)
                .then(|| weight.is_ok_and(|weight: f32| weight > 0.0))
        })
    };
    accepts("gzip").or_else(|| accepts("*")).unwrap_or(false)
}

/// Returns the items of a list header, over all of its lines.
fn items(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let lines = headers
        .get_all(name)
        .into_iter()
        .filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim)
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
