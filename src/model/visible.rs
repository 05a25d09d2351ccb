//! Visible and invisible characters. An invisible one can make two different names look the same.
//!
//! The properties are Unicode's: <https://www.unicode.org/reports/tr44/#Property_Index>. The
//! joiners are allowed as in <https://www.rfc-editor.org/rfc/rfc5892#appendix-A.1>, and in emoji:
//! <https://www.unicode.org/reports/tr51/#def_emoji_zwj_sequence>.

use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{
        BinaryProperty, CanonicalCombiningClass, DefaultIgnorableCodePoint, Emoji, EmojiModifier,
        ExtendedPictographic, JoiningType,
    },
};

/// Keeps two letters apart, for instance in Persian, instead of writing them joined.
const NON_JOINER: char = '\u{200C}';
/// Joins several emoji to one, and letters in India's scripts.
const JOINER: char = '\u{200D}';
/// Selects the emoji instead of the plain sign.
const EMOJI_STYLE: char = '\u{FE0F}';
/// Turns a digit into a keycap.
const KEYCAP: char = '\u{20E3}';
/// The emoji before the tags of a region.
const FLAG: char = '\u{1F3F4}';
const LAST_TAG: char = '\u{E007F}';
const IDEOGRAPHIC_SPACE: char = '\u{3000}';

/// Returns true when nothing of a text can be seen.
pub(super) fn is_blank(text: &str) -> bool {
    text.chars().all(|c| c.is_whitespace() || is_empty(c))
}

/// Returns true for the spaces allowed in names.
pub(super) fn is_space(c: char) -> bool {
    matches!(c, ' ' | IDEOGRAPHIC_SPACE)
}

/// Returns the first invisible character that makes a text look like another one.
pub(super) fn disguise(text: &str) -> Option<char> {
    if text.is_ascii() {
        return None;
    }
    let chars: Vec<char> = text.chars().collect();
    let at = (0..chars.len())
        .find(|&at| is_hidden(chars[at]) && !belongs(&chars[..at], chars[at], &chars[at + 1..]))?;
    Some(chars[at])
}

fn has<P: BinaryProperty>(c: char) -> bool {
    CodePointSetData::new::<P>().contains(c)
}

/// Returns true for a character that draws nothing, other than white space.
fn is_empty(c: char) -> bool {
    // An empty pattern of braille, an empty note, empty hieroglyphs, and marks of annotations.
    matches!(
        c,
        '\u{2800}' | '\u{1D159}' | '\u{13441}' | '\u{13442}' | '\u{FFF9}'..='\u{FFFB}'
    ) || has::<DefaultIgnorableCodePoint>(c)
}

fn is_hidden(c: char) -> bool {
    is_empty(c) || c.is_whitespace() && !is_space(c)
}

/// Returns true when a hidden character has an effect between its neighbours.
fn belongs(before: &[char], c: char, after: &[char]) -> bool {
    match c {
        NON_JOINER => follows_virama(before) || divides(before, after),
        JOINER => follows_virama(before) || joins_emoji(before, after),
        EMOJI_STYLE => follows_emoji(before, after),
        '\u{E0020}'..=LAST_TAG => names_region(before, c, after),
        _ => false,
    }
}

fn follows_virama(before: &[char]) -> bool {
    let class = CodePointMapData::<CanonicalCombiningClass>::new();
    before
        .last()
        .is_some_and(|c| class.get(*c) == CanonicalCombiningClass::Virama)
}

/// Returns true between letters that would join without the character.
fn divides(before: &[char], after: &[char]) -> bool {
    let kinds = CodePointMapData::<JoiningType>::new();
    let kind = |c: &char| Some(kinds.get(*c)).filter(|kind| *kind != JoiningType::Transparent);
    let (left, right) = (
        before.iter().rev().find_map(kind),
        after.iter().find_map(kind),
    );
    matches!(
        left,
        Some(JoiningType::LeftJoining | JoiningType::DualJoining)
    ) && matches!(
        right,
        Some(JoiningType::RightJoining | JoiningType::DualJoining)
    )
}

fn joins_emoji(before: &[char], after: &[char]) -> bool {
    let base = before
        .iter()
        .rev()
        .find(|&&c| c != EMOJI_STYLE && !has::<EmojiModifier>(c));
    [base, after.first()]
        .into_iter()
        .all(|c| c.is_some_and(|c| has::<ExtendedPictographic>(*c)))
}

fn follows_emoji(before: &[char], after: &[char]) -> bool {
    match before.last() {
        Some('0'..='9' | '#' | '*') => after.first() == Some(&KEYCAP),
        Some(c) => has::<Emoji>(*c),
        None => false,
    }
}

/// Returns true for a tag between the flag and the last tag, as in the flag of Wales.
fn names_region(before: &[char], c: char, after: &[char]) -> bool {
    let is_tag = |c: &char| ('\u{E0020}'..=LAST_TAG).contains(c);
    let flag = before.iter().rev().find(|c| !is_tag(c));
    let last = after
        .iter()
        .take_while(|c| is_tag(c))
        .last()
        .copied()
        .unwrap_or(c);
    let ended = before.last() == Some(&LAST_TAG);
    flag == Some(&FLAG)
        && last == LAST_TAG
        && !ended
        && (c != LAST_TAG || before.last() != Some(&FLAG))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_needed_by_emoji_and_scripts_are_no_disguise() {
        for name in [
            "ann",
            "müller",
            "山田\u{3000}太郎",
            "می\u{200C}خواهم",
            "क\u{94D}\u{200D}ष",
            "ශ\u{DCA}\u{200D}රී",
            "👩\u{200D}💻",
            "👩🏽\u{200D}🚀",
            "👁\u{FE0F}\u{200D}🗨\u{FE0F}",
            "🏳\u{FE0F}\u{200D}🌈",
            "❤\u{FE0F}",
            "1\u{FE0F}\u{20E3}",
            "🏴\u{E0067}\u{E0062}\u{E0077}\u{E006C}\u{E0073}\u{E007F}",
            "🇩🇪",
            "e\u{301}",
        ] {
            assert_eq!(disguise(name), None, "{name}");
        }
    }

    #[test]
    fn hidden_characters_in_names_are_a_disguise() {
        for c in [
            '\u{200B}',
            '\u{200C}',
            '\u{200D}',
            '\u{200E}',
            '\u{202E}',
            '\u{2060}',
            '\u{2066}',
            '\u{61C}',
            '\u{FEFF}',
            '\u{AD}',
            '\u{34F}',
            '\u{3164}',
            '\u{FFA0}',
            '\u{115F}',
            '\u{17B4}',
            '\u{180B}',
            '\u{2800}',
            '\u{FE00}',
            '\u{FE0F}',
            '\u{E0041}',
            '\u{E0100}',
            '\u{A0}',
            '\u{2003}',
            '\u{2028}',
            '\u{FFF9}',
            '\u{1D159}',
        ] {
            for name in [
                format!("a{c}b"),
                format!("{c}ab"),
                format!("ab{c}"),
                format!("山{c}"),
                format!("{c}"),
            ] {
                assert_eq!(disguise(&name), Some(c), "{name:?}");
                assert!(is_blank(&c.to_string()), "{c:?}");
            }
        }
        for name in [
            "🦀\u{200D}",
            "\u{200D}🦀",
            "🦀\u{200D}a",
            "🏴\u{E007F}",
            "🏴\u{E0067}",
            "🏴\u{E0067}\u{E007F}\u{E007F}",
            "7\u{FE0F}",
        ] {
            assert!(disguise(name).is_some(), "{name:?}");
        }
    }
}
