//! Texts that come from a guest: cut to a bound and freed of what a terminal or a reader could take for something else.

use bulkhead_model::is_deceiving;
pub use bulkhead_model::printable;

/// Cuts a text to at most `max` bytes at a character's end.
pub(crate) fn cut(text: &mut String, max: usize) {
    if text.len() > max {
        let mut end = max;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.shrink_to_fit();
    }
}

/// Cuts a text and puts a space in the place of every character that is not shown as itself.
pub(crate) fn tidy(text: &mut String, max: usize) {
    cut(text, max);
    if text.contains(is_deceiving) {
        *text = printable(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cutting_keeps_characters_whole() {
        let mut text = "aé".to_owned();
        cut(&mut text, 2);
        assert_eq!(text, "a");
    }

    #[test]
    fn what_is_tidied_is_cut_and_freed_of_what_deceives() {
        let mut long = "\x07".repeat(100);
        tidy(&mut long, 10);
        assert_eq!(long, " ".repeat(10));
        let mut turned = "a\u{202e}b\u{200b}".to_owned();
        tidy(&mut turned, 100);
        assert_eq!(turned, "a b ");
    }
}
