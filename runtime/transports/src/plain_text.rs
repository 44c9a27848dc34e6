//! Text that others wrote (topics, servers' reasons, system errors) as part of a line for people: one line, bounded,
//! without characters that a terminal or a log reader would obey (`bulkhead_model::is_deceiving`).

use bulkhead_model::{SCRUBBED, is_deceiving};
use std::borrow::Cow;

/// Most characters of a line; longer ones are cut.
const LINE_CHARS_MAX: usize = 1_000;

/// The text as one bounded line without control characters.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    beginning(text, LINE_CHARS_MAX)
}

/// At most the first `max_chars` characters of the text, without control characters; `…` where it was cut.
pub(crate) fn beginning(text: &str, max_chars: usize) -> Cow<'_, str> {
    let cut = text.char_indices().nth(max_chars).map(|(place, _)| place);
    if cut.is_none() && !text.contains(is_deceiving) {
        return Cow::Borrowed(text);
    }
    let kept = cut.map_or(text, |place| &text[..place]);
    let mut line: String = kept.chars().map(|letter| if is_deceiving(letter) { SCRUBBED } else { letter }).collect();
    if cut.is_some() {
        line.push('…');
    }
    Cow::Owned(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_terminal_obeys_is_replaced_and_the_rest_is_kept() {
        assert_eq!(one_line("plant/Öfen °C"), "plant/Öfen °C");
        assert_eq!(one_line("a\r\nERROR b\u{1b}[2J\u{85}\u{202e}c\0"), "a  ERROR b [2J  c ");
        assert_eq!(beginning("abcdef", 3), "abc…");
    }

    proptest! {
        #[test]
        fn any_text_becomes_one_bounded_line(text in "\\PC*|(?s).{0,2000}") {
            let line = one_line(&text);
            prop_assert!(!line.contains(is_deceiving));
            prop_assert!(line.chars().count() <= LINE_CHARS_MAX + 1);
        }
    }
}
