//! Tokens in HTTP headers.

use headers::{Authorization, HeaderMap, HeaderMapExt, authorization::Bearer};

/// Returns the token in the `Authorization` header of a request:
/// <https://www.rfc-editor.org/rfc/rfc6750#section-2.1>.
pub fn bearer(headers: &HeaderMap) -> Option<Authorization<Bearer>> {
    headers.typed_get()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", header.parse().unwrap());
        bearer(&headers).map(|bearer| bearer.token().to_owned())
    }

    #[test]
    fn the_scheme_is_read_in_any_case_and_with_spaces_behind_it() {
        for header in ["Bearer token", "bearer token", "BEARER  token"] {
            assert_eq!(token(header).as_deref(), Some("token"), "{header}");
        }
        for header in ["Basic token", "token", "Bearer", "Bearertoken"] {
            assert_eq!(token(header), None, "{header}");
        }
    }
}
