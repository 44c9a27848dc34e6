//! What is wrong with a config, where, and what to do about it; as lines of text and as JSON. The picture with the
//! source text is drawn in [`crate::render`].

use serde::Serialize;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// How much a diagnostic matters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The config is not used.
    Error,
    /// The config is used, but something in it is not as it should be.
    Warning,
}

impl Severity {
    /// Its name, as in the rendered line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// One thing that is wrong with a config.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Diagnostic {
    /// How much it matters.
    pub severity: Severity,
    /// Where in the file, in bytes.
    #[serde(skip)]
    pub span: Range<usize>,
    /// Line, from 1; 0 when the file could not be read at all.
    pub line: usize,
    /// Column, from 1, in characters; 0 when the file could not be read at all.
    pub column: usize,
    /// Where in the config, such as `connections.boiler.poll_interval_ms`; empty for the file as a whole.
    pub key: String,
    /// What is wrong, in a sentence without the key. Never holds a secret.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// An error at a place; line and column are set once the text is known.
    pub(crate) fn error(span: &Range<usize>, key: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            span: span.clone(),
            line: 0,
            column: 0,
            key: key.into(),
            message: message.into(),
            hint: None,
        }
    }

    /// A warning at a place.
    pub(crate) fn warning(span: &Range<usize>, key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(span, key, message) }
    }

    /// With what to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With what to do about it, if that is known.
    pub(crate) fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }
}

/// Key and message, without place and hint.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

/// Everything that is wrong with one config file, in order of place.
///
/// `Display` gives one line each: `gateway.toml:12:5: error: key: message (hint: …)`. [`Diagnostics::pretty`] draws the
/// source text too. As JSON it is `{"file": …, "diagnostics": [{severity, line, column, key, message, hint}]}`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Diagnostics {
    /// The file, as it was named by the caller.
    pub file: String,
    /// What is wrong.
    #[serde(rename = "diagnostics")]
    pub items: Vec<Diagnostic>,
    /// The text with its secrets covered, for the picture.
    #[serde(skip)]
    pub(crate) source: Arc<str>,
}

impl Diagnostics {
    /// Sorts the items by place and sets their lines and columns. `shown` is the text with secrets covered, byte for
    /// byte as long as `text`.
    pub(crate) fn new(file: &str, text: &str, shown: String, mut items: Vec<Diagnostic>) -> Self {
        let lines = LineStarts::new(text);
        for item in &mut items {
            (item.line, item.column) = lines.position(text, item.span.start);
        }
        items.sort_by_key(|item| (item.span.start, item.severity));
        items.dedup();
        Self { file: file.to_owned(), items, source: shown.into() }
    }

    /// For a file that cannot be read.
    pub(crate) fn of_file(file: &str, message: String) -> Self {
        let item = Diagnostic::error(&(0..0), "", message);
        Self { file: file.to_owned(), items: vec![item], source: "".into() }
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// How many errors there are.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.items.iter().filter(|item| item.severity == Severity::Error).count()
    }

    /// One line each, for people and editors: `gateway.toml:12:5: error: key: message (hint: …)`.
    #[must_use]
    pub fn plain(&self) -> String {
        self.items.iter().map(|item| format!("{}\n", self.line(item))).collect()
    }

    fn line(&self, item: &Diagnostic) -> String {
        let place = if item.line == 0 { String::new() } else { format!(":{}:{}", item.line, item.column) };
        let hint = item.hint.as_ref().map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
        format!("{}{place}: {}: {item}{hint}", self.file, item.severity.name())
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, item) in self.items.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&self.line(item))?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

/// Where each line of a text begins.
struct LineStarts(Vec<usize>);

impl LineStarts {
    fn new(text: &str) -> Self {
        Self(std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect())
    }

    /// Line and column of a byte offset, both from 1, the column in characters. An offset inside of a character or
    /// behind the end counts as the nearest boundary before it.
    fn position(&self, text: &str, offset: usize) -> (usize, usize) {
        let offset = text.floor_char_boundary(offset);
        let line = self.0.partition_point(|start| *start <= offset);
        let start = self.0[line - 1];
        (line, text[start..offset].chars().count() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_offsets_are_clamped() {
        let text = "a = 1\nüß = \"x\"\n";
        let lines = LineStarts::new(text);
        assert_eq!(lines.position(text, 0), (1, 1));
        assert_eq!(lines.position(text, text.find('=').expect("present")), (1, 3));
        assert_eq!(lines.position(text, text.rfind('=').expect("present")), (2, 4));
        assert_eq!(lines.position(text, 7), (2, 1), "the middle of ü");
        assert_eq!(lines.position(text, 999), (3, 1));
    }

    #[test]
    fn items_are_sorted_and_shown_one_a_line() {
        let text = "a = 1\nb = 2\n";
        let items = vec![
            Diagnostic::warning(&(6..7), "b", "found something").hint("do that"),
            Diagnostic::error(&(0..1), "a", "found nothing"),
        ];
        let diagnostics = Diagnostics::new("x.toml", text, text.into(), items);
        assert_eq!(
            diagnostics.plain(),
            "x.toml:1:1: error: a: found nothing\nx.toml:2:1: warning: b: found something (hint: do that)\n"
        );
        assert_eq!(diagnostics.to_string(), diagnostics.plain().trim_end());
        assert_eq!(diagnostics.errors(), 1);
        let json = serde_json::to_value(&diagnostics).expect("plain data");
        assert_eq!(json["diagnostics"][1]["hint"], "do that");
        assert_eq!(json["diagnostics"][1]["column"], 1);
    }
}
