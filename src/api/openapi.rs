//! The OpenAPI document: <https://spec.openapis.org/oas/v3.1.0>.

use axum::{Router, http::header::CONTENT_TYPE, routing::get};
use utoipa::{
    Modify, OpenApi,
    openapi::{
        OpenApi as Document, SecurityRequirement,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use super::answer::ErrorAnswer;
use crate::model::WholeNumber;

/// The name of the security scheme.
const BEARER: &str = "service";

/// The document without its routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Parlor",
        description = "The chat, for the backends of the product around it. Requests, answers and errors are those \
            of the Socket.IO events of the same names."
    ),
    components(schemas(ErrorAnswer, WholeNumber)),
    servers((url = "/api/v1")),
    modifiers(&Bearer)
)]
struct Base;

/// Adds the credentials of services.
struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut Document) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(
                "One of the server's API_KEYS, or a token of the role \"service\".",
            ))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme(BEARER, SecurityScheme::Http(scheme));
        document.security = Some(vec![SecurityRequirement::new(BEARER, Vec::<String>::new())]);
    }
}

/// Returns the document without its routes.
pub fn document() -> Document {
    Base::openapi()
}

/// Returns the route to the document, open to all.
pub fn route<S: Clone + Send + Sync + 'static>(document: Document) -> Router<S> {
    let json = document.to_json().expect("a document is JSON");
    let content_type = [(CONTENT_TYPE, "application/json")];
    Router::new().route("/openapi.json", get(async move || (content_type, json)))
}
