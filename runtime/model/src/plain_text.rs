//! Texts that others wrote (devices, adapters, upstreams, clients) as parts of a line for people: without what a terminal or the
//! reader of a journal would obey or be deceived by. The one place where it is decided which characters these are.

/// What stands for a character that is not shown as itself.
pub const SCRUBBED: char = ' ';

/// Whether a character is obeyed or deceives: control characters (ESC, CR, LF, NUL and the C1 set among them), line and paragraph
/// separators, marks that turn the direction of writing, and format characters without a shape of their own. The two joiners
/// (U+200C, U+200D) are kept: some languages cannot be written without them.
#[must_use]
pub fn is_deceiving(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// A text on one line: each deceiving character becomes a space.
#[must_use]
pub fn printable(text: &str) -> String {
    scrubbed(text, |_| false)
}

/// A text of several lines, or with tabs: as [`printable`], but line ends (LF) and tabs stay.
#[must_use]
pub fn printable_lines(text: &str) -> String {
    scrubbed(text, |character| matches!(character, '\n' | '\t'))
}

/// As [`printable`], but what `is_kept` says stays.
#[must_use]
pub fn scrubbed(text: &str, is_kept: impl Fn(char) -> bool) -> String {
    let shown = |character| if is_deceiving(character) && !is_kept(character) { SCRUBBED } else { character };
    text.chars().map(shown).collect()
}

/// JSON that is shown as it is: each deceiving character is written as its escape, so that it means the same. Line ends (LF)
/// stay, because JSON has them only between its parts.
#[must_use]
pub fn escaped_json(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        if character == '\n' || !is_deceiving(character) {
            escaped.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            escaped.push_str(&format!("\\u{unit:04x}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_that_pretends_to_be_something_else() {
        assert_eq!(printable("a\nb\x1b[31m\0\r"), "a b [31m  ");
        assert_eq!(printable("\u{202e}gnp.exe\u{2069}\u{2028}\u{9b}2J"), " gnp.exe   2J");
        assert_eq!(printable("pay\u{200b}pal\u{2060}\u{ad}\u{e0041}\u{fff9}"), "pay pal    ");
        assert_eq!(printable_lines("a\tb\nc\rd\u{202e}"), "a\tb\nc d ");
    }

    #[test]
    fn what_languages_need_is_kept() {
        for text in ["Größe 20 °C ‰", "می\u{200c}خواهم", "ক্\u{200d}ষ", "温度", "👩\u{200d}🔧", "שלום"]
        {
            assert_eq!(printable(text), text);
        }
    }

    #[test]
    fn json_means_the_same_when_its_characters_are_escaped() {
        let json = "{\n  \"a\": \"x\u{202e}y\u{7f}\u{e0041}\"\n}";
        assert_eq!(escaped_json(json), "{\n  \"a\": \"x\\u202ey\\u007f\\udb40\\udc41\"\n}");
    }
}
