//! The names of a chat's channel and keys.

use uuid::Uuid;

use super::Prefix;
use crate::store::Schema;

/// The names of a chat on a Redis. Their common part is in braces, so that a cluster would keep all
/// keys in one place.
#[derive(Debug, Clone)]
pub(super) struct Names(String);

impl Names {
    pub(super) fn new(prefix: &Prefix, schema: Option<&Schema>) -> Self {
        let schema = schema.map(Schema::as_str).unwrap_or_default();
        Self(format!("{{{prefix}:{schema}}}"))
    }

    /// Returns the channel of the reports.
    pub(super) fn channel(&self) -> String {
        format!("{}:bus", self.0)
    }

    /// Returns the key of the set of listed servers.
    pub(super) fn servers(&self) -> String {
        format!("{}:servers", self.0)
    }

    /// Returns the key of a server's rosters.
    pub(super) fn server(&self, server: Uuid) -> String {
        format!("{}:server:{server}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chat_has_names_of_its_own() {
        let schema = "team a".parse().unwrap();
        let names = Names::new(&Prefix::default(), Some(&schema));
        assert_eq!(names.channel(), "{parlor:team a}:bus");
        let names = Names::new(&"shop".parse().unwrap(), None);
        assert_eq!(names.servers(), "{shop:}:servers");
        let server = "{shop:}:server:00000000-0000-0000-0000-000000000000";
        assert_eq!(names.server(Uuid::nil()), server);
    }
}
