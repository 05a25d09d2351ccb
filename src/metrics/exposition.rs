//! The text of a scrape.

use std::fmt;

pub use prometheus_client::encoding::prometheus_text::CONTENT_TYPE;
use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder, NoLabelSet, prometheus_text},
    metrics::{MetricType, info::Info},
    registry::{Metric, Registry},
};

use super::process::Process;

/// The figures of a server, in Prometheus's text format 0.0.4.
///
/// All names begin with `parlor_`, but for those of the process: they have the names that Prometheus's
/// own libraries give them.
#[derive(Debug)]
pub struct Exposition(Registry);

impl Default for Exposition {
    fn default() -> Self {
        let mut exposition = Self(Registry::default());
        exposition.0.register_collector(Box::new(Process));
        let version = ("version", env!("CARGO_PKG_VERSION"));
        exposition.info("build", "Version of the server", version);
        exposition
    }
}

impl Exposition {
    /// Adds a metric. Its name has neither prefix nor the ending `_total`, its help no full stop.
    pub(super) fn add(&mut self, name: &str, help: &str, metric: impl Metric) {
        self.0.register(format!("parlor_{name}"), help, metric);
    }

    /// Adds a figure that goes up and down, read at each scrape.
    pub fn gauge(
        &mut self,
        name: &str,
        help: &str,
        read: impl Fn() -> usize + Send + Sync + 'static,
    ) {
        let read = Box::new(move || i64::try_from(read()).unwrap_or(i64::MAX));
        self.add(name, help, Reading::Gauge(read));
    }

    /// Adds a figure that only grows, read at each scrape.
    pub fn counter(
        &mut self,
        name: &str,
        help: &str,
        read: impl Fn() -> u64 + Send + Sync + 'static,
    ) {
        self.add(name, help, Reading::Counter(Box::new(read)));
    }

    /// Adds a fact, as a label of a series that is always 1. Its name ends with `_info`.
    pub fn info(&mut self, name: &str, help: &str, fact: (&'static str, &'static str)) {
        self.add(name, help, Info::new([fact]));
    }

    /// Returns the present figures.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        prometheus_text::encode(&mut text, &self.0).expect("a String takes every write");
        text
    }
}

/// A figure read at each scrape.
enum Reading {
    Gauge(Box<dyn Fn() -> i64 + Send + Sync>),
    Counter(Box<dyn Fn() -> u64 + Send + Sync>),
}

impl EncodeMetric for Reading {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        match self {
            Self::Gauge(read) => encoder.encode_gauge(&read()),
            Self::Counter(read) => encoder.encode_counter::<NoLabelSet, _, u64>(&read(), None),
        }
    }

    fn metric_type(&self) -> MetricType {
        match self {
            Self::Gauge(_) => MetricType::Gauge,
            Self::Counter(_) => MetricType::Counter,
        }
    }
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reading").field(&self.metric_type()).finish()
    }
}
