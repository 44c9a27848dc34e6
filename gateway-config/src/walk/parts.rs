//! A schema taken apart: itself, what it refers to and what it combines by `allOf` are one list of parts that all hold.

use super::Walker;
use serde_json::{Map, Value};

/// Most parts of one schema; a schema that refers to itself without end stops here.
const PARTS_MAX: usize = 64;

/// Deepest nesting of branches that list values.
const LITERAL_DEPTH_MAX: u32 = 8;

/// One part: the keywords of one schema object.
pub(super) type Part<'s> = &'s Map<String, Value>;

/// All parts of a schema.
pub(super) type Parts<'s> = Vec<Part<'s>>;

impl<'s> Walker<'s> {
    /// The parts of a schema. `true` and references to elsewhere have none: anything fits.
    pub(super) fn parts(&self, schema: &'s Value) -> Parts<'s> {
        let mut parts = Parts::new();
        self.collect(schema, &mut parts);
        parts
    }

    fn collect(&self, schema: &'s Value, parts: &mut Parts<'s>) {
        let Some(part) = schema.as_object() else { return };
        if !self.step() || parts.len() >= PARTS_MAX || parts.iter().any(|known| std::ptr::eq(*known, part)) {
            return;
        }
        parts.push(part);
        if let Some(target) = part.get("$ref").and_then(Value::as_str).and_then(|pointer| self.resolve(pointer)) {
            self.collect(target, parts);
        }
        for schema in part.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            self.collect(schema, parts);
        }
    }

    fn resolve(&self, pointer: &str) -> Option<&'s Value> {
        self.root.pointer(pointer.strip_prefix('#')?)
    }

    /// The branches of a part's `oneOf` or `anyOf`, without those that take only null, which TOML does not have.
    pub(super) fn branches(&self, part: Part<'s>) -> Option<Vec<Parts<'s>>> {
        let branches = part.get("oneOf").or_else(|| part.get("anyOf"))?.as_array()?;
        let parts = branches.iter().map(|branch| self.parts(branch));
        Some(parts.filter(|parts| !parts.iter().any(|part| part.get("type").is_some_and(|t| t == "null"))).collect())
    }

    /// The values a schema allows, where it lists them.
    pub(super) fn allowed(&self, parts: &[Part<'s>]) -> Option<Vec<&'s Value>> {
        self.allowed_within(parts, LITERAL_DEPTH_MAX)
    }

    fn allowed_within(&self, parts: &[Part<'s>], depth: u32) -> Option<Vec<&'s Value>> {
        let depth = depth.checked_sub(1)?;
        parts.iter().find_map(|part| {
            let listed = match (part.get("const"), part.get("enum").and_then(Value::as_array)) {
                (Some(value), _) => Some(vec![value]),
                (None, Some(values)) => Some(values.iter().filter(|value| !value.is_null()).collect()),
                (None, None) => None,
            };
            listed.or_else(|| self.literals_within(&self.branches(part)?, depth))
        })
    }

    /// The values of branches that each list theirs.
    pub(super) fn literals(&self, branches: &[Parts<'s>]) -> Option<Vec<&'s Value>> {
        self.literals_within(branches, LITERAL_DEPTH_MAX)
    }

    fn literals_within(&self, branches: &[Parts<'s>], depth: u32) -> Option<Vec<&'s Value>> {
        let listed = |branch: &Parts<'s>| {
            branch
                .iter()
                .any(|part| part.contains_key("const") || part.contains_key("enum"))
                .then(|| self.allowed_within(branch, depth))?
        };
        let values: Option<Vec<Vec<&Value>>> = branches.iter().map(listed).collect();
        values.filter(|values| !values.is_empty()).map(|values| values.concat())
    }

    /// The schemas of one property, from all parts that name it.
    pub(super) fn property(&self, parts: &[Part<'s>], key: &str) -> Vec<&'s Value> {
        let named = |part: &Part<'s>| part.get("properties")?.as_object()?.get(key);
        parts.iter().filter_map(named).collect()
    }

    /// The names of all properties, in order, each once.
    pub(super) fn property_names(&self, parts: &[Part<'s>]) -> Vec<&'s str> {
        let properties = parts.iter().filter_map(|part| part.get("properties")?.as_object());
        let mut names: Vec<&str> = properties.flat_map(|properties| properties.keys().map(String::as_str)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The keys that must be there.
    pub(super) fn required(&self, parts: &[Part<'s>]) -> Vec<&'s str> {
        let lists = parts.iter().filter_map(|part| part.get("required")?.as_array());
        let mut keys: Vec<&str> = lists.flatten().filter_map(Value::as_str).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}
