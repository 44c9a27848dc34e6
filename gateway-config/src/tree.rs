//! The config's TOML as a tree that knows where everything stands. Keys keep the order of the file.

use crate::Diagnostic;
use std::fmt;
use std::io::Read as _;
use std::ops::Range;
use std::path::Path;
use toml::de::{DeTable, DeValue};

/// Longest config in bytes.
pub(crate) const TEXT_MAX_BYTES: usize = 4 << 20;

/// A value and where it stands.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Node {
    /// In bytes. For a table of its own, the header; for one made by a dotted key, that part of the key.
    pub(crate) span: Range<usize>,
    pub(crate) value: Value,
}

/// A TOML value.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Value {
    Boolean(bool),
    Integer(i64),
    Real(f64),
    Text(String),
    /// A date, a time or both, as RFC 3339 writes it.
    Moment(String),
    List(Vec<Node>),
    Table(Vec<Entry>),
}

/// A key of a table with its value.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Range<usize>,
    pub(crate) node: Node,
}

impl Node {
    /// The entries of a table; of anything else none.
    pub(crate) fn entries(&self) -> &[Entry] {
        if let Value::Table(entries) = &self.value { entries } else { &[] }
    }

    /// The items of a list; of anything else none.
    pub(crate) fn items(&self) -> &[Node] {
        if let Value::List(items) = &self.value { items } else { &[] }
    }

    /// The entry of a table under a key.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The value under a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.node)
    }

    pub(crate) fn text(&self) -> Option<&str> {
        if let Value::Text(text) = &self.value { Some(text) } else { None }
    }

    pub(crate) fn integer(&self) -> Option<i64> {
        if let Value::Integer(number) = self.value { Some(number) } else { None }
    }

    pub(crate) fn boolean(&self) -> Option<bool> {
        if let Value::Boolean(value) = self.value { Some(value) } else { None }
    }

    /// The text under a key.
    pub(crate) fn text_of(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Node::text)
    }

    /// How many values it is made of, itself included.
    pub(crate) fn count(&self) -> usize {
        let inside = self.items().iter().chain(self.entries().iter().map(|entry| &entry.node));
        1 + inside.map(Node::count).sum::<usize>()
    }

    /// As JSON; dates and times become texts.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Boolean(value) => (*value).into(),
            Value::Integer(number) => (*number).into(),
            Value::Real(number) => (*number).into(),
            Value::Text(text) | Value::Moment(text) => text.as_str().into(),
            Value::List(items) => items.iter().map(Node::to_json).collect(),
            Value::Table(entries) => entries.iter().map(|entry| (entry.key.clone(), entry.node.to_json())).collect(),
        }
    }
}

/// Where a value is in the tree: `connections.boiler.settings.points[3].name`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct KeyPath(Vec<Step>);

/// One step down.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Step {
    Key(String),
    Index(usize),
}

impl KeyPath {
    /// Of keys alone.
    pub(crate) fn of(keys: &[&str]) -> Self {
        Self(keys.iter().map(|key| Step::Key((*key).to_owned())).collect())
    }

    pub(crate) fn key(&self, key: &str) -> Self {
        self.with(Step::Key(key.to_owned()))
    }

    pub(crate) fn index(&self, index: usize) -> Self {
        self.with(Step::Index(index))
    }

