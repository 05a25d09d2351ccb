//! Counters by the values of a label.

use std::{fmt, sync::Arc};

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder},
    metrics::MetricType,
};

use super::Counter;

/// The counters of one metric, one for each value of its label.
#[derive(Debug, Clone)]
pub struct Counters {
    label: &'static str,
    by_value: Arc<[(&'static str, Counter)]>,
}

impl Counters {
    /// Creates counters for some values.
    pub(super) fn new(label: &'static str, values: impl IntoIterator<Item = &'static str>) -> Self {
        let values = values.into_iter();
        Self {
            label,
            by_value: values.map(|value| (value, Counter::default())).collect(),
        }
    }

    /// Returns the counter of a value, or that of the last one if there is no such value.
    pub fn of(&self, value: &str) -> &Counter {
        let known = self.by_value.iter().find(|(known, _)| *known == value);
        let (_, counter) = known
            .or(self.by_value.last())
            .expect("there is at least one value");
        counter
    }
}

impl EncodeMetric for Counters {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (value, counter) in &*self.by_value {
            counter.encode(encoder.encode_family(&[(self.label, *value)])?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Counter
    }
}
