//! The points of one origin (a topic, a webhook) with their handles: makes readings of what a payload brought, and Bad
//! readings of all of them when a payload cannot be used.

use crate::direct::{Listed, Payload};
use crate::reader::{Found, NAME_MAX_BYTES, Place, Reader};
use crate::{Naming, Problem};
use bulkhead_sdk::{Fault, Kind, NewPoint, Point, Reading, Status, Value, points};
use std::collections::HashMap;
use std::fmt;

/// Most points that payloads of one origin may bring without being listed; a further name is reported, not declared.
pub const UNLISTED_POINTS_MAX: usize = 2_000;

/// The points of one origin.
#[derive(Debug)]
pub struct Known {
    naming: Naming,
    listed: Listed,
    /// By full name: those that payloads named.
    unlisted: HashMap<String, (Point, Kind)>,
}

/// When and how a payload came, for its readings.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// What faults name: `topic plant/1/telemetry`. Written out only when there is a fault.
    pub origin: fmt::Arguments<'a>,
    /// Nanoseconds since the epoch; the time of readings whose payload has none.
    pub received: i64,
    /// The status of a value whose payload has no time: Good, unless it is known to be old.
    pub status_without_time: Status,
}

/// Who hears of faults, with the point where there is one.
pub type Report<'a> = &'a mut dyn FnMut(Option<Point>, Fault);

impl Known {
    /// Declares the listed points under the names of their origin.
    ///
    /// # Errors
    /// The host's: too many points, or a name that is none.
    pub fn declare(reader: &Reader, naming: Naming) -> Result<Known, Fault> {
        let mut declarations = Vec::new();
        if reader.listed_are_known() {
            for index in 0..reader.listed() {
                declarations.push(reader.declaration(index, &naming.name(reader.name(index))));
            }
        }
        let points = if declarations.is_empty() { Vec::new() } else { points::declare(declarations)? };
        Ok(Known { naming, listed: Listed::new(points), unlisted: HashMap::new() })
    }

    /// Reads a payload into readings: those it brought, and Bad ones with the reason reported for what it should have.
    pub fn read(
        &mut self,
        reader: &mut Reader,
        payload: &[u8],
        arrival: Arrival<'_>,
        readings: &mut Vec<Reading>,
        report: Report<'_>,
    ) {
        let Arrival { received, status_without_time, .. } = arrival;
        let alike = Payload { bytes: payload, received, status_without_time };
        if !reader.read_alike(&mut self.listed, &alike, readings) {
            self.read_unlike(reader, payload, arrival, readings, report);
        }
    }

    /// The same for a payload that is like none before. Not inlined: where both are one function, each has fewer registers.
    #[inline(never)]
    fn read_unlike(
        &mut self,
        reader: &mut Reader,
        payload: &[u8],
        arrival: Arrival<'_>,
        readings: &mut Vec<Reading>,
        report: Report<'_>,
    ) {
        // Stays empty, and costs nothing, where all points are listed.
        let mut named = Vec::new();
        match reader.read(payload) {
            Err(problem) => self.all_bad(&problem, arrival, readings, report),
            Ok(found) => {
                let listed = &self.listed.points;
                for Found { place, value, time } in found {
                    match place {
                        Place::Listed(index) => readings.push(reading(listed[index], value, time, &arrival, report)),
                        _ => named.push(Found { place, value, time }),
                    }
                }
            }
        }
        for found in named {
            self.read_named(reader, found, arrival, readings, report);
        }
    }

    /// The payload cannot be used: every known point gets a Bad reading, and the reason is reported once a point, or once
    /// where no point is known.
    fn all_bad(&self, problem: &Problem, arrival: Arrival<'_>, readings: &mut Vec<Reading>, report: Report<'_>) {
        let fault = problem.fault(arrival.origin);
        if self.listed.points.is_empty() && self.unlisted.is_empty() {
            return report(None, fault);
        }
        let unlisted = self.unlisted.values().map(|(point, _)| point);
        for &point in self.listed.points.iter().chain(unlisted) {
            report(Some(point), fault.clone());
            readings.push(Reading::bad(point, problem.status).time(arrival.received));
        }
    }

