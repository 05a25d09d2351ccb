//! A part of a gauge.

use super::Gauge;

/// A part of a gauge, taken back when it is dropped: no way of ending leaves anything behind.
#[derive(Debug, Default)]
pub struct Tally {
    gauge: Gauge,
    count: usize,
}

impl Tally {
    /// Creates a tally of nothing.
    pub fn new(gauge: Gauge) -> Self {
        Self { gauge, count: 0 }
    }

    /// Creates a tally of one.
    pub fn of_one(gauge: Gauge) -> Self {
        let mut tally = Self::new(gauge);
        tally.increment();
        tally
    }

    /// Adds one.
    pub fn increment(&mut self) {
        self.count += 1;
        self.gauge.inc();
    }

    /// Takes one back.
    pub fn decrement(&mut self) {
        self.count -= 1;
        self.gauge.dec();
    }

    /// Returns the count of this part.
    pub fn count(&self) -> usize {
        self.count
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.gauge
            .dec_by(i64::try_from(self.count).unwrap_or(i64::MAX));
    }
}
