//! The wanted paths as a tree, and the walk that takes what they name out of a payload while it is parsed: no tree of the
//! payload is built, and what nobody asked for is only checked to be JSON.

use crate::Scalar;
use crate::path::{Path, Step};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::fmt;

/// Up to so many names of an object are compared one after another, above that looked up.
const COMPARED_NAMES_MAX: usize = 12;

/// What is wanted at a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Goal {
    /// The value of the point with this index; `exact`: its digits count.
    Point { index: usize, exact: bool },
    /// The time.
    Time,
    /// The array whose elements are read.
    Each,
    /// The name of an element.
    Name,
    /// The value of an element.
    Value,
}

impl Goal {
    /// Whether it needs the text of the value, not only a scalar.
    fn needs_text(self) -> bool {
        matches!(self, Goal::Point { exact: true, .. } | Goal::Each | Goal::Value)
    }
}

/// A place on the way to what is wanted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    goals: Vec<Goal>,
    fields: Vec<(Box<[u8]>, Node)>,
    by_name: HashMap<Vec<u8>, usize>,
    items: Vec<(usize, Node)>,
}

impl Node {
    /// Adds a goal at a path.
    pub(crate) fn add(&mut self, path: &Path, goal: Goal) {
        let mut node = self;
        for step in &path.0 {
            node = match step {
                Step::Field(name) => node.field(name),
                Step::Item(item) => node.item(*item),
            };
        }
        node.goals.push(goal);
    }

    fn field(&mut self, name: &str) -> &mut Node {
        let index = match self.fields.iter().position(|(known, _)| **known == *name.as_bytes()) {
            Some(index) => index,
            None => {
                self.by_name.insert(name.into(), self.fields.len());
                self.fields.push((name.as_bytes().into(), Node::default()));
                self.fields.len() - 1
            }
        };
        &mut self.fields[index].1
    }

    fn item(&mut self, item: usize) -> &mut Node {
        let index = match self.items.iter().position(|(known, _)| *known == item) {
            Some(index) => index,
            None => {
                self.items.push((item, Node::default()));
                self.items.len() - 1
            }
        };
        &mut self.items[index].1
    }

    /// Whether nothing in it needs a value's text, and no place both is wanted and has wanted places in it.
    pub(crate) fn is_plain(&self) -> bool {
        let is_plain = match self.goals.as_slice() {
            [] => true,
            [goal] => !goal.needs_text() && !self.has_children(),
            _ => false,
        };
        let below = self.fields.iter().map(|(_, node)| node).chain(self.items.iter().map(|(_, node)| node));
        is_plain && below.into_iter().all(Node::is_plain)
    }

    /// What is wanted here, in a plain tree.
    #[inline]
    pub(crate) fn only_goal(&self) -> Option<Goal> {
        self.goals.first().copied()
    }

    /// The place of a field, by what [`Node::find`] gave.
    #[inline]
    pub(crate) fn field_at(&self, index: usize) -> &Node {
        &self.fields[index].1
    }

    /// The place of an element of an array.
    #[inline]
    pub(crate) fn item_at(&self, index: usize) -> Option<&Node> {
        self.items.iter().find(|(item, _)| *item == index).map(|(_, node)| node)
    }

    fn has_children(&self) -> bool {
        !self.fields.is_empty() || !self.items.is_empty()
    }

    /// The index of a name; `next` is tried first, because payloads repeat their order.
    fn find(&self, name: &[u8], next: usize) -> Option<usize> {
        match self.fields.get(next) {
            Some((known, _)) if **known == *name => Some(next),
            _ => self.look_up(name),
        }
    }

    /// The index of a name.
    pub(crate) fn look_up(&self, name: &[u8]) -> Option<usize> {
        if self.fields.len() <= COMPARED_NAMES_MAX {
            return self.fields.iter().position(|(known, _)| **known == *name);
        }
        self.by_name.get(name).copied()
    }
}

/// Who takes what the walk finds.
pub(crate) trait Receive<'de> {
    /// A goal's place holds this.
    fn scalar(&mut self, goal: Goal, scalar: &Scalar<'_>);
    /// The place of a goal that needs text holds this.
    fn text(&mut self, goal: Goal, json: &'de RawValue);
}

/// Walks a whole payload.
///
/// # Errors
/// It is not JSON; what was received before the error stands.
pub(crate) fn walk<'de>(json: &'de [u8], root: &Node, to: &mut impl Receive<'de>) -> Result<(), serde_json::Error> {
    // Looked at as a whole it is looked at once, and not string by string. What is not UTF-8 may still be in places that
    // nobody asked for.
    match std::str::from_utf8(json) {
        Ok(text) => walk_with(serde_json::Deserializer::from_str(text), root, to),
        Err(_) => walk_with(serde_json::Deserializer::from_slice(json), root, to),
    }
}

