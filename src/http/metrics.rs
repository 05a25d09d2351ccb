//! The figures for Prometheus, on a listener of their own.

use std::sync::Arc;

use axum::{
    Router, extract::State, http::header::CONTENT_TYPE, response::IntoResponse, routing::get,
};

use crate::metrics::{self, Exposition};

/// Returns the one route, `/metrics`.
pub fn metrics_router(exposition: Exposition) -> Router {
    Router::new()
        .route("/metrics", get(scrape))
        .with_state(Arc::new(exposition))
}

async fn scrape(State(exposition): State<Arc<Exposition>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], exposition.encode())
}
