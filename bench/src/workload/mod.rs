//! The workloads.

mod cluster;
mod fanout;
mod growth;
mod history;
mod idle;
mod joins;
mod mixed;
mod persist;
mod reconnects;

use async_trait::async_trait;

use crate::{
    lab::{Lab, Run, Spent},
    server::Contestant,
};

/// The better direction of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// Larger is better.
    Higher,
    /// Smaller is better.
    Lower,
}

/// A measured value.
#[derive(Debug, Clone)]
pub struct Figure {
    /// Its name, with the unit.
    pub name: String,
    /// The better direction; none for a figure that explains others.
    pub better: Option<Better>,
    /// The value.
    pub value: f64,
}

impl Figure {
    /// Returns a figure for which larger is better.
    pub fn higher(name: impl Into<String>, value: f64) -> Self {
        Self {
            name: name.into(),
            better: Some(Better::Higher),
            value,
        }
    }

    /// Returns a figure for which smaller is better.
    pub fn lower(name: impl Into<String>, value: f64) -> Self {
        Self {
            name: name.into(),
            better: Some(Better::Lower),
            value,
        }
    }

    /// Returns a figure that explains others.
    pub fn beside(name: impl Into<String>, value: f64) -> Self {
        Self {
            name: name.into(),
            better: None,
            value,
        }
    }
}

/// Returns the shares of processor time.
pub fn shares(spent: Spent) -> [Figure; 3] {
    [
        Figure::beside("server, processors in use", spent.server / spent.wall),
        Figure::beside("database, processors in use", spent.database / spent.wall),
        Figure::beside("load, processors in use", spent.load / spent.wall),
    ]
}

/// A job for several servers.
#[async_trait]
pub trait Workload: Send + Sync {
    /// Returns the key on the command line.
    fn key(&self) -> &'static str;

    /// Returns a one-line description.
    fn title(&self, lab: &Lab) -> String;

    /// Returns the participating servers.
    fn contestants(&self) -> &'static [Contestant];

    /// Prepares the first run.
    async fn prepare(&mut self, _lab: &Lab) -> anyhow::Result<()> {
        Ok(())
    }

    /// Returns the number of runs, given the number asked for.
    fn runs(&self, asked: usize) -> usize {
        asked
    }

    /// Measures a freshly started server.
    async fn run(&self, lab: &Lab, run: &mut Run) -> anyhow::Result<Vec<Figure>>;
}

/// Returns all workloads, in the order in which they run.
pub fn all() -> Vec<Box<dyn Workload>> {
    vec![
        Box::new(persist::Persist),
        Box::new(fanout::Fanout {
            key: "fanout-500",
            members: 500,
        }),
        Box::new(fanout::Fanout {
            key: "fanout-5000",
            members: 5_000,
        }),
        Box::new(idle::Idle),
        Box::new(joins::Joins),
        Box::new(reconnects::Reconnects),
        Box::new(mixed::Mixed::default()),
        Box::new(growth::Growth),
        Box::new(history::History),
        Box::new(cluster::Cluster),
    ]
}
