//! Reads one payload: what its points are worth, and what is wrong with those that have no value.

use crate::direct::{Listed, Payload};
use crate::layout::Layouts;
use crate::plan::{Each, Plan, PlannedPoint};
use crate::scalar::{Conversion, expected};
use crate::settings::Mapping;
use crate::tree::{self, Goal, Receive};
use crate::{Encoding, Problem, Scalar, direct, leaves};
use bulkhead_sdk::{Kind, NewPoint, Reading, Status, Value};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Most values taken from one payload; one with more is refused as a whole.
pub const VALUES_MAX: usize = 10_000;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// Longest name of a point in bytes, as the gateway has it.
pub(crate) const NAME_MAX_BYTES: usize = 255;

/// Which point a value belongs to.
#[derive(Clone, PartialEq, Debug)]
pub enum Place {
    /// The listed point of this index.
    Listed(usize),
    /// The listed point of this index, of the element that calls itself so.
    OfElement(String, usize),
    /// A point that is not listed, by its path or the name the payload gives it.
    Named(String),
    /// The payload does not say whose it is; the value is a problem.
    Unknown,
}

/// One value a payload brought, or failed to bring.
#[derive(Clone, PartialEq, Debug)]
pub struct Found {
    /// Whose value it is.
    pub place: Place,
    /// The value, or what is wrong.
    pub value: Result<Value, Box<Problem>>,
    /// When it was acquired, nanoseconds since the epoch; none: the payload does not say.
    pub time: Option<i64>,
}

/// Reads payloads by one mapping. Keeps its buffers from one payload to the next.
#[derive(Debug)]
pub struct Reader {
    plan: Plan,
    layouts: Layouts,
    found: Vec<Found>,
    /// For each listed point the turn in which it was seen last; a turn is a payload, or an element of one.
    seen: Vec<u32>,
    turn: u32,
}

impl Reader {
    /// Compiles a mapping.
    ///
    /// # Errors
    /// Every mistake in it, each a sentence that names its key.
    pub fn new(mapping: &Mapping) -> Result<Reader, Vec<String>> {
        let plan = Plan::compile(mapping)?;
        let seen = vec![0; plan.points.len()];
        let layouts = Layouts::new(plan.points.len());
        Ok(Reader { plan, layouts, found: Vec::new(), seen, turn: 0 })
    }

    /// How many points are listed.
    #[must_use]
    pub fn listed(&self) -> usize {
        self.plan.points.len()
    }

    /// Whether the listed points are known before a payload comes: not where elements name themselves.
    #[must_use]
    pub fn listed_are_known(&self) -> bool {
        self.plan.each.as_ref().is_none_or(|each| each.name_path.is_none() || each.value_path.is_some())
    }

    /// The own name of a listed point.
    #[must_use]
    pub fn name(&self, index: usize) -> &str {
        &self.plan.points[index].name
    }

    /// The declaration of a listed point under its full name.
    #[must_use]
    pub fn declaration(&self, index: usize, full_name: &str) -> NewPoint {
        self.plan.points[index].declaration(full_name)
    }

    /// The kind of a listed point.
    #[must_use]
    pub fn kind(&self, index: usize) -> Kind {
        self.plan.points[index].conversion.kind
    }

    /// Reads a payload that is like one before into readings of the listed points. False: [`Reader::read`] must read it. Not
    /// inlined, and of four arguments: so it has all registers for itself, and gets none of them by way of the stack.
    #[inline(never)]
    pub(crate) fn read_alike(&self, listed: &mut Listed, payload: &Payload<'_>, readings: &mut Vec<Reading>) -> bool {
        direct::read((&self.plan, &self.layouts), listed, payload, readings)
    }

    /// Learns from a payload in which nothing was wrong, so that the next one like it is read quicker.
    fn learn(&mut self, payload: &[u8]) {
        let plan = &self.plan;
        if plan.is_direct && self.found.iter().all(|found| found.value.is_ok()) {
            self.layouts.learn(payload, &plan.root, |goals| direct::is_whole(plan, goals));
        }
    }

