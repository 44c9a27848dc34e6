//! Types, numbers and texts against the keywords that bound them.

use super::describe::found;
use super::parts::{Part, Parts};
use super::{FILE_FORMAT, FileText, Outcome, Walker};
use crate::tree::{KeyPath, Node, Value as Toml};
use serde_json::{Number, Value};
use std::cmp::Ordering;

/// The bounds of a number; each may be missing.
#[derive(Default)]
pub(super) struct Range {
    pub(super) min: Option<Number>,
    pub(super) max: Option<Number>,
    pub(super) above: Option<Number>,
    pub(super) below: Option<Number>,
    pub(super) step: Option<Number>,
}

impl<'s> Walker<'s> {
    /// Whether a value has one of the types that a schema asks for.
    pub(super) fn fits_type(&self, parts: &[Part<'s>], node: &Node) -> bool {
        let takes_times = parts.iter().any(|part| part.get("format").and_then(Value::as_str).is_some_and(is_of_time));
        let fits = |one: &str| is_of_type(one, node, takes_times);
        parts.iter().all(|part| match part.get("type") {
            Some(Value::String(one)) => fits(one),
            Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).any(fits),
            _ => true,
        })
    }

    /// The bounds of a number: the narrowest of all parts, and those that its `format` implies.
    pub(super) fn range(&self, parts: &[Part<'s>]) -> Range {
        let mut range = Range::default();
        for part in parts {
            let keyword = |key: &str| part.get(key).and_then(Value::as_number).cloned();
            let (low, high) = format_bounds(part.get("format").and_then(Value::as_str));
            for min in [keyword("minimum"), low].into_iter().flatten() {
                if range.min.as_ref().is_none_or(|known| compare(&min, known) == Ordering::Greater) {
                    range.min = Some(min);
                }
            }
            for max in [keyword("maximum"), high].into_iter().flatten() {
                if range.max.as_ref().is_none_or(|known| compare(&max, known) == Ordering::Less) {
                    range.max = Some(max);
                }
            }
            range.above = range.above.or(keyword("exclusiveMinimum"));
            range.below = range.below.or(keyword("exclusiveMaximum"));
            range.step = range.step.or(keyword("multipleOf"));
        }
        range
    }

    pub(super) fn number(&self, parts: &[Part<'s>], node: &Node, secret: bool, path: &KeyPath, out: &mut Outcome) {
        let json = node.to_json();
        let Some(number) = json.as_number() else { return };
        let range = self.range(parts);
        let is = |limit: &Option<Number>, wanted: fn(Ordering) -> bool| {
            limit.as_ref().is_none_or(|limit| wanted(compare(number, limit)))
        };
        let fits = is(&range.min, Ordering::is_ge)
            && is(&range.max, Ordering::is_le)
            && is(&range.above, Ordering::is_gt)
            && is(&range.below, Ordering::is_lt)
            && range.step.as_ref().is_none_or(|step| is_multiple(number, step));
        if !fits {
            let expected = self.expected(parts);
            out.error(&node.span, path, format!("found {}, expected {expected}", found(node, secret)));
        }
    }

    pub(super) fn text(
        &self,
        parts: &[Part<'s>],
        text: &str,
        node: &Node,
        secret: bool,
        path: &KeyPath,
        out: &mut Outcome,
    ) {
        if !self.text_fits(parts, text) {
            let expected = self.expected(parts);
            out.error(&node.span, path, format!("found {}, expected {expected}", found(node, secret)));
        } else if parts.iter().any(|part| part.get("format").is_some_and(|format| format == FILE_FORMAT)) {
            out.files.push(FileText { path: path.clone(), span: node.span.clone(), file: text.to_owned() });
        }
    }

    /// Whether a text has the length, the pattern and the format that a schema asks for. A pattern that is none, or
    /// that this engine does not know, bounds nothing.
    pub(super) fn text_fits(&self, parts: &[Part<'s>], text: &str) -> bool {
        let length = text.chars().count() as u64;
        parts.iter().all(|part| {
            let bound = |key: &str| part.get(key).and_then(Value::as_u64);
            let pattern = part.get("pattern").and_then(Value::as_str).and_then(|it| regex_lite::Regex::new(it).ok());
            bound("minLength").is_none_or(|min| length >= min)
                && bound("maxLength").is_none_or(|max| length <= max)
                && pattern.is_none_or(|pattern| pattern.is_match(text))
                && part.get("format").and_then(Value::as_str).is_none_or(|format| has_format(format, text))
        })
    }

    /// Whether a branch could take this kind of value at all.
    pub(super) fn could_take(&self, branch: &Parts<'s>, node: &Node, depth: u32) -> bool {
        if !self.fits_type(branch, node) {
            return false;
        }
        branch.iter().all(|part| match self.branches(part) {
            Some(inner) if depth > 0 && !inner.is_empty() => {
                inner.iter().any(|inner| self.could_take(inner, node, depth - 1))
            }
            _ => true,
        })
    }
}

/// A time without quotes is a text only where times are asked for: elsewhere no other check would look at it as a text.
fn is_of_type(one: &str, node: &Node, takes_times: bool) -> bool {
    match one {
        "boolean" => matches!(node.value, Toml::Boolean(_)),
        "integer" => matches!(node.value, Toml::Integer(_)),
        "number" => matches!(node.value, Toml::Integer(_) | Toml::Real(_)),
        "string" => matches!(node.value, Toml::Text(_)) || takes_times && matches!(node.value, Toml::Moment(_)),
        "array" => matches!(node.value, Toml::List(_)),
        "object" => matches!(node.value, Toml::Table(_)),
        _ => false,
    }
}

/// Whether texts of a format are times, as TOML knows them too.
fn is_of_time(format: &str) -> bool {
    matches!(format, "date-time" | "date" | "time")
}

/// The bounds of the integer types that schema generators name as formats without writing their bounds out.
fn format_bounds(format: Option<&str>) -> (Option<Number>, Option<Number>) {
    let bounds = |low: i64, high: i64| (Some(low.into()), Some(high.into()));
    match format {
        Some("uint8") => bounds(0, u8::MAX.into()),
        Some("uint16") => bounds(0, u16::MAX.into()),
        Some("uint32") => bounds(0, u32::MAX.into()),
        Some("int8") => bounds(i8::MIN.into(), i8::MAX.into()),
        Some("int16") => bounds(i16::MIN.into(), i16::MAX.into()),
        Some("int32") => bounds(i32::MIN.into(), i32::MAX.into()),
        _ => (None, None),
    }
}

/// Compares two numbers; whole ones exactly.
fn compare(a: &Number, b: &Number) -> Ordering {
    match (a.as_i128(), b.as_i128()) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => a.as_f64().unwrap_or(0.0).total_cmp(&b.as_f64().unwrap_or(0.0)),
    }
}

/// Whether a number is a multiple of a step; of a broken step every number is.
fn is_multiple(number: &Number, step: &Number) -> bool {
    match (number.as_i128(), step.as_i128()) {
        (Some(number), Some(step)) if step > 0 => number % step == 0,
        _ => match (number.as_f64(), step.as_f64()) {
            (Some(number), Some(step)) if step > 0.0 => {
                let quotient = number / step;
                (quotient - quotient.round()).abs() < 1e-9
            }
            _ => true,
        },
    }
}

fn has_format(format: &str, text: &str) -> bool {
    match format {
        "socket-address" => text.parse::<std::net::SocketAddr>().is_ok(),
        "uri" => url::Url::parse(text).is_ok(),
        "ipv4" => text.parse::<std::net::Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<std::net::Ipv6Addr>().is_ok(),
        "ip" => text.parse::<std::net::IpAddr>().is_ok(),
        _ => true,
    }
}
