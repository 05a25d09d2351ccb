//! The words of a text, the same for all databases.

use std::collections::BTreeSet;

/// The most characters of a word; the rest of a longer one is not searched.
const MAX_CHARS: usize = 64;

/// The words of a text, each once, in lower case: runs of letters and digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words(BTreeSet<String>);

impl Words {
    /// Splits a text into its words.
    pub fn of(text: &str) -> Self {
        let runs = text.split(|c: char| !c.is_alphanumeric());
        let words = runs.filter(|run| !run.is_empty());
        Self(words.map(normalized).collect())
    }

    /// Returns the number of words.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Returns the words with spaces in between.
    pub(super) fn joined(&self) -> String {
        Vec::from_iter(self.iter()).join(" ")
    }
}

fn normalized(run: &str) -> String {
    let cut: String = run.chars().take(MAX_CHARS).collect();
    // Some capital letters become a letter and a mark.
    cut.to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_runs_of_letters_and_digits_in_lower_case() {
        for (text, words) in [
            ("Soup, SOUP & bread!", "bread soup"),
            (
                "https://example.com/a-b?x=3.14",
                "14 3 a b com example https x",
            ),
            ("Größe İstanbul", "größe istanbul"),
            ("日本語 和 한국어", "和 日本語 한국어"),
            ("'; DROP TABLE \"x\" :* & | \\", "drop table x"),
            (" \u{1f600} … ", ""),
        ] {
            assert_eq!(Words::of(text).joined(), words, "{text}");
        }
        let long = "x".repeat(1_000);
        assert_eq!(Words::of(&long).joined().len(), MAX_CHARS);
    }
}