    /// Reads a payload and gives what it brought, in the payload's order, then what is missing.
    ///
    /// # Errors
    /// What concerns the payload as a whole: it is not JSON, its time is bad or missing, its array is missing, it brings
    /// more than [`VALUES_MAX`] values. No value of it can be trusted then.
    pub fn read(&mut self, payload: &[u8]) -> Result<std::vec::Drain<'_, Found>, Problem> {
        self.found.clear();
        match utf8(payload, self.plan.encoding).and_then(|json| self.read_json(&json)) {
            Ok(()) => {
                self.learn(payload);
                Ok(self.found.drain(..))
            }
            Err(problem) => {
                self.found.clear();
                Err(problem)
            }
        }
    }

    fn read_json(&mut self, json: &[u8]) -> Result<(), Problem> {
        let plan = &self.plan;
        self.turn = next_turn(self.turn, &mut self.seen);
        let mut taken = Taken::new(plan, &mut self.found, &mut self.seen, self.turn);
        tree::walk(json, &plan.root, &mut taken).map_err(|error| Problem::not_json(&error))?;
        let (time, array) = (taken.time, taken.array);
        match &plan.each {
            Some(each) => self.read_elements(array.ok_or_else(|| Problem::missing(&each.path, "an array"))?)?,
            None if plan.points.is_empty() => {
                let skipped = plan.time.as_ref().map(|time| time.path.as_str());
                add_leaves(json, &[skipped], &mut self.found)?;
            }
            None => add_missing(&plan.points, &self.seen, self.turn, None, &mut self.found),
        }
        if self.found.len() > VALUES_MAX {
            return Err(too_many());
        }
        self.set_payload_time(time)
    }

    /// Gives the payload's time to everything that has none of its own.
    fn set_payload_time(&mut self, time: Option<Result<i64, Problem>>) -> Result<(), Problem> {
        let Some(settings) = &self.plan.time else { return Ok(()) };
        let time = match time {
            Some(Ok(time)) => time,
            Some(Err(problem)) => return Err(problem.at(&settings.path)),
            None if self.plan.time_is_optional || self.found.iter().all(|found| found.time.is_some()) => return Ok(()),
            None => return Err(Problem::missing(&settings.path, "the time of the payload")),
        };
        for found in &mut self.found {
            found.time.get_or_insert(time);
        }
        Ok(())
    }

    fn read_elements(&mut self, array: &RawValue) -> Result<(), Problem> {
        let Some(each) = &self.plan.each else { return Ok(()) };
        let elements: Vec<&RawValue> = serde_json::from_str(array.get())
            .map_err(|_| tree::with_scalar(array, |scalar| Problem::mismatch("an array", scalar).at(&each.path)))?;
        let payload_turn = self.turn;
        for (position, element) in elements.iter().enumerate() {
            if each.value_path.is_none() {
                self.turn = next_turn(self.turn, &mut self.seen);
            }
            let mut taken = Taken::new(&self.plan, &mut self.found, &mut self.seen, self.turn);
            let first = taken.found.len();
            tree::walk_checked(element, &each.element, &mut taken).map_err(|error| Problem::not_json(&error))?;
            finish_element(&Element { each, plan: &self.plan, json: element, position, first }, taken)?;
            if self.found.len() > VALUES_MAX {
                return Err(too_many());
            }
        }
        if each.value_path.is_some() {
            add_missing(&self.plan.points, &self.seen, payload_turn, None, &mut self.found);
        }
        Ok(())
    }
}

/// Every scalar as a point of its own, but those at the skipped paths.
fn add_leaves(json: &[u8], skipped: &[Option<&str>], found: &mut Vec<Found>) -> Result<(), Problem> {
    let mut too_long = None;
    leaves::walk(json, &mut |path, scalar| {
        if skipped.contains(&Some(path)) || found.len() > VALUES_MAX {
            return;
        }
        if path.len() > NAME_MAX_BYTES {
            too_long.get_or_insert(path.len());
            return;
        }
        let value = natural(scalar).map_err(|problem| Box::new(problem.at(path)));
        found.push(Found { place: Place::Named(path.to_owned()), value, time: None });
    })
    .map_err(|error| Problem::not_json(&error))?;
    match too_long {
        None => Ok(()),
        Some(bytes) => Err(Problem {
            status: Status::BAD_DECODING_ERROR,
            code: "path-too-long",
            path: String::new(),
            expected: format!("paths of at most {NAME_MAX_BYTES} bytes"),
            found: format!("one of {bytes}"),
        }),
    }
}

/// The payload as UTF-8. What is UTF-8 already is passed on unchecked, because the parser checks what it takes; a byte
/// order mark in front is passed over.
fn utf8(payload: &[u8], encoding: Encoding) -> Result<Cow<'_, [u8]>, Problem> {
    if encoding == Encoding::Utf8 {
        return Ok(Cow::Borrowed(payload.strip_prefix(BYTE_ORDER_MARK).unwrap_or(payload)));
    }
    match encoding.decode(payload) {
        Ok(Cow::Borrowed(text)) => Ok(Cow::Borrowed(text.as_bytes())),
        Ok(Cow::Owned(text)) => Ok(Cow::Owned(text.into_bytes())),
        Err(malformed) => Err(Problem {
            status: Status::BAD_DECODING_ERROR,
            code: "bad-encoding",
            path: String::new(),
            expected: "text in the encoding of the settings".to_owned(),
            found: malformed.to_string(),
        }),
    }
}