fn walk_with<'de, S: serde_json::de::Read<'de>>(
    mut parser: serde_json::Deserializer<S>,
    root: &Node,
    to: &mut impl Receive<'de>,
) -> Result<(), serde_json::Error> {
    Place { node: root, to }.deserialize(&mut parser)?;
    parser.end()
}

/// Walks one JSON value that has been checked already.
pub(crate) fn walk_checked<'de>(
    json: &'de RawValue,
    node: &Node,
    to: &mut impl Receive<'de>,
) -> Result<(), serde_json::Error> {
    let mut parser = serde_json::Deserializer::from_str(json.get());
    Place { node, to }.deserialize(&mut parser)
}

/// The scalar a checked JSON text is, given to `take`. Numbers keep their digits.
pub(crate) fn with_scalar<T>(json: &RawValue, take: impl FnOnce(&Scalar<'_>) -> T) -> T {
    let text = json.get();
    match text.as_bytes().first() {
        Some(b'-' | b'0'..=b'9') => take(&Scalar::Digits(text)),
        Some(b'"') => match serde_json::from_str::<std::borrow::Cow<'_, str>>(text) {
            Ok(text) => take(&Scalar::Text(&text)),
            Err(_) => take(&Scalar::Null),
        },
        Some(b't') => take(&Scalar::Boolean(true)),
        Some(b'f') => take(&Scalar::Boolean(false)),
        Some(b'[') => take(&Scalar::Array),
        Some(b'{') => take(&Scalar::Object),
        _ => take(&Scalar::Null),
    }
}

struct Place<'n, 'r, R> {
    node: &'n Node,
    to: &'r mut R,
}

impl<'de, R: Receive<'de>> DeserializeSeed<'de> for Place<'_, '_, R> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<(), D::Error> {
        match (self.node.goals.as_slice(), self.node.has_children()) {
            ([], _) => parser.deserialize_any(Inside { node: self.node, to: self.to }),
            ([goal], false) if !goal.needs_text() => parser.deserialize_any(Leaf { goal: *goal, to: self.to }),
            (goals, has_children) => {
                let json: &'de RawValue = serde::Deserialize::deserialize(parser)?;
                for &goal in goals {
                    if goal.needs_text() {
                        self.to.text(goal, json);
                    } else {
                        leaf(json, goal, self.to).map_err(D::Error::custom)?;
                    }
                }
                if has_children {
                    let mut inner = serde_json::Deserializer::from_str(json.get());
                    inner.deserialize_any(Inside { node: self.node, to: self.to }).map_err(D::Error::custom)?;
                }
                Ok(())
            }
        }
    }
}

fn leaf<'de, R: Receive<'de>>(json: &'de RawValue, goal: Goal, to: &mut R) -> Result<(), serde_json::Error> {
    serde_json::Deserializer::from_str(json.get()).deserialize_any(Leaf { goal, to })
}

/// Takes the one scalar of a place.
struct Leaf<'r, R> {
    goal: Goal,
    to: &'r mut R,
}

impl<'de, R: Receive<'de>> Visitor<'de> for Leaf<'_, R> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.to.scalar(self.goal, &Scalar::Boolean(value));
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.to.scalar(self.goal, &Scalar::Integer(value));
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.to.scalar(self.goal, &unsigned(value));
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.to.scalar(self.goal, &Scalar::Real(value));
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.to.scalar(self.goal, &Scalar::Text(value));
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.to.scalar(self.goal, &Scalar::Null);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        self.to.scalar(self.goal, &Scalar::Array);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        self.to.scalar(self.goal, &Scalar::Object);
        Ok(())
    }
}

/// A whole number of up to 64 bits without sign: what does not fit with a sign keeps its magnitude only.
#[expect(clippy::cast_precision_loss, reason = "beyond 2^63 the magnitude is what is left to say")]
pub(crate) fn unsigned(value: u64) -> Scalar<'static> {
    i64::try_from(value).map_or(Scalar::Real(value as f64), Scalar::Integer)
}

/// Goes on to the places below; a scalar here has none.
struct Inside<'n, 'r, R> {
    node: &'n Node,
    to: &'r mut R,
}

impl<'de, R: Receive<'de>> Visitor<'de> for Inside<'_, '_, R> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        for index in 0.. {
            let more = match self.node.item_at(index) {
                Some(node) => items.next_element_seed(Place { node, to: self.to })?.is_some(),
                None => items.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let mut next = 0;
        while let Some(known) = fields.next_key_seed(Key { node: self.node, next })? {
            match known {
                Some(index) => {
                    fields.next_value_seed(Place { node: self.node.field_at(index), to: self.to })?;
                    next = index + 1;
                }
                None => {
                    fields.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// Compares a field's name with the wanted ones where it stands, without copying it.
struct Key<'n> {
    node: &'n Node,
    next: usize,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<Option<usize>, D::Error> {
        parser.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Option<usize>, E> {
        Ok(self.node.find(name.as_bytes(), self.next))
    }
}
