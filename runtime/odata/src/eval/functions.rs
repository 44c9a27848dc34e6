//! The functions. One of a null is null.

use super::Decimal;
use super::compare::{compare, decimal};
use crate::Value;
use crate::limits::PATTERN_MAX_BYTES;
use crate::typed::{Comparison, Function};
use std::cmp::Ordering;
use std::sync::Arc;

/// About how many states a pattern of [`PATTERN_MAX_BYTES`] has.
const PATTERN_MAX_STATES: usize = PATTERN_MAX_BYTES / 32;
const NS_PER_SECOND: i64 = 1_000_000_000;
const NS_PER_DAY: i64 = 86_400 * NS_PER_SECOND;

/// Calls a function with as many arguments as it takes.
pub(crate) fn call(function: Function, arguments: &[Value]) -> Value {
    if arguments.contains(&Value::Null) {
        return Value::Null;
    }
    let found = match arguments {
        [Value::String(a), Value::String(b)] => of_texts(function, a, b),
        [Value::Geo(a), Value::Geo(b)] => match function {
            Function::GeoDistance => a.distance(b).map(Value::Double),
            Function::GeoIntersects => a.intersects(b).map(Value::Boolean),
            _ => None,
        },
        [Value::DateTimeOffset(ns), Value::Duration(width)] if *width > 0 => {
            Some(Value::DateTimeOffset(ns.saturating_sub(ns.rem_euclid(*width))))
        }
        [Value::Geo(shape)] => shape.length().map(Value::Double),
        [Value::String(text)] => of_text(function, text),
        [Value::String(text), rest @ ..] => Some(Value::String(part_of_text(text, rest))),
        [Value::Collection(a), Value::Collection(b)] => of_collections(function, a, b),
        [Value::Collection(items)] => Some(Value::Int(items.len() as i64)),
        [Value::Collection(items), rest @ ..] => {
            let (start, count) = range(rest, items.len());
            Some(Value::Collection(Arc::new(items.iter().skip(start).take(count).cloned().collect())))
        }
        [number @ (Value::Int(_) | Value::Double(_) | Value::Decimal(_))] => of_number(function, number),
        [time] => of_time(function, time),
        _ => None,
    };
    found.unwrap_or(Value::Null)
}

/// A regular expression, unless it is wrong or too large.
pub(crate) fn pattern(text: &str) -> Result<regex_lite::Regex, regex_lite::Error> {
    regex_lite::RegexBuilder::new(text).size_limit(PATTERN_MAX_BYTES).build()
}

/// What a call costs beside its arguments: one that goes through collections the product of them, and a pattern what it is
/// long for each character. One with a repetition counts as the longest there may be.
pub(super) fn steps(function: Function, arguments: &[Value]) -> usize {
    match (function, arguments) {
        (Function::MatchesPattern, [Value::String(text), Value::String(pattern)]) => {
            let states = if pattern.contains('{') { PATTERN_MAX_STATES } else { pattern.len() };
            states.saturating_mul(text.len() + 1)
        }
        (_, [Value::Collection(a), Value::Collection(b)]) => a.len().saturating_mul(b.len()),
        _ => 0,
    }
}

fn of_texts(function: Function, a: &str, b: &str) -> Option<Value> {
    Some(match function {
        Function::Contains => Value::Boolean(a.contains(b)),
        Function::StartsWith => Value::Boolean(a.starts_with(b)),
        Function::EndsWith => Value::Boolean(a.ends_with(b)),
        Function::MatchesPattern => Value::Boolean(pattern(b).ok()?.is_match(a)),
        Function::Concat => Value::String(format!("{a}{b}")),
        Function::IndexOf => Value::Int(a.find(b).map_or(-1, |at| a[..at].chars().count() as i64)),
        _ => return None,
    })
}

fn of_text(function: Function, text: &str) -> Option<Value> {
    Some(match function {
        Function::Length => Value::Int(text.chars().count() as i64),
        Function::ToLower => Value::String(text.to_lowercase()),
        Function::ToUpper => Value::String(text.to_uppercase()),
        Function::Trim => Value::String(text.trim_matches(['\t', '\n', '\u{b}', '\u{c}', '\r', ' ']).to_owned()),
        _ => return None,
    })
}

fn part_of_text(text: &str, rest: &[Value]) -> String {
    let (start, count) = range(rest, text.chars().count());
    text.chars().skip(start).take(count).collect()
}

