//! `$search` (ABNF `searchExpr`): words and phrases, `AND`, `OR`, `NOT`, parentheses.

use crate::expr::ParseError;
use crate::limits::EXPRESSION_MAX_DEPTH;

/// What is searched for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// A word or phrase, in lower case.
    Text(String),
    /// What must not be there.
    Not(Box<Wanted>),
    /// All of these.
    All(Vec<Wanted>),
    /// At least one of these.
    Any(Vec<Wanted>),
}

impl Wanted {
    /// Whether the texts hold what is wanted; they are in lower case.
    #[must_use]
    pub fn is_in(&self, texts: &[String]) -> bool {
        match self {
            Self::Text(wanted) => texts.iter().any(|text| text.contains(wanted)),
            Self::Not(inner) => !inner.is_in(texts),
            Self::All(parts) => parts.iter().all(|part| part.is_in(texts)),
            Self::Any(parts) => parts.iter().any(|part| part.is_in(texts)),
        }
    }
}

/// Whether a text is a search expression.
///
/// # Errors
/// [`ParseError`] at the first byte that does not fit.
pub fn check(text: &str) -> Result<(), ParseError> {
    parse(text).map(drop)
}

/// Reads a search expression.
///
/// # Errors
/// [`ParseError`] at the first byte that does not fit.
pub fn parse(text: &str) -> Result<Wanted, ParseError> {
    let mut search = Search { text, at: 0, depth: 0 };
    let wanted = search.expression()?;
    if search.at < text.len() { Err(search.error("an operator, a word or the end is expected")) } else { Ok(wanted) }
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

    /// Terms beside each other are joined by `AND`, which binds more than `OR`; an operator needs a term on each side, else
    /// it is a word.
    fn expression(&mut self) -> Result<Wanted, ParseError> {
        self.depth += 1;
        if self.depth > EXPRESSION_MAX_DEPTH {
            return Err(self.error("nested too deep"));
        }
        let mut alternatives = Vec::new();
        let mut together = vec![self.term()?];
        loop {
            let before = self.at;
            if !self.spaces() || self.at_end() {
                self.at = before;
                break;
            }
            let mut or = false;
            if self.word_is("AND") || self.word_is("OR") {
                let operator = self.at;
                or = self.word_is("OR");
                self.word()?;
                if !self.spaces() || self.at_end() {
                    // The last word of the expression, not an operator.
                    (self.at, or) = (operator, false);
                }
            }
            if or {
                alternatives.push(Wanted::All(std::mem::take(&mut together)));
            }
            together.push(self.term()?);
        }
        self.depth -= 1;
        alternatives.push(Wanted::All(together));
        Ok(if alternatives.len() == 1 { alternatives.remove(0) } else { Wanted::Any(alternatives) })
    }

    fn at_end(&self) -> bool {
        self.rest().is_empty() || self.rest().starts_with(')')
    }

    fn term(&mut self) -> Result<Wanted, ParseError> {
        if self.word_is("NOT") {
            let before = self.at;
            self.word()?;
            if self.spaces() && !self.at_end() {
                // The word after it is a word, even if it is an operator's.
                let inner = if self.rest().starts_with(['(', '"']) { self.simple()? } else { self.word()? };
                return Ok(Wanted::Not(Box::new(inner)));
            }
            self.at = before;
            return self.word();
        }
        self.simple()
    }

    fn simple(&mut self) -> Result<Wanted, ParseError> {
        if self.rest().starts_with('(') {
            self.at += 1;
            self.spaces();
            let inner = self.expression()?;
            self.spaces();
            if !self.rest().starts_with(')') {
                return Err(self.error("`)` is expected"));
            }
            self.at += 1;
            Ok(inner)
        } else if self.rest().starts_with('"') {
            self.phrase()
        } else {
            self.word()
        }
    }

    /// Text in double quotes, where a backslash takes the next character as it is.
    fn phrase(&mut self) -> Result<Wanted, ParseError> {
        let mut escaped = false;
        let mut phrase = String::new();
        for (offset, c) in self.rest().char_indices().skip(1) {
            match c {
                _ if escaped => {
                    escaped = false;
                    phrase.push(c);
                }
                '\\' => escaped = true,
                '"' if offset == 1 => return Err(self.error("a phrase has at least one character")),
                '"' => {
                    self.at += offset + 1;
                    return Ok(Wanted::Text(phrase.to_lowercase()));
                }
                _ => phrase.push(c),
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

    fn word(&mut self) -> Result<Wanted, ParseError> {
        let length = self.word_length();
        if length == 0 {
            return Err(self.error("a word or a phrase is expected"));
        }
        let word = self.rest()[..length].to_lowercase();
        self.at += length;
        Ok(Wanted::Text(word))
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
    fn what_is_wanted_is_found() {
        let found = |wanted: &str, text: &str| parse(wanted).unwrap().is_in(&[text.to_lowercase()]);
        assert!(found("LAP", "Laptop Pro") && !found("mug", "Laptop Pro"));
        assert!(found("mug OR laptop AND pro", "Laptop Pro") && !found("(mug OR laptop) AND max", "Laptop Pro"));
        assert!(found("laptop pro", "Pro Laptop") && !found("\"laptop pro\"", "Pro Laptop"));
        assert!(found("laptop NOT max", "Laptop Pro") && !found("NOT laptop", "Laptop Pro"));
    }

    #[test]
    fn errors_say_where() {
        for (text, at) in [("", 0), ("\"blue", 5), ("(a", 2), ("a)", 1), ("\"a\"b", 3), ("a;b", 1), ("a ", 1)] {
            assert_eq!(check(text).unwrap_err().at, at, "{text}");
        }
        assert!(check(&"(".repeat(100)).is_err());
    }
}
