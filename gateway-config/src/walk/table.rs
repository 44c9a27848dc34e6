//! Tables: missing keys, unknown keys, names, and the values under known keys.

use super::describe::quoted;
use super::parts::{Part, Parts};
use super::{Outcome, Walker, did_you_mean};
use crate::schema::NAME_PATTERN;
use crate::tree::{Entry, KeyPath, Node, Value as Toml};
use crate::{Diagnostic, Severity};
use serde_json::Value;

/// Most known keys that are listed at an unknown one.
const LISTED_MAX: usize = 16;

/// Steps for describing what a name looks like.
const NAME_STEPS_MAX: u32 = 1000;

/// What holds for keys that a schema does not name.
enum Others<'s> {
    /// They are mistakes.
    Refused,
    /// The schema names keys and says nothing of others: what reads it probably ignores them.
    Ignored,
    /// They are names that the user chooses, and this is the schema of their values.
    Chosen(&'s Value),
    /// Anything goes.
    Free,
}

impl<'s> Walker<'s> {
    pub(super) fn table(&mut self, parts: &[Part<'s>], node: &Node, path: &KeyPath, out: &mut Outcome) {
        self.missing(parts, node, path, out);
        self.count(parts, node, path, out);
        for entry in node.entries() {
            let path = path.key(&entry.key);
            self.name(parts, entry, &path, out);
            let schemas = self.schemas_of(parts, &entry.key);
            if !schemas.is_empty() {
                let parts: Parts<'s> = schemas.into_iter().flat_map(|schema| self.parts(schema)).collect();
                self.node(parts, &entry.node, &path, out);
                continue;
            }
            match self.others(parts) {
                Others::Refused => self.unknown(parts, node, entry, Severity::Error, &path, out),
                Others::Ignored => self.unknown(parts, node, entry, Severity::Warning, &path, out),
                Others::Chosen(schema) => {
                    let parts = self.parts(schema);
                    self.node(parts, &entry.node, &path, out);
                }
                Others::Free => {}
            }
        }
    }

    /// The schemas of a key: by its name, else by patterns.
    fn schemas_of(&self, parts: &[Part<'s>], key: &str) -> Vec<&'s Value> {
        let named = self.property(parts, key);
        if !named.is_empty() {
            return named;
        }
        let patterns = parts.iter().filter_map(|part| part.get("patternProperties")?.as_object()).flatten();
        let fits = |pattern: &str| regex_lite::Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(key));
        patterns.filter(|(pattern, _)| fits(pattern)).map(|(_, schema)| schema).collect()
    }

    fn others(&self, parts: &[Part<'s>]) -> Others<'s> {
        let keywords = ["additionalProperties", "unevaluatedProperties"];
        let said = || parts.iter().flat_map(|part| keywords.iter().filter_map(|keyword| part.get(*keyword)));
        if let Some(schema) = said().find(|schema| schema.is_object()) {
            Others::Chosen(schema)
        } else if said().any(|schema| *schema == Value::Bool(false)) {
            Others::Refused
        } else if said().next().is_none() && parts.iter().any(|part| part.contains_key("properties")) {
            Others::Ignored
        } else {
            Others::Free
        }
    }

    fn missing(&self, parts: &[Part<'s>], node: &Node, path: &KeyPath, out: &mut Outcome) {
        for key in self.required(parts).into_iter().filter(|key| node.get(key).is_none()) {
            let schemas: Parts<'s> =
                self.property(parts, key).into_iter().flat_map(|schema| self.parts(schema)).collect();
            let message = format!("found no key `{key}`, expected {}", self.expected(&schemas));
            let description = schemas.iter().find_map(|part| part.get("description")?.as_str());
            let hint = description.map(first_sentence).filter(|text| text.contains(' '));
            let hint = hint.map(|text| format!("`{key}`: {text}"));
            out.error(&node.span, path, message).hint = hint;
        }
    }

    fn count(&self, parts: &[Part<'s>], node: &Node, path: &KeyPath, out: &mut Outcome) {
        let bound = |key: &str| parts.iter().find_map(|part| part.get(key)?.as_u64());
        let (min, max) = (bound("minProperties"), bound("maxProperties"));
        let count = node.entries().len() as u64;
        if min.is_some_and(|min| count < min) || max.is_some_and(|max| count > max) {
            let expected = super::describe::bounds(min, max);
            out.error(&node.span, path, format!("found a table of {count} keys, expected {expected}"));
        }
    }

    /// A key that the user chose, against `propertyNames`.
    fn name(&self, parts: &[Part<'s>], entry: &Entry, path: &KeyPath, out: &mut Outcome) {
        for schema in parts.iter().filter_map(|part| part.get("propertyNames")) {
            let parts = self.parts(schema);
            if !self.text_fits(&parts, &entry.key) {
                let expected = self.describe_name(&parts);
                let message = format!("found the name {}, expected {expected}", quoted(&entry.key));
                let named = parts.iter().any(|part| part.get("pattern").is_some_and(|pattern| pattern == NAME_PATTERN));
                out.error(&entry.key_span, path, message).hint =
                    valid_name(&entry.key).filter(|_| named).map(|name| format!("for example `{name}`"));
            }
        }
    }

    fn describe_name(&self, parts: &[Part<'s>]) -> String {
        let text = Value::from("string");
        let with_type: serde_json::Map<String, Value> = [("type".to_owned(), text)].into_iter().collect();
        let mut all: Vec<Part<'_>> = parts.to_vec();
        all.push(&with_type);
        Walker::new(self.root, NAME_STEPS_MAX).expected(&all)
    }

    fn unknown(
        &self,
        parts: &[Part<'s>],
        node: &Node,
        entry: &Entry,
        severity: Severity,
        path: &KeyPath,
        out: &mut Outcome,
    ) {
        let known = self.property_names(parts);
        // A key that is there already is not what was meant.
        let absent: Vec<&str> = known.iter().copied().filter(|key| node.get(key).is_none()).collect();
        let listed: Vec<String> = known.iter().take(LISTED_MAX).map(|key| format!("`{key}`")).collect();
        let more = if known.len() > LISTED_MAX { ", …" } else { "" };
        let expected = match listed.as_slice() {
            [] => "no keys here".to_owned(),
            [one] => one.clone(),
            _ => format!("one of {}{more}", listed.join(", ")),
        };
        out.diagnostics.push(
            Diagnostic {
                severity,
                ..Diagnostic::error(
                    &entry.key_span,
                    path.clone(),
                    format!("found a key that is not known here, expected {expected}"),
                )
            }
            .maybe_hint(did_you_mean(&entry.key, &absent)),
        );
        cover(&entry.node, out);
    }
}

/// What is under an unknown key may be a secret whose key is misspelt.
fn cover(node: &Node, out: &mut Outcome) {
    match &node.value {
        Toml::Table(entries) => entries.iter().for_each(|entry| cover(&entry.node, out)),
        Toml::List(items) => items.iter().for_each(|item| cover(item, out)),
        _ => out.secrets.push(node.span.clone()),
    }
}

/// A name made of another so that it is valid.
fn valid_name(name: &str) -> Option<String> {
    let valid = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' { c } else { '-' };
    let made: String = name.to_lowercase().chars().map(valid).take(64).collect();
    let made = made.trim_matches('-').to_owned();
    (!made.is_empty()).then_some(made)
}

fn first_sentence(text: &str) -> &str {
    text.split_once(". ").map_or(text, |(first, _)| first).trim_end_matches('.')
}
