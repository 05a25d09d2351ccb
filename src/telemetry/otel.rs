//! Export of spans to a collector, by OTLP over HTTP: <https://opentelemetry.io/docs/specs/otlp/#otlphttp>.
//!
//! Its settings are the standard variables `OTEL_…`, read by the library of OpenTelemetry.

use std::{env, fmt, sync::OnceLock, time::Duration};

use async_trait::async_trait;
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{SdkTracer, SdkTracerProvider},
};
use tokio::{runtime::Handle, time::timeout};
use tracing::Subscriber;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::registry::LookupSpan;

/// The variables that name a collector.
const ENDPOINTS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
];
/// The variable that names the service, and its default.
const SERVICE: (&str, &str) = ("OTEL_SERVICE_NAME", "parlor");
/// The time limit of a request to the collector, and that of the last ones together.
const TIME_LIMIT: Duration = Duration::from_secs(5);
/// The most bytes read of an answer.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// The provider, until its end.
static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

/// Returns the layer that exports spans; none without a collector.
///
/// # Errors
///
/// The reason why a variable is unusable.
pub(super) fn layer<S>() -> anyhow::Result<Option<OpenTelemetryLayer<S, SdkTracer>>>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let is_set = |name: &&str| env::var_os(name).is_some_and(|value| !value.is_empty());
    if !ENDPOINTS.iter().any(is_set) {
        return Ok(None);
    }
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Collector::new(Handle::try_current()?))
        .build()?;
    let (variable, name) = SERVICE;
    let mut resource = Resource::builder();
    if !is_set(&variable) {
        resource = resource.with_service_name(name);
    }
    let provider = SdkTracerProvider::builder()
        .with_resource(resource.build())
        .with_batch_exporter(exporter)
        .build();
    let tracer = provider.tracer("parlor");
    PROVIDER.set(provider).ok();
    Ok(Some(OpenTelemetryLayer::new(tracer)))
}

/// Exports what is left, within [`TIME_LIMIT`].
pub(super) async fn stop() {
    let Some(provider) = PROVIDER.get() else {
        return;
    };
    let ending = || provider.shutdown_with_timeout(TIME_LIMIT);
    if let Ok(Err(error)) = tokio::task::spawn_blocking(ending).await {
        tracing::warn!(%error, "spans are lost");
    }
}

/// The connections to the collector. The library exports from a thread of its own, and the requests run
/// on the server's runtime.
struct Collector {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    runtime: Handle,
}

impl Collector {
    fn new(runtime: Handle) -> Self {
        let connector = HttpsConnectorBuilder::new()
            .with_webpki_roots()
            .https_or_http()
            .enable_http1()
            .build();
        Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            runtime,
        }
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Collector")
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let exchange = async move {
            let answer = client.request(request.map(Full::new)).await?;
            let (parts, body) = answer.into_parts();
            let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await?;
            Ok::<_, HttpError>(Response::from_parts(parts, body.to_bytes()))
        };
        // The time limit needs the runtime's clock from the start.
        let exchange = async move { timeout(TIME_LIMIT, exchange).await? };
        self.runtime.spawn(exchange).await?
    }
}
