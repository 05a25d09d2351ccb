//! Tokens in HTTP headers.

use headers::{Authorization, HeaderMap, HeaderMapExt, authorization::Bearer};

/// Returns the token in the `Authorization` header of a request:
/// <https://www.rfc-editor.org/rfc/rfc6750#section-2.1>.
pub fn bearer(headers: &HeaderMap) -> Option<Authorization<Bearer>> {
    headers.typed_get()
}
