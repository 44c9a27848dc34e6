//! Texts that come from a guest: cut to a bound and freed of what a terminal or a reader could take for something else.

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

/// A text on one line: what could move the cursor, end the line, or turn the direction of writing becomes a space.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars().map(|character| if is_deceiving(character) { ' ' } else { character }).collect()
}

/// Control characters (ESC, CR, LF, NUL and the C1 set among them), line and paragraph separators, marks that change the
/// direction of writing, and the byte order mark.
fn is_deceiving(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{feff}')
        || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
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
    fn nothing_is_left_that_pretends_to_be_something_else() {
        assert_eq!(printable("a\nb\x1b[31m\0\r"), "a b [31m  ");
        assert_eq!(printable("\u{202e}gnp.exe\u{2069}\u{2028}\u{9b}2J"), " gnp.exe   2J");
        assert_eq!(printable("Größe 20 °C ‰"), "Größe 20 °C ‰");
        let mut long = "\x07".repeat(100);
        tidy(&mut long, 10);
        assert_eq!(long, " ".repeat(10));
    }
}
