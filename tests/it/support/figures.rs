//! Scrapes of a server's figures, read by the rules of Prometheus's text format.

use std::{collections::BTreeMap, net::SocketAddr};

use super::{eventually, within_deadline};

/// The flag for figures on a free port.
pub const SCRAPED: &str = "--metrics-addr=127.0.0.1:0";

/// The figures of one scrape, by series: a name with its labels, as the text has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    /// The whole text.
    pub text: String,
    series: BTreeMap<String, f64>,
}

impl Figures {
    /// Scrapes a server.
    pub async fn scrape(address: SocketAddr) -> Self {
        let url = format!("http://{address}/metrics");
        let answer = within_deadline("figures", reqwest::get(url)).await.unwrap();
        assert_eq!(answer.status(), 200);
        Self::from(answer.text().await.unwrap())
    }

    /// Returns a series' value.
    pub fn get(&self, series: &str) -> f64 {
        let value = self.series.get(series);
        *value.unwrap_or_else(|| panic!("no {series} in\n{}", self.text))
    }

    /// Returns the names of all series, with their labels.
    pub fn series(&self) -> impl Iterator<Item = &str> {
        self.series.keys().map(String::as_str)
    }

    /// Returns the names of all series, without labels.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.series()
            .map(|series| series.split('{').next().unwrap())
    }
}

impl From<String> for Figures {
    fn from(text: String) -> Self {
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let samples = samples.map(|line| {
            let (series, value) = line.rsplit_once(' ').expect("a series and its value");
            let value = value.parse().unwrap_or_else(|_| panic!("{line}"));
            (series.to_owned(), value)
        });
        let series: BTreeMap<_, _> = samples.collect();
        Self { text, series }
    }
}

/// The growth of figures since a scrape.
pub struct Since {
    address: SocketAddr,
    before: Figures,
}

impl Since {
    /// Scrapes a server for the first time.
    pub async fn now(address: SocketAddr) -> Self {
        let before = Figures::scrape(address).await;
        Self { address, before }
    }

    /// Returns the growth of a series by now.
    pub async fn grown(&self, series: &str) -> f64 {
        Figures::scrape(self.address).await.get(series) - self.before.get(series)
    }

    /// Waits until series have grown by so much, and not more.
    pub async fn until(&self, grown: &[(&str, f64)]) {
        for (series, more) in grown {
            let what = format!("{series} to grow by {more}");
            eventually(&what, async || self.grown(series).await >= *more).await;
            assert_eq!(self.grown(series).await, *more, "{series}");
        }
    }
}
