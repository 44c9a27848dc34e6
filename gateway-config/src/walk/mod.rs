//! Walks a TOML tree along a JSON Schema and says everything that does not fit, each with its place.
//!
//! The same walker checks the config against the schema of its own types and an adapter's settings against the schema
//! the adapter carries. It knows the part of JSON Schema (draft 2020-12) that schema generators for typed structs emit:
//! `type`, `enum`, `const`, `properties`, `patternProperties`, `propertyNames`, `required`, `additionalProperties`,
//! `unevaluatedProperties`, `items`, `prefixItems`, `minItems`, `maxItems`, `uniqueItems`, `minimum`, `maximum`,
//! `exclusiveMinimum`, `exclusiveMaximum`, `multipleOf`, `minLength`, `maxLength`, `pattern`, `format`, `oneOf` and
//! `anyOf` (one branch must fit), `allOf` and local `$ref`. Other keywords are ignored: the adapter checks again anyway.
//!
//! An adapter's schema is not trusted: depth and steps are bounded.

mod branch;
mod describe;
mod near;
mod parts;
mod scalar;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use describe::one_of;
pub(crate) use near::did_you_mean;
pub use near::nearest;

use crate::Diagnostic;
use crate::tree::{KeyPath, Node, Value as Toml};
use describe::found;
use parts::{Part, Parts};
use serde_json::Value;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::ops::Range;

/// Most schema nodes visited in one walk: so many, …
const STEPS_BASE: u32 = 100_000;

/// … and so many more for each value of the tree; choosing a transport's kind takes about two hundred, …
const STEPS_PER_VALUE: u32 = 500;

/// … but never more than this, which is a few seconds.
const STEPS_MAX: u32 = 20_000_000;

/// Deepest nesting of branches inside of branches at one value.
const BRANCH_DEPTH_MAX: u32 = 16;

/// The format of a text that names a file; its content is what the adapter gets.
pub(crate) const FILE_FORMAT: &str = "bulkhead-file";

/// What a walk found.
#[derive(Default, Debug)]
pub(crate) struct Outcome {
    /// What does not fit.
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// Where secrets stand, to be covered when the text is shown.
    pub(crate) secrets: Vec<Range<usize>>,
    /// Texts whose format is [`FILE_FORMAT`].
    pub(crate) files: Vec<FileText>,
}

/// A text that names a file.
#[derive(Debug)]
pub(crate) struct FileText {
    /// Where it is in the tree.
    pub(crate) path: KeyPath,
    /// Where it is in the text.
    pub(crate) span: Range<usize>,
    /// The file, relative to the config.
    pub(crate) file: String,
}

impl Outcome {
    pub(crate) fn append(&mut self, mut other: Outcome) {
        self.diagnostics.append(&mut other.diagnostics);
        self.secrets.append(&mut other.secrets);
        self.files.append(&mut other.files);
    }

    fn error(&mut self, span: &Range<usize>, path: &KeyPath, message: impl Into<String>) -> &mut Diagnostic {
        self.diagnostics.push(Diagnostic::error(span, path.clone(), message));
        self.diagnostics.last_mut().expect("one was just pushed")
    }
}

/// Checks a tree against a schema; `path` is where the tree stands in the config.
pub(crate) fn walk(schema: &Value, node: &Node, path: &KeyPath) -> Outcome {
    let mut walker = Walker::new(schema, steps(node));
    let mut out = Outcome::default();
    let parts = walker.parts(schema);
    walker.node(parts, node, path, &mut out);
    if walker.steps_left.get() == 0 {
        out.error(&node.span, path, "the schema branches too often to check this")
            .hint
            .replace("this is a fault of the adapter's settings schema".into());
    }
    out
}

/// How many steps the walk of a tree may take.
fn steps(node: &Node) -> u32 {
    let values = u32::try_from(node.count()).unwrap_or(u32::MAX);
    values.saturating_mul(STEPS_PER_VALUE).saturating_add(STEPS_BASE).min(STEPS_MAX)
}

