//! Patterns: a regular expression whose groups are points.

use crate::field::Field;
use crate::settings::{PatternSettings, StatusSettings};
use bulkhead_sdk::{Fault, NewPoint, Point, Reading, Status, log};
use regex_lite::{Captures, Regex};
use std::collections::BTreeMap;

/// A pattern whose points are not declared yet: checking settings needs no host.
#[derive(Debug)]
pub(crate) struct Checked {
    regex: Regex,
    flag: Option<Flag>,
    group: Option<String>,
    fields: Vec<(String, String, Field, NewPoint)>,
}

/// A pattern at work.
#[derive(Debug)]
pub(crate) struct Pattern {
    regex: Regex,
    flag: Option<Flag>,
    /// The poll group whose requests its lines answer.
    pub(crate) group: Option<String>,
    fields: Vec<Capture>,
}

#[derive(Debug)]
struct Capture {
    name: String,
    group: String,
    field: Field,
    point: Point,
}

/// A captured flag and the statuses it stands for.
#[derive(Debug)]
struct Flag {
    group: String,
    values: BTreeMap<String, Status>,
    otherwise: Status,
}

impl Checked {
    /// Checks a pattern. `default_group` is the poll group of patterns that name none.
    ///
    /// # Errors
    /// A sentence that names the point or the group that is wrong, and what was expected.
    pub(crate) fn new(settings: &PatternSettings, default_group: Option<&str>) -> Result<Self, String> {
        let regex = expression(&settings.regex)?;
        let group = settings.group.as_deref().or(default_group).map(str::to_owned);
        let flag = settings.status.as_ref().map(|status| Flag::new(status, &regex)).transpose()?;
        let mut fields = Vec::with_capacity(settings.points.len());
        for point in &settings.points {
            let wrong = |message: String| format!("point `{}`: {message}", point.name);
            let capture = point.capture.clone().unwrap_or_else(|| point.name.clone());
            check_group(&regex, &capture).map_err(wrong)?;
            let field = Field::new(point).map_err(wrong)?;
            let declared = NewPoint::new(&point.name, field.kind())
                .unit(point.unit.as_deref())
                .group(group.as_deref())
                .description(point.description.as_deref());
            fields.push((point.name.clone(), capture, field, declared));
        }
        if fields.is_empty() {
            return Err("it has no points".to_owned());
        }
        Ok(Self { regex, flag, group, fields })
    }

    /// The poll group whose requests its lines answer.
    pub(crate) fn group(&self) -> Option<&str> {
        self.group.as_deref()
    }

    /// Its points, to be declared in this order.
    pub(crate) fn points(&self) -> impl Iterator<Item = (&str, &Field, &NewPoint)> {
        self.fields.iter().map(|(name, _, field, declared)| (name.as_str(), field, declared))
    }

    /// The pattern with its declared points.
    pub(crate) fn declared(self, mut point: impl FnMut(&str) -> Option<Point>) -> Option<Pattern> {
        let fields = self.fields.into_iter().map(|(name, group, field, _)| {
            let point = point(&name)?;
            Some(Capture { name, group, field, point })
        });
        Some(Pattern { regex: self.regex, flag: self.flag, group: self.group, fields: fields.collect::<Option<_>>()? })
    }
}

/// Compiles a regular expression.
///
/// # Errors
/// A sentence with the expression and what is wrong in it.
pub(crate) fn expression(regex: &str) -> Result<Regex, String> {
    Regex::new(regex).map_err(|error| format!("`{regex}` is no regular expression: {error}"))
}

fn check_group(regex: &Regex, group: &str) -> Result<(), String> {
    let known: Vec<_> = regex.capture_names().flatten().collect();
    if known.contains(&group) {
        return Ok(());
    }
    Err(format!("the expression has no group `(?<{group}>…)`; it has: {}", known.join(", ")))
}

impl Flag {
    fn new(settings: &StatusSettings, regex: &Regex) -> Result<Self, String> {
        check_group(regex, &settings.capture).map_err(|message| format!("status: {message}"))?;
        let values = settings.values.iter().map(|(flag, name)| Ok((flag.clone(), status(name)?)));
        Ok(Self {
            group: settings.capture.clone(),
            values: values.collect::<Result<_, String>>()?,
            otherwise: settings.otherwise.as_deref().map_or(Ok(Status::UNCERTAIN), status)?,
        })
    }

    fn status(&self, captures: &Captures<'_>) -> Status {
        let flag = captures.name(&self.group).map(|flag| flag.as_str().trim());
        flag.and_then(|flag| self.values.get(flag)).copied().unwrap_or(self.otherwise)
    }
}

fn status(name: &str) -> Result<Status, String> {
    Status::from_name(name).ok_or_else(|| {
        let known: Vec<_> = Status::NAMED.iter().map(|(known, _)| *known).collect();
        format!("status: `{name}` is no status; expected one of {}", known.join(", "))
    })
}

impl Pattern {
    /// Whether it matches a line; if so, its readings, taken at `time`, are added.
    pub(crate) fn read(&self, line: &str, time: Option<i64>, readings: &mut Vec<Reading>) -> bool {
        let Some(captures) = self.regex.captures(line) else { return false };
        let trust = self.flag.as_ref().map_or(Status::GOOD, |flag| flag.status(&captures));
        readings.extend(self.fields.iter().map(|capture| timed(capture.read(&captures, trust, line), time)));
        true
    }

    /// Whether it matches a line; if so, a Bad reading for each of its points is added.
    pub(crate) fn read_bad(&self, line: &str, time: Option<i64>, status: Status, readings: &mut Vec<Reading>) -> bool {
        let matches = self.regex.is_match(line);
        if matches {
            readings.extend(self.points().map(|point| timed(Reading::bad(point, status), time)));
        }
        matches
    }

    /// Its points.
    pub(crate) fn points(&self) -> impl Iterator<Item = Point> {
        self.fields.iter().map(|capture| capture.point)
    }
}

fn timed(reading: Reading, time: Option<i64>) -> Reading {
    match time {
        Some(time) => reading.time(time),
        None => reading,
    }
}

impl Capture {
    fn read(&self, captures: &Captures<'_>, trust: Status, line: &str) -> Reading {
        if trust.is_bad() {
            return Reading::bad(self.point, trust);
        }
        // A group that took no part in the match has no data, like an empty one.
        let text = captures.name(&self.group).map_or("", |text| text.as_str());
        match self.field.read(text) {
            Ok(value) => Reading::at(self.point, value).status(trust),
            Err(none) => {
                if let Some(reason) = none.reason {
                    let message = format!("point `{}`: {reason} in {}", self.name, crate::lines::shown(line));
                    log::report(Some(self.point), &Fault::reject("bad-field", message));
                }
                Reading::bad(self.point, none.status)
            }
        }
    }
}
