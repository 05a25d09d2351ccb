//! What the servers are put to.

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

/// Which of two figures is the better one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// The larger one.
    Higher,
    /// The smaller one.
    Lower,
}

/// Something measured in a run.
#[derive(Debug, Clone)]
pub struct Figure {
    /// What it is, with its unit.
    pub name: String,
    /// Which of two is the better one; none where it only explains.
    pub better: Option<Better>,
    /// How much.
    pub value: f64,
}

impl Figure {
    /// One that is to be large.
    pub fn higher(name: impl Into<String>, value: f64) -> Self {
        Self {
            name: name.into(),
            better: Some(Better::Higher),
            value,
        }
    }

    /// One that is to be small.
    pub fn lower(name: impl Into<String>, value: f64) -> Self {
        Self {
            name: name.into(),
            better: Some(Better::Lower),
            value,
        }
    }

    /// One that explains others.
    pub fn beside(name: impl Into<String>, value: f64) -> Self {
        Self {
            name: name.into(),
            better: None,
            value,
        }
    }
}

/// Whose processor time a measurement took, of all that was there.
pub fn shares(spent: Spent) -> [Figure; 3] {
    [
        Figure::beside("server, processors in use", spent.server / spent.wall),
        Figure::beside("database, processors in use", spent.database / spent.wall),
        Figure::beside("load, processors in use", spent.load / spent.wall),
    ]
}

/// A job that several servers are measured at.
#[async_trait]
pub trait Workload: Send + Sync {
    /// By what it is asked for.
    fn key(&self) -> &'static str;

    /// What is done, in a line.
    fn title(&self, lab: &Lab) -> String;

    /// Who takes part.
    fn contestants(&self) -> &'static [Contestant];

    /// What is to be known before the first run.
    async fn prepare(&mut self, _lab: &Lab) -> anyhow::Result<()> {
        Ok(())
    }

    /// How many runs there are when so many are asked for.
    fn runs(&self, asked: usize) -> usize {
        asked
    }

    /// Puts a server that has just been started to it.
    async fn run(&self, lab: &Lab, run: &Run) -> anyhow::Result<Vec<Figure>>;
}

/// All of them, in the order in which they are run.
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
    ]
}