    /// A value whose point the payload names.
    fn read_named(
        &mut self,
        reader: &Reader,
        found: Found,
        arrival: Arrival<'_>,
        readings: &mut Vec<Reading>,
        report: Report<'_>,
    ) {
        let Some((name, kind)) = self.name_and_kind(reader, &found) else {
            if let Err(problem) = found.value {
                report(None, problem.fault(arrival.origin));
            }
            return;
        };
        match self.point(reader, &found.place, &name, kind) {
            Err(fault) => report(None, Fault { message: format!("{}: {}", arrival.origin, fault.message), ..fault }),
            Ok(None) => {
                if let Err(problem) = found.value {
                    report(None, problem.fault(arrival.origin));
                }
            }
            Ok(Some((point, kind))) => {
                let value = found.value.and_then(|value| of_kind(value, kind, &name));
                readings.push(reading(point, value, found.time, &arrival, report));
            }
        }
    }

    /// The full name, and the kind it would be declared with; no kind: a problem of a point whose kind is not known.
    fn name_and_kind(&self, reader: &Reader, found: &Found) -> Option<(String, Option<Kind>)> {
        match &found.place {
            Place::OfElement(element, index) => {
                let name = format!("{element}.{}", reader.name(*index));
                Some((self.naming.name(&name), Some(reader.kind(*index))))
            }
            Place::Named(path) => Some((self.naming.name(path), found.value.as_ref().ok().map(Value::kind))),
            Place::Listed(_) | Place::Unknown => None,
        }
    }

    /// The point of a full name, declared if it is new; none: it is new and its kind is not known yet.
    fn point(
        &mut self,
        reader: &Reader,
        place: &Place,
        name: &str,
        kind: Option<Kind>,
    ) -> Result<Option<(Point, Kind)>, Fault> {
        if let Some(&known) = self.unlisted.get(name) {
            return Ok(Some(known));
        }
        let Some(kind) = kind else { return Ok(None) };
        if name.is_empty() || name.len() > NAME_MAX_BYTES || name.chars().any(char::is_control) {
            let shown: String = name.chars().take(40).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
            let message = format!(
                "`{shown}…` ({} bytes) is no name for a point: 1 to 255 bytes without control characters",
                name.len()
            );
            return Err(Fault::reject("bad-point-name", message));
        }
        if self.unlisted.len() >= UNLISTED_POINTS_MAX {
            let message = format!(
                "`{name}` is a new name beyond the {UNLISTED_POINTS_MAX} that payloads may bring; list the points"
            );
            return Err(Fault::reject("too-many-points", message));
        }
        let declaration = match place {
            Place::OfElement(_, index) => reader.declaration(*index, name),
            _ => NewPoint::new(name, kind),
        };
        let point = points::declare_one(declaration)?;
        self.unlisted.insert(name.to_owned(), (point, kind));
        Ok(Some((point, kind)))
    }
}

/// The value if it is of the kind the point has been declared with.
fn of_kind(value: Value, kind: Kind, name: &str) -> Result<Value, Box<Problem>> {
    if value.kind() == kind {
        return Ok(value);
    }
    Err(Box::new(Problem {
        status: Status::BAD_TYPE_MISMATCH,
        code: "type-mismatch",
        path: name.to_owned(),
        expected: format!("a value of type {}, as in the first payload", kind.name()),
        found: format!("one of type {}", value.kind().name()),
    }))
}

#[inline]
fn reading(
    point: Point,
    value: Result<Value, Box<Problem>>,
    time: Option<i64>,
    arrival: &Arrival<'_>,
    report: Report<'_>,
) -> Reading {
    match value {
        Ok(value) => {
            let reading = Reading::at(point, value);
            match time {
                Some(time) => reading.time(time),
                None => reading.time(arrival.received).status(arrival.status_without_time),
            }
        }
        Err(problem) => {
            report_bad(point, &problem, arrival, report);
            Reading::bad(point, problem.status).time(time.unwrap_or(arrival.received))
        }
    }
}

#[cold]
fn report_bad(point: Point, problem: &Problem, arrival: &Arrival<'_>, report: Report<'_>) {
    report(Some(point), problem.fault(arrival.origin));
}