    fn with(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    /// The place of this path in the JSON of the same tree.
    pub(crate) fn find_mut<'j>(&self, json: &'j mut serde_json::Value) -> Option<&'j mut serde_json::Value> {
        self.0.iter().try_fold(json, |value, step| match step {
            Step::Key(key) => value.get_mut(key),
            Step::Index(index) => value.get_mut(index),
        })
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bare = |key: &str| {
            !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
        };
        for (index, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(_) if index > 0 => f.write_str(".")?,
                Step::Key(_) | Step::Index(_) => {}
            }
            match step {
                Step::Key(key) if bare(key) => f.write_str(key)?,
                Step::Key(key) => write!(f, "{key:?}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

impl From<KeyPath> for String {
    fn from(path: KeyPath) -> String {
        path.to_string()
    }
}

/// What reading a text as TOML gave.
pub(crate) struct Read {
    /// The tree, as far as it could be read.
    pub(crate) root: Node,
    /// What is wrong.
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// Whether the tree is all that was meant, so that checking it makes sense.
    pub(crate) whole: bool,
}

/// The text of a config file, cut behind [`TEXT_MAX_BYTES`], so that [`read`] sees that it is too long.
pub(crate) fn read_file(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(TEXT_MAX_BYTES as u64 + 1).read_to_string(&mut text)?;
    // It is kept as long as the config runs.
    text.shrink_to_fit();
    Ok(text)
}

/// Reads a text as TOML 1.1. The parser bounds the depth of the tree, so that it can be walked by recursion.
pub(crate) fn read(text: &str) -> Read {
    if let Some(diagnostic) = oversize(text) {
        let root = Node { span: 0..0, value: Value::Table(Vec::new()) };
        return Read { root, diagnostics: vec![diagnostic], whole: false };
    }
    let (table, errors) = DeTable::parse_recoverable(text);
    let whole = errors.iter().all(|error| error.message() == "duplicate key");
    let mut reader = Reader { diagnostics: errors.iter().map(syntax_error).collect() };
    let entries = reader.table(table.into_inner(), &KeyPath::default());
    Read { root: Node { span: 0..0, value: Value::Table(entries) }, diagnostics: reader.diagnostics, whole }
}

/// Why a text is not read at all.
fn oversize(text: &str) -> Option<Diagnostic> {
    (text.len() > TEXT_MAX_BYTES).then(|| {
        let message = format!("found {} bytes, expected at most {TEXT_MAX_BYTES}", text.len());
        Diagnostic::error(&(0..0), "", message)
    })
}

fn syntax_error(error: &toml::de::Error) -> Diagnostic {
    let span = error.span().unwrap_or(0..0);
    match error.message() {
        "duplicate key" => Diagnostic::error(&span, "", "found a key that is there already, expected each key once")
            .hint("merge the two, or give one of them another name"),
        "string values must be quoted, expected literal string" => {
            Diagnostic::error(&span, "", "TOML: found text without quotes, expected `\"…\"`")
        }
        message => Diagnostic::error(&span, "", format!("TOML: {message}")),
    }
}

/// Turns the parser's tree into ours.
struct Reader {
    diagnostics: Vec<Diagnostic>,
}

impl Reader {
    fn table(&mut self, table: DeTable<'_>, path: &KeyPath) -> Vec<Entry> {
        let mut entries: Vec<Entry> = table
            .into_iter()
            .map(|(key, value)| {
                let key_span = key.span();
                let key = key.into_inner().into_owned();
                let path = path.key(&key);
                let span = value.span();
                Entry {
                    node: Node { span: span.clone(), value: self.value(value.into_inner(), &span, &path) },
                    key,
                    key_span,
                }
            })
            .collect();
        entries.sort_by_key(|entry| entry.key_span.start);
        entries
    }

    fn value(&mut self, value: DeValue<'_>, span: &Range<usize>, path: &KeyPath) -> Value {
        match value {
            DeValue::Boolean(value) => Value::Boolean(value),
            DeValue::Integer(number) => {
                let parsed = i64::from_str_radix(number.as_str(), number.radix());
                Value::Integer(parsed.unwrap_or_else(|_| {
                    let message = format!("found {number}, expected a whole number from {} to {}", i64::MIN, i64::MAX);
                    self.diagnostics.push(Diagnostic::error(span, path.clone(), message));
                    0
                }))
            }
            DeValue::Float(number) => match number.as_str().parse::<f64>() {
                Ok(number) if number.is_finite() => Value::Real(number),
                _ => {
                    let message = format!("found {number}, expected a finite number");
                    self.diagnostics.push(Diagnostic::error(span, path.clone(), message));
                    Value::Real(0.0)
                }
            },
            DeValue::String(text) => Value::Text(text.into_owned()),
            DeValue::Datetime(moment) => Value::Moment(moment.to_string()),
            DeValue::Array(items) => Value::List(
                items
                    .into_iter()
                    .enumerate()
                    .map(|(index, item)| {
                        let span = item.span();
                        Node { value: self.value(item.into_inner(), &span, &path.index(index)), span }
                    })
                    .collect(),
            ),
            DeValue::Table(table) => Value::Table(self.table(table, path)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_point_into_the_text() {
        let text = "[connections.boiler]\nname = \"ü\" # x\nlist = [1, { a = 2 }]\n";
        let read = read(text);
        assert!(read.diagnostics.is_empty() && read.whole);
        let boiler = read.root.get("connections").and_then(|node| node.get("boiler")).expect("present");
        assert_eq!(&text[boiler.span.clone()], "[connections.boiler]");
        let name = boiler.entry("name").expect("present");
        assert_eq!((&text[name.key_span.clone()], &text[name.node.span.clone()]), ("name", "\"ü\""));
        let inner = boiler.get("list").expect("present").items()[1].get("a").expect("present");
        assert_eq!(&text[inner.span.clone()], "2");
        assert_eq!(boiler.to_json(), serde_json::json!({ "name": "ü", "list": [1, { "a": 2 }] }));
    }

    #[test]
    fn every_syntax_error_is_reported_and_numbers_that_do_not_fit_are_errors() {
        assert_eq!(read("a = x\nb = [1,\n").diagnostics.len(), 2);
        let numbers = read("a = 99999999999999999999\nb = nan\nc = 0xFF\n");
        assert_eq!(numbers.diagnostics.len(), 2);
        assert_eq!(numbers.root.get("c").and_then(Node::integer), Some(255));
        let twice = read("a = 1\na = 2\n");
        assert!(twice.whole && twice.diagnostics.len() == 1);
    }

    #[test]
    fn depth_and_size_are_bounded() {
        assert!(!read(&format!("{}a = 1\n", "a.".repeat(100_000))).whole);
        assert!(!read(&format!("# {}\n", "x".repeat(TEXT_MAX_BYTES))).whole);
        assert!(!read(&format!("a = {}", "[".repeat(100_000))).whole);
        assert!(!read(&format!("a = {{{}b = 1}}", "c = {".repeat(100_000))).whole);
    }

    #[test]
    fn paths_quote_keys_that_are_not_bare() {
        let path = KeyPath::of(&["a", "b c"]).index(2).key("d");
        assert_eq!(path.to_string(), "a.\"b c\"[2].d");
        let mut json = serde_json::json!({ "a": { "b c": [0, 1, { "d": 7 }] } });
        assert_eq!(path.find_mut(&mut json), Some(&mut serde_json::json!(7)));
    }
}
