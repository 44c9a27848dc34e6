//! What can be wrong with one value of a payload: the status its reading gets, and a sentence that says where, what was
//! expected and what came.

use crate::Scalar;
use bulkhead_sdk::{Fault, Status};

/// Most characters of a payload's text that a message repeats.
const SHOWN_CHARS_MAX: usize = 60;

/// Why a value, or a whole payload, gave no reading with a value.
#[derive(Clone, PartialEq, Debug)]
pub struct Problem {
    /// The status of the readings it concerns; always Bad.
    pub status: Status,
    /// A short name for programs.
    pub code: &'static str,
    /// The path in the payload; empty for the payload as a whole.
    pub path: String,
    /// What was expected, with an article.
    pub expected: String,
    /// What came instead.
    pub found: String,
}

impl Problem {
    pub(crate) fn new(status: Status, code: &'static str, expected: &str, found: &Scalar<'_>) -> Problem {
        Problem { status, code, path: String::new(), expected: expected.to_owned(), found: found.shown() }
    }

    /// A value of another type than the point's.
    pub(crate) fn mismatch(expected: &str, found: &Scalar<'_>) -> Problem {
        Problem::new(Status::BAD_TYPE_MISMATCH, "type-mismatch", expected, found)
    }

    /// Nothing at the path.
    pub(crate) fn missing(path: &str, expected: &str) -> Problem {
        Problem {
            status: Status::BAD_NO_DATA,
            code: "missing-path",
            path: path.to_owned(),
            expected: expected.to_owned(),
            found: "nothing".to_owned(),
        }
    }

    /// The payload is not JSON.
    pub(crate) fn not_json(error: &serde_json::Error) -> Problem {
        Problem {
            status: Status::BAD_DECODING_ERROR,
            code: "not-json",
            path: String::new(),
            expected: "JSON".to_owned(),
            found: error.to_string(),
        }
    }

    pub(crate) fn at(mut self, path: &str) -> Problem {
        path.clone_into(&mut self.path);
        self
    }

    /// It as the fault that is reported, with where the payload came from: `topic plant/1/telemetry`.
    #[must_use]
    pub fn fault(&self, origin: impl std::fmt::Display) -> Fault {
        Fault::reject(self.code, format!("{origin}: {self}"))
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.path.is_empty() {
            write!(f, "at `{}` ", self.path)?;
        }
        write!(f, "expected {}, found {}", self.expected, self.found)
    }
}

impl Scalar<'_> {
    /// It in a message: its type, and its text cut to a bound.
    fn shown(&self) -> String {
        match self {
            Scalar::Null => "null".into(),
            Scalar::Boolean(value) => value.to_string(),
            Scalar::Integer(value) => value.to_string(),
            Scalar::Real(value) => value.to_string(),
            Scalar::Digits(text) => cut(text),
            Scalar::Text(text) => format!("the text `{}`", cut(text)),
            Scalar::Array => "an array".into(),
            Scalar::Object => "an object".into(),
        }
    }
}

/// The beginning of a text, its control characters replaced.
fn cut(text: &str) -> String {
    let mut shown: String =
        text.chars().take(SHOWN_CHARS_MAX).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if shown.len() < text.len() && text.chars().nth(SHOWN_CHARS_MAX).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_says_where_what_and_what_came_within_bounds() {
        let problem = Problem::mismatch("a number", &Scalar::Text(&"x\n".repeat(500))).at("motor.temp");
        let fault = problem.fault("topic plant/1");
        assert!(
            fault.message.starts_with("topic plant/1: at `motor.temp` expected a number, found the text `x\u{fffd}x")
        );
        assert!(fault.message.chars().count() < 150 && fault.message.contains('…'));
        assert_eq!(fault.code, "type-mismatch");
    }
}
