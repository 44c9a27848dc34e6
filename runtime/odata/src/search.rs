//! The grammar of `$search` (ABNF `searchExpr`): words and phrases, `AND`, `OR`, `NOT`, parentheses. Checked only; the
//! option itself is not evaluated.

use crate::expr::ParseError;
use crate::limits::EXPRESSION_MAX_DEPTH;

/// Whether a text is a search expression.
///
/// # Errors
/// [`ParseError`] at the first byte that does not fit.
pub fn check(text: &str) -> Result<(), ParseError> {
    let mut search = Search { text, at: 0, depth: 0 };
    search.expression()?;
    if search.at < text.len() { Err(search.error("an operator, a word or the end is expected")) } else { Ok(()) }
}

struct Search<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Search<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn error(&self, message: &str) -> ParseError {
        ParseError { at: self.at, message: message.into() }
    }

    /// Takes whitespace; whether there was some.
    fn spaces(&mut self) -> bool {
        let trimmed = self.rest().trim_start_matches([' ', '\t']);
        let found = trimmed.len() < self.rest().len();
        self.at = self.text.len() - trimmed.len();
        found
    }

    /// Terms beside each other are joined by `AND`; an operator needs a term on each side, else it is a word.
    fn expression(&mut self) -> Result<(), ParseError> {
        self.depth += 1;
        if self.depth > EXPRESSION_MAX_DEPTH {
            return Err(self.error("nested too deep"));
        }
        self.term()?;
        loop {
            let before = self.at;
            if !self.spaces() || self.rest().is_empty() || self.rest().starts_with(')') {
                self.at = before;
                break;
            }
            if self.word_is("AND") || self.word_is("OR") {
                let operator = self.at;
                self.word()?;
                if !self.spaces() || self.rest().is_empty() || self.rest().starts_with(')') {
                    // The last word of the expression, not an operator.
                    self.at = operator;
                }
            }
            self.term()?;
        }
        self.depth -= 1;
        Ok(())
    }

    fn term(&mut self) -> Result<(), ParseError> {
        if self.word_is("NOT") {
            let before = self.at;
            self.word()?;
            if !self.spaces() || self.rest().is_empty() || self.rest().starts_with(')') {
                self.at = before;
                return self.word();
            }
        }
        if self.rest().starts_with('(') {
            self.at += 1;
            self.spaces();
            self.expression()?;
            self.spaces();
            if !self.rest().starts_with(')') {
                return Err(self.error("`)` is expected"));
            }
            self.at += 1;
            Ok(())
        } else if self.rest().starts_with('"') {
            self.phrase()
        } else {
            self.word()
        }
    }

    /// Text in double quotes, where a backslash takes the next character as it is.
    fn phrase(&mut self) -> Result<(), ParseError> {
        let mut escaped = false;
        for (offset, c) in self.rest().char_indices().skip(1) {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' if offset == 1 => return Err(self.error("a phrase has at least one character")),
                '"' => {
                    self.at += offset + 1;
                    return Ok(());
                }
                _ => {}
            }
        }
        self.at = self.text.len();
        Err(self.error("the phrase's closing quote \" is missing"))
    }

    fn word_length(&self) -> usize {
        self.rest().find([' ', '\t', '(', ')', '"', ';']).unwrap_or(self.rest().len())
    }

    fn word_is(&self, word: &str) -> bool {
        &self.rest()[..self.word_length()] == word
    }

    fn word(&mut self) -> Result<(), ParseError> {
        let length = self.word_length();
        if length == 0 {
            return Err(self.error("a word or a phrase is expected"));
        }
        self.at += length;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_phrases_and_operators_are_accepted() {
        for text in ["blue", "AND", "NOT NOT", "AND OR NOT", "\"a b\" OR (c AND NOT d)", "08/15", "a b"] {
            assert!(check(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn errors_say_where() {
        for (text, at) in [("", 0), ("\"blue", 5), ("(a", 2), ("a)", 1), ("\"a\"b", 3), ("a;b", 1), ("a ", 1)] {
            assert_eq!(check(text).unwrap_err().at, at, "{text}");
        }
        assert!(check(&"(".repeat(100)).is_err());
    }
}
