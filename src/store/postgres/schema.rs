//! The tables' schema.

use std::str::FromStr;

/// The most bytes of a name in Postgres.
const MAX_NAME_BYTES: usize = 63;

/// The name of the tables' schema, in place of the first one of the database's `search_path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema(String);

impl Schema {
    /// Returns the name, quoted for SQL.
    pub(crate) fn quoted(&self) -> String {
        format!("\"{}\"", self.0.replace('"', "\"\""))
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Schema {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > MAX_NAME_BYTES || text.chars().any(char::is_control) {
            return Err(format!(
                "must be the name of a schema: 1 to {MAX_NAME_BYTES} bytes without control characters"
            ));
        }
        if text.starts_with("pg_") {
            return Err("must not begin with pg_: Postgres reserves such names".into());
        }
        Ok(Self(text.to_owned()))
    }
}