/// Where `substring` begins and how much it takes; a negative beginning counts from the end (4.01).
fn range(rest: &[Value], length: usize) -> (usize, usize) {
    let number = |value: Option<&Value>| match value {
        Some(Value::Int(number)) => Some(*number),
        _ => None,
    };
    let start = number(rest.first()).unwrap_or(0);
    let start = if start < 0 { start.saturating_add(length as i64) } else { start };
    let count = number(rest.get(1)).unwrap_or(i64::MAX);
    let at_least_0 = |number: i64| usize::try_from(number.max(0)).unwrap_or(usize::MAX);
    (at_least_0(start), at_least_0(count))
}

fn of_collections(function: Function, a: &[Value], b: &[Value]) -> Option<Value> {
    let same = |a: &Value, b: &Value| compare(Comparison::Eq, a, b);
    Some(match function {
        Function::Concat => Value::Collection(Arc::new(a.iter().chain(b).cloned().collect())),
        Function::Contains => Value::Boolean(place_of(a, b, same).is_some()),
        Function::IndexOf => Value::Int(place_of(a, b, same).map_or(-1, |at| at as i64)),
        Function::StartsWith => Value::Boolean(a.len() >= b.len() && alike(&a[..b.len()], b, same)),
        Function::EndsWith => Value::Boolean(a.len() >= b.len() && alike(&a[a.len() - b.len()..], b, same)),
        Function::HasSubset => {
            // An item counts for one that is wanted, and no more.
            let mut left: Vec<&Value> = a.iter().collect();
            let mut take =
                |wanted: &Value| left.iter().position(|item| same(item, wanted)).map(|at| left.swap_remove(at));
            Value::Boolean(b.iter().all(|wanted| take(wanted).is_some()))
        }
        Function::HasSubsequence => {
            let mut items = a.iter();
            Value::Boolean(b.iter().all(|wanted| items.any(|item| same(item, wanted))))
        }
        _ => return None,
    })
}

fn alike(a: &[Value], b: &[Value], same: impl Fn(&Value, &Value) -> bool) -> bool {
    a.iter().zip(b).all(|(a, b)| same(a, b))
}

/// Where the items of one collection stand beside each other in another.
fn place_of(items: &[Value], wanted: &[Value], same: impl Fn(&Value, &Value) -> bool) -> Option<usize> {
    let last = items.len().checked_sub(wanted.len())?;
    (0..=last).find(|at| alike(&items[*at..], wanted, &same))
}

fn of_number(function: Function, number: &Value) -> Option<Value> {
    let direction = match function {
        Function::Floor => Ordering::Less,
        Function::Ceiling => Ordering::Greater,
        Function::Round => Ordering::Equal,
        _ => return None,
    };
    Some(match number {
        Value::Double(number) => Value::Double(match direction {
            Ordering::Less => number.floor(),
            Ordering::Greater => number.ceil(),
            Ordering::Equal => number.round(),
        }),
        Value::Decimal(_) => Value::Decimal(decimal(number)?.rounded(direction).to_string()),
        whole => whole.clone(),
    })
}

fn of_time(function: Function, time: &Value) -> Option<Value> {
    let (days, ns) = match time {
        Value::DateTimeOffset(ns) => (ns.div_euclid(NS_PER_DAY), ns.rem_euclid(NS_PER_DAY)),
        Value::Date(days) => (i64::from(*days), 0),
        Value::TimeOfDay(ns) => (0, *ns),
        Value::Duration(ns) if function == Function::TotalSeconds => return Some(Value::Decimal(seconds(*ns))),
        _ => return None,
    };
    let seconds_of_day = ns / NS_PER_SECOND;
    Some(match function {
        Function::Year | Function::Month | Function::Day => {
            let date = jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().try_days(days).ok()?).ok()?;
            Value::Int(match function {
                Function::Year => date.year().into(),
                Function::Month => date.month().into(),
                _ => date.day().into(),
            })
        }
        Function::Hour => Value::Int(seconds_of_day / 3600),
        Function::Minute => Value::Int(seconds_of_day / 60 % 60),
        Function::Second => Value::Int(seconds_of_day % 60),
        Function::FractionalSeconds => Value::Decimal(seconds(ns % NS_PER_SECOND)),
        Function::Date => Value::Date(i32::try_from(days).ok()?),
        Function::Time => Value::TimeOfDay(ns),
        Function::TotalOffsetMinutes => Value::Int(0),
        _ => return None,
    })
}

/// Nanoseconds as seconds with a fraction.
fn seconds(ns: i64) -> String {
    Decimal::parse(&format!("{ns}e-9")).map_or_else(|| "0".to_owned(), |number| number.to_string())
}
