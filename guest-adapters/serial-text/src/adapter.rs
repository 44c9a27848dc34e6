//! The adapter: lines that come by themselves, and lines that are asked for.

use crate::lines::{Outcome, Reader, shown};
use crate::pattern::{Checked, expression};
use crate::request;
use crate::settings::{DEFAULT_GROUP, Settings};
use bulkhead_sdk::prelude::*;
use std::collections::{HashMap, HashSet};

/// The role of the transport that leads to the device.
const TRANSPORT: &str = "device";

/// Lines of text at work.
#[derive(Debug)]
pub struct SerialText {
    reader: Reader,
    requests: Vec<PollRequest>,
}

/// A request that is sent when its group is polled.
#[derive(Debug)]
struct PollRequest {
    bytes: Vec<u8>,
    group: String,
    timeout_ms: Option<u32>,
}

impl Adapter for SerialText {
    type Settings = Settings;

    fn start(settings: Settings) -> Result<Self, Fault> {
        let checked = check_patterns(&settings)?;
        let requests = check_requests(&settings, &checked)?;
        let mut ignore = Vec::new();
        for (index, regex) in settings.ignore.iter().enumerate() {
            ignore.push(expression(regex).map_err(|message| wrong(format!("ignore[{index}]: {message}")))?);
        }
        let declared = declare(&checked)?;
        let patterns = checked.into_iter().filter_map(|pattern| pattern.declared(|name| declared.get(name).copied()));
        let reader = Reader { patterns: patterns.collect(), ignore, nmea: settings.nmea, encoding: settings.encoding };
        Ok(Self { reader, requests })
    }

    /// Asks the device with the first request, or listens for one line where there is none.
    fn check(&mut self) -> Result<String, Fault> {
        let (request, timeout_ms, group) = match self.requests.first() {
            Some(first) => (first.bytes.as_slice(), first.timeout_ms, Some(first.group.as_str())),
            None => (&[][..], None, None),
        };
        let frame = serial::exchange(TRANSPORT, request, None, timeout_ms, None)?;
        let mut readings = Vec::new();
        let outcome = self.reader.read(&frame, None, group, &mut readings);
        let line = shown(&String::from_utf8_lossy(&frame));
        match outcome {
            Outcome::Read => {
                let values: Vec<_> = readings.iter().map(describe).collect();
                Ok(format!("the device says {line}: {}", values.join(", ")))
            }
            Outcome::Ignored => Ok(format!("the device says {line}, which `ignore` lists")),
            Outcome::Unmatched => {
                Err(Fault::reconfigure("unmatched-line", format!("the device says {line}, and no pattern matches it")))
            }
        }
    }
}

fn wrong(message: String) -> Fault {
    Fault::reconfigure("bad-settings", message)
}

fn check_patterns(settings: &Settings) -> Result<Vec<Checked>, Fault> {
    if settings.patterns.is_empty() {
        return Err(wrong("no patterns: `patterns` says how lines are read".to_owned()));
    }
    let default_group = (!settings.poll.is_empty()).then_some(DEFAULT_GROUP);
    let check = |(index, pattern)| {
        Checked::new(pattern, default_group).map_err(|message| wrong(format!("patterns[{index}]: {message}")))
    };
    settings.patterns.iter().enumerate().map(check).collect()
}

fn check_requests(settings: &Settings, patterns: &[Checked]) -> Result<Vec<PollRequest>, Fault> {
    let mut requests = Vec::with_capacity(settings.poll.len());
    for (index, poll) in settings.poll.iter().enumerate() {
        let bytes = request::bytes(&poll.request, settings.encoding)
            .map_err(|message| wrong(format!("poll[{index}].request: {message}")))?;
        if !patterns.iter().any(|pattern| pattern.group() == Some(poll.group.as_str())) {
            return Err(wrong(format!(
                "poll[{index}]: no pattern is of the group `{}`, so nobody reads the answer",
                poll.group
            )));
        }
        requests.push(PollRequest { bytes, group: poll.group.clone(), timeout_ms: poll.timeout_ms });
    }
    Ok(requests)
}

/// Declares the points of all patterns in one batch; patterns may share a point of the same kind.
fn declare(patterns: &[Checked]) -> Result<HashMap<String, Point>, Fault> {
    let mut kinds: HashMap<&str, Kind> = HashMap::new();
    let (mut names, mut new) = (Vec::new(), Vec::new());
    for (name, field, declared) in patterns.iter().flat_map(Checked::points) {
        match kinds.insert(name, field.kind()) {
            Some(kind) if kind != field.kind() => {
                let (one, other) = (kind.name(), field.kind().name());
                return Err(wrong(format!("point `{name}` is of kind {one} in one pattern and {other} in another")));
            }
            Some(_) => {}
            None => {
                names.push(name.to_owned());
                new.push(declared.clone());
            }
        }
    }
    Ok(names.into_iter().zip(points::declare(new)?).collect())
}

fn describe(reading: &Reading) -> String {
    let name = reading.point().name().unwrap_or_default();
    match &reading.value {
        Some(value) => format!("{name} is {value}"),
        None => format!("{name} has no value ({})", Status(reading.status).name().unwrap_or("Bad")),
    }
}

impl Listener for SerialText {
    fn receive(&mut self, _transport: &str, frames: &[Frame]) -> Result<Vec<Reading>, Fault> {
        let mut readings = Vec::with_capacity(frames.len());
        // The other kinds say that the line came or went, which the host's own statuses tell.
        for frame in frames.iter().filter(|frame| frame.kind == FrameKind::Data) {
            self.reader.read(&frame.payload, Some(frame.received), None, &mut readings);
        }
        Ok(readings)
    }
}

impl Poller for SerialText {
    /// Sends the group's requests one after another. Points of the group that no answer gave a reading are Bad: a poll never
    /// leaves a point out.
    fn poll(&mut self, group: &str) -> Result<Vec<Reading>, Fault> {
        let mut readings = Vec::new();
        let (mut status, mut faults) = (Status::BAD_NO_DATA, Vec::new());
        let requests: Vec<_> = self.requests.iter().filter(|request| request.group == group).collect();
        for request in &requests {
            match serial::exchange(TRANSPORT, &request.bytes, None, request.timeout_ms, None) {
                Ok(frame) => {
                    if self.reader.read(&frame, None, Some(group), &mut readings) == Outcome::Unmatched {
                        status = Status::BAD_DECODING_ERROR;
                    }
                }
                Err(fault) if fault.remedy == Remedy::Retry => faults.push(fault),
                Err(fault) => return Err(fault),
            }
        }
        if faults.len() == requests.len()
            && let Some(first) = faults.first()
        {
            return Err(first.clone());
        }
        if let Some(first) = faults.first() {
            status = if first.code == "timeout" { Status::BAD_TIMEOUT } else { Status::BAD_COMMUNICATION_ERROR };
            faults.iter().for_each(|fault| log::report(None, fault));
        }
        self.add_missing(group, status, &mut readings);
        Ok(readings)
    }
}

impl SerialText {
    fn add_missing(&self, group: &str, status: Status, readings: &mut Vec<Reading>) {
        let asked = self.requests.iter().any(|request| request.group == group);
        let mut seen: HashSet<Point> = readings.iter().map(Reading::point).collect();
        for pattern in self.reader.patterns.iter().filter(|pattern| asked && pattern.group.as_deref() == Some(group)) {
            readings
                .extend(pattern.points().filter(|point| seen.insert(*point)).map(|point| Reading::bad(point, status)));
        }
    }
}

bulkhead_sdk::export!(SerialText: listener, poller);