fn too_many() -> Problem {
    Problem {
        status: Status::BAD_DECODING_ERROR,
        code: "too-many-values",
        path: String::new(),
        expected: format!("at most {VALUES_MAX} values"),
        found: "more".to_owned(),
    }
}

/// The number of the next turn. Once in four billion the counter starts anew, and nothing counts as seen.
fn next_turn(turn: u32, seen: &mut [u32]) -> u32 {
    if turn == u32::MAX {
        seen.fill(0);
        return 1;
    }
    turn + 1
}

/// A value of a point that is not listed: numbers are real, so that 20 and 20.5 are of one type.
fn natural(scalar: &Scalar<'_>) -> Result<Value, Problem> {
    let kind = match scalar {
        Scalar::Boolean(_) => Kind::Boolean,
        Scalar::Text(_) => Kind::Text,
        _ => Kind::Real,
    };
    Conversion::plain(kind).value(scalar)
}

/// What is listed and neither seen in this turn nor optional.
#[inline]
fn add_missing(
    points: &[PlannedPoint],
    seen: &[u32],
    turn: u32,
    position: Option<(&str, usize)>,
    found: &mut Vec<Found>,
) {
    for (index, point) in points.iter().enumerate() {
        if seen[index] != turn && !point.optional {
            let value = Err(missing(point, position));
            found.push(Found { place: Place::Listed(index), value, time: None });
        }
    }
}

#[cold]
fn missing(point: &PlannedPoint, position: Option<(&str, usize)>) -> Box<Problem> {
    let path = match position {
        Some((array, position)) => format!("{array}[{position}].{}", point.path),
        None => point.path.clone(),
    };
    Box::new(Problem::missing(&path, expected(point.conversion.kind)))
}

/// What one walk takes out of a payload or an element.
struct Taken<'p, 'de> {
    plan: &'p Plan,
    found: &'p mut Vec<Found>,
    seen: &'p mut Vec<u32>,
    turn: u32,
    time: Option<Result<i64, Problem>>,
    array: Option<&'de RawValue>,
    name: Option<Result<String, Problem>>,
    value: Option<&'de RawValue>,
}

impl<'p, 'de> Taken<'p, 'de> {
    fn new(plan: &'p Plan, found: &'p mut Vec<Found>, seen: &'p mut Vec<u32>, turn: u32) -> Self {
        Taken { plan, found, seen, turn, time: None, array: None, name: None, value: None }
    }

    fn listed(&mut self, index: usize, scalar: &Scalar<'_>) {
        let point = &self.plan.points[index];
        let value = point.conversion.value(scalar).map_err(|problem| Box::new(problem.at(&point.path)));
        self.put(index, value);
    }

    #[inline(always)]
    fn put(&mut self, index: usize, value: Result<Value, Box<Problem>>) {
        if self.seen[index] == self.turn {
            return self.replace(Found { place: Place::Listed(index), value, time: None });
        }
        self.seen[index] = self.turn;
        self.found.push(Found { place: Place::Listed(index), value, time: None });
    }

    /// A name that stands twice in an object: the last one counts, as with most parsers (RFC 8259 §4).
    #[cold]
    fn replace(&mut self, found: Found) {
        if let Some(earlier) = self.found.iter_mut().rev().find(|earlier| earlier.place == found.place) {
            *earlier = found;
        }
    }
}

impl<'de> Receive<'de> for Taken<'_, 'de> {
    fn scalar(&mut self, goal: Goal, scalar: &Scalar<'_>) {
        match goal {
            Goal::Point { index, .. } => self.listed(index, scalar),
            Goal::Time => self.time = Some(self.plan.time_format.read(scalar)),
            Goal::Name => self.name = Some(element_name(scalar)),
            Goal::Each | Goal::Value => {}
        }
    }

    fn text(&mut self, goal: Goal, json: &'de RawValue) {
        match goal {
            Goal::Each => self.array = Some(json),
            Goal::Value => self.value = Some(json),
            _ => tree::with_scalar(json, |scalar| self.scalar(goal, scalar)),
        }
    }
}

