//! What was found and what a schema expects, in words.

use super::Walker;
use super::parts::{Part, Parts};
use crate::schema::NAME_PATTERN;
use crate::tree::{Node, Value as Toml};
use serde_json::Value;
use std::fmt::Display;

/// Most characters of a text that are shown.
const SHOWN_MAX_CHARS: usize = 60;

/// Most values of an enumeration that are listed.
const LISTED_MAX: usize = 24;

/// Deepest description of branches inside of branches.
const DEPTH_MAX: u32 = 4;

/// A value in words; of a secret only its type.
pub(super) fn found(node: &Node, secret: bool) -> String {
    match &node.value {
        Toml::Boolean(_) if secret => "true or false".into(),
        Toml::Integer(_) | Toml::Real(_) if secret => "a number".into(),
        Toml::Text(_) | Toml::Moment(_) if secret => "this text".into(),
        Toml::Boolean(value) => format!("{value}"),
        Toml::Integer(number) => format!("{number}"),
        Toml::Real(number) => format!("{number:?}"),
        Toml::Text(text) => quoted(text),
        Toml::Moment(moment) => format!("the time {moment}"),
        Toml::List(_) => "a list".into(),
        Toml::Table(_) => "a table".into(),
    }
}

/// A text in quotes, cut when it is long.
pub(super) fn quoted(text: &str) -> String {
    match text.char_indices().nth(SHOWN_MAX_CHARS) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// `"a"`, or `"a" or "b"`, or `one of "a", "b", "c"`.
pub(crate) fn one_of(values: &[&Value]) -> String {
    let shown: Vec<String> = values.iter().take(LISTED_MAX).map(ToString::to_string).collect();
    let more = if values.len() > LISTED_MAX { ", …" } else { "" };
    match shown.as_slice() {
        [one] => one.clone(),
        [a, b] => format!("{a} or {b}"),
        _ => format!("one of {}{more}", shown.join(", ")),
    }
}

/// `1 to 5`, `at least 1`, `at most 5`.
pub(super) fn bounds<T: Display>(min: Option<T>, max: Option<T>) -> String {
    match (min, max) {
        (Some(min), Some(max)) => format!("{min} to {max}"),
        (Some(min), None) => format!("at least {min}"),
        (None, Some(max)) => format!("at most {max}"),
        (None, None) => "any number of".into(),
    }
}

impl<'s> Walker<'s> {
    /// What a schema expects, in words.
    pub(super) fn expected(&self, parts: &[Part<'s>]) -> String {
        self.describe(parts, DEPTH_MAX)
    }

    fn describe(&self, parts: &[Part<'s>], depth: u32) -> String {
        if let Some(allowed) = self.allowed(parts) {
            return one_of(&allowed);
        }
        let types: Vec<&str> = match parts.iter().find_map(|part| part.get("type")) {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).filter(|one| *one != "null").collect(),
            _ => Vec::new(),
        };
        if types.is_empty()
            && depth > 0
            && let Some(branches) = parts.iter().find_map(|part| self.branches(part))
        {
            return self.describe_branches(&branches, depth - 1);
        }
        let described: Vec<String> = types.iter().map(|one| self.describe_type(one, parts)).collect();
        if described.is_empty() { "a value".into() } else { described.join(" or ") }
    }

    pub(super) fn describe_branches(&self, branches: &[Parts<'s>], depth: u32) -> String {
        let mut described: Vec<String> = Vec::new();
        for branch in branches {
            let text = self.describe(branch, depth);
            if !described.contains(&text) {
                described.push(text);
            }
        }
        described.join(", or ")
    }

    fn describe_type(&self, one: &str, parts: &[Part<'s>]) -> String {
        match one {
            "boolean" => "true or false".into(),
            "integer" => format!("a whole number{}", self.describe_range(parts)),
            "number" => format!("a number{}", self.describe_range(parts)),
            "string" => self.describe_text(parts),
            "array" => "a list".into(),
            "object" => match self.required(parts).as_slice() {
                [] => "a table".into(),
                keys => {
                    format!("a table with {}", keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", "))
                }
            },
            other => other.into(),
        }
    }

    fn describe_range(&self, parts: &[Part<'s>]) -> String {
        let range = self.range(parts);
        let over = range.above.map(|limit| format!(" above {limit}"));
        let under = range.below.map(|limit| format!(" below {limit}"));
        let step = range.step.map(|step| format!(" in steps of {step}"));
        let closed = match (range.min, range.max) {
            (Some(min), Some(max)) => format!(" from {min} to {max}"),
            (None, None) => String::new(),
            (min, max) => format!(" of {}", bounds(min, max)),
        };
        [Some(closed), over, under, step].into_iter().flatten().collect()
    }

    fn describe_text(&self, parts: &[Part<'s>]) -> String {
        let keyword = |key: &str| parts.iter().find_map(|part| part.get(key));
        let pattern = keyword("pattern").and_then(Value::as_str);
        if pattern == Some(NAME_PATTERN) {
            return "a name of 1 to 64 characters of `a-z`, `0-9`, `-` and `_`".into();
        }
        let (min, max) = (keyword("minLength"), keyword("maxLength"));
        let length = match (min, max) {
            (None, None) => String::new(),
            (min, max) => format!(" of {} characters", bounds(min, max)),
        };
        let pattern = pattern.map(|pattern| format!(" that matches `{pattern}`")).unwrap_or_default();
        match keyword("format").and_then(Value::as_str) {
            Some("socket-address") => "an address and a port such as \"127.0.0.1:8470\"".into(),
            Some("uri") => "a URL such as \"https://host/path\"".into(),
            Some("ipv4" | "ipv6" | "ip") => "an IP address".into(),
            Some("date-time") => "a time such as 2026-01-31T12:00:00Z".into(),
            Some(super::FILE_FORMAT) => "the name of a file, relative to the config".into(),
            _ => format!("text{length}{pattern}"),
        }
    }
}
