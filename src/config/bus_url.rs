//! The choice of a bus.

use std::str::FromStr;

/// A value of `BUS_URL`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BusUrl {
    /// No bus: the server is the only one.
    None,
}

impl FromStr for BusUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "none" => Ok(Self::None),
            _ => Err("must be `none`, or unset for notifications of the Postgres in DATABASE_URL"),
        }
    }
}