/// The name an element gives itself: a text, or a number as it is written.
fn element_name(scalar: &Scalar<'_>) -> Result<String, Problem> {
    match scalar {
        Scalar::Text(text) if !text.is_empty() && text.len() <= NAME_MAX_BYTES => Ok((*text).to_owned()),
        Scalar::Integer(number) => Ok(number.to_string()),
        _ => Err(Problem::mismatch("a name of 1 to 255 bytes", scalar)),
    }
}

/// One element of the array, once it has been walked.
struct Element<'a> {
    each: &'a Each,
    plan: &'a Plan,
    json: &'a RawValue,
    position: usize,
    /// Where in the found values its own begin.
    first: usize,
}

impl Element<'_> {
    /// A path inside of it, for messages.
    fn place(&self, path: &str) -> String {
        format!("{}[{}].{path}", self.each.path, self.position)
    }
}

/// Names, completes and dates what an element brought.
fn finish_element(element: &Element<'_>, mut taken: Taken<'_, '_>) -> Result<(), Problem> {
    let name = match (&element.each.name_path, taken.name.take()) {
        (None, _) => None,
        (Some(_), Some(Ok(name))) => Some(name),
        (Some(path), Some(Err(problem))) => return unnamed(element, taken, problem.at(&element.place(path))),
        (Some(path), None) => {
            return unnamed(element, taken, Problem::missing(&element.place(path), "the element's name"));
        }
    };
    match (&element.each.value_path, name) {
        (Some(value_path), Some(name)) => add_named_value(element, &mut taken, value_path, name),
        (_, name) => {
            let position = Some((element.each.path.as_str(), element.position));
            if element.plan.points.is_empty() {
                let skipped = [element.each.name_path.as_deref(), element.each.time_path.as_deref()];
                add_leaves(element.json.get().as_bytes(), &skipped, taken.found)?;
            } else {
                add_missing(&element.plan.points, taken.seen, taken.turn, position, taken.found);
            }
            if let Some(name) = name {
                taken.found[element.first..].iter_mut().for_each(|found| put_before(&mut found.place, &name));
            }
        }
    }
    date_element(element, taken);
    Ok(())
}

/// An element that does not say whose values it has: none of them can be used.
fn unnamed(element: &Element<'_>, taken: Taken<'_, '_>, problem: Problem) -> Result<(), Problem> {
    taken.found.truncate(element.first);
    taken.found.push(Found { place: Place::Unknown, value: Err(Box::new(problem)), time: None });
    Ok(())
}

/// The one value of an element that has a name and a value.
fn add_named_value(element: &Element<'_>, taken: &mut Taken<'_, '_>, value_path: &str, name: String) {
    let listed = element.plan.points.iter().position(|point| point.path == name);
    let (place, conversion) = match listed {
        Some(index) => {
            taken.seen[index] = taken.turn;
            (Place::Listed(index), Some(&element.plan.points[index].conversion))
        }
        None if element.plan.points.is_empty() => (Place::Named(name), None),
        None => return,
    };
    let path = element.place(value_path);
    let value = match taken.value {
        None => Err(Problem::missing(&path, conversion.map_or("a value", |conversion| expected(conversion.kind)))),
        Some(json) => tree::with_scalar(json, |scalar| match conversion {
            Some(conversion) => conversion.value(scalar),
            None => natural(scalar),
        }),
    };
    let value = value.map_err(|problem| Box::new(problem.at(&path)));
    taken.found.push(Found { place, value, time: None });
}

fn put_before(place: &mut Place, name: &str) {
    *place = match std::mem::replace(place, Place::Unknown) {
        Place::Listed(index) => Place::OfElement(name.to_owned(), index),
        Place::Named(path) => Place::Named(format!("{name}.{path}")),
        other => other,
    };
}

/// Gives an element's own time to its values; a bad one takes them their values.
fn date_element(element: &Element<'_>, taken: Taken<'_, '_>) {
    let values = &mut taken.found[element.first..];
    match taken.time {
        None => {
            // Where the payload has no time either, the element's is due.
            if let (Some(path), None, false) =
                (&element.each.time_path, &element.plan.time, element.plan.time_is_optional)
            {
                let problem = Problem::missing(&element.place(path), "the element's time");
                values.iter_mut().for_each(|found| found.value = Err(Box::new(problem.clone())));
            }
        }
        Some(Ok(time)) => values.iter_mut().for_each(|found| found.time = Some(time)),
        Some(Err(problem)) => {
            let path = element.place(element.each.time_path.as_deref().unwrap_or_default());
            let problem = problem.at(&path);
            values.iter_mut().for_each(|found| found.value = Err(Box::new(problem.clone())));
        }
    }
}