/// A schema being walked.
struct Walker<'s> {
    root: &'s Value,
    steps_left: Cell<u32>,
    /// How many branches are being tried inside of each other.
    trials: u32,
}

impl<'s> Walker<'s> {
    fn new(root: &'s Value, steps: u32) -> Self {
        Self { root, steps_left: Cell::new(steps), trials: 0 }
    }

    /// Checks one value against the parts of its schema.
    fn node(&mut self, parts: Parts<'s>, node: &Node, path: &KeyPath, out: &mut Outcome) {
        if !self.step() {
            return;
        }
        let secret = is_secret(&parts);
        if secret && !matches!(node.value, Toml::Table(_)) {
            out.secrets.push(node.span.clone());
        }
        let Some(parts) = self.choose(parts, node, path, BRANCH_DEPTH_MAX, out) else { return };
        if !self.fits_type(&parts, node) {
            let expected = self.expected(&parts);
            out.error(&node.span, path, format!("found {}, expected {expected}", found(node, secret)));
            return;
        }
        if let Some(allowed) = self.allowed(&parts)
            && !allowed.contains(&&node.to_json())
        {
            self.not_allowed(&allowed, node, secret, path, out);
            return;
        }
        match &node.value {
            Toml::Integer(_) | Toml::Real(_) => self.number(&parts, node, secret, path, out),
            Toml::Text(text) => self.text(&parts, text, node, secret, path, out),
            Toml::List(items) => self.list(&parts, items, node, path, out),
            Toml::Table(_) => self.table(&parts, node, path, out),
            Toml::Boolean(_) | Toml::Moment(_) => {}
        }
    }

    /// Counts a step; false when there are none left.
    fn step(&self) -> bool {
        self.steps_left.update(|left| left.saturating_sub(1));
        self.steps_left.get() > 0
    }

    fn not_allowed(&self, allowed: &[&Value], node: &Node, secret: bool, path: &KeyPath, out: &mut Outcome) {
        let names: Vec<&str> = allowed.iter().filter_map(|value| value.as_str()).collect();
        let hint = node.text().filter(|_| !secret).and_then(|text| did_you_mean(text, &names));
        let expected = describe::one_of(allowed);
        out.error(&node.span, path, format!("found {}, expected {expected}", found(node, secret))).hint = hint;
    }

    fn list(&mut self, parts: &[Part<'s>], items: &[Node], node: &Node, path: &KeyPath, out: &mut Outcome) {
        let bound = |key: &str| parts.iter().find_map(|part| part.get(key)?.as_u64());
        let count = items.len() as u64;
        let (min, max) = (bound("minItems"), bound("maxItems"));
        if min.is_some_and(|min| count < min) || max.is_some_and(|max| count > max) {
            let expected = describe::bounds(min, max);
            out.error(&node.span, path, format!("found a list of {count}, expected {expected} items"));
        }
        let prefix = parts.iter().find_map(|part| part.get("prefixItems")?.as_array()).map_or(&[][..], Vec::as_slice);
        let rest = parts.iter().find_map(|part| part.get("items"));
        for (index, item) in items.iter().enumerate() {
            if let Some(schema) = prefix.get(index).or(rest) {
                let parts = self.parts(schema);
                self.node(parts, item, &path.index(index), out);
            }
        }
        if parts.iter().any(|part| part.get("uniqueItems") == Some(&Value::Bool(true))) {
            let mut known = BTreeSet::new();
            for (index, item) in items.iter().enumerate() {
                if !known.insert(item.to_json().to_string()) {
                    out.error(&item.span, &path.index(index), "found an item that is there already");
                }
            }
        }
    }
}

/// Whether a schema says that its value must not be shown.
fn is_secret(parts: &[Part<'_>]) -> bool {
    parts.iter().any(|part| {
        part.get("writeOnly") == Some(&Value::Bool(true))
            || part.get("format").is_some_and(|format| format == "password")
    })
}
