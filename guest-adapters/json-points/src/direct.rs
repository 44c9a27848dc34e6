//! Readings straight from a payload that is like one before: nothing is gathered in between, since nothing of such a payload
//! can be missing or unlisted. One whose values are not all of their points' kinds is read by [`crate::Reader::read`], which
//! says what is wrong.

use crate::layout::{Layouts, Take};
use crate::plan::Plan;
use crate::scalar::Conversion;
use crate::text::{Number, Text};
use crate::tree::Goal;
use crate::{Encoding, Scalar};
use bulkhead_sdk::{Kind, Point, Reading, Status, Value};

/// Most layouts that one payload is compared with: each may go through nearly all of it, and there may be hundreds.
const TRIES_MAX: usize = 4;

/// Whether layouts are learned from payloads of this plan.
pub(crate) fn is_possible(plan: &Plan) -> bool {
    plan.root.is_plain() && !plan.points.is_empty() && plan.encoding == Encoding::Utf8
}

/// Whether a payload that brings this is read directly: all that it must bring, and each once.
pub(crate) fn is_whole(plan: &Plan, goals: &[Goal]) -> bool {
    let mut seen = vec![false; plan.points.len()];
    let is_first = |goal: &Goal| match goal {
        Goal::Point { index, .. } => !std::mem::replace(&mut seen[*index], true),
        _ => true,
    };
    let times = goals.iter().filter(|goal| **goal == Goal::Time).count();
    let needs_time = plan.time.is_some() && !plan.time_is_optional;
    let is_dated = times == 1 || times == 0 && !needs_time;
    is_dated
        && goals.iter().all(is_first)
        && plan.points.iter().zip(seen).all(|(point, is_seen)| is_seen || point.optional)
}

/// A payload and when it came.
pub(crate) struct Payload<'a> {
    pub(crate) bytes: &'a [u8],
    /// Nanoseconds since the epoch; the time of readings whose payload has none, and their status.
    pub(crate) received: i64,
    pub(crate) status_without_time: Status,
}

/// The listed points of an origin.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) points: Vec<Point>,
    /// The layout that the last payload was like, if any was. It is tried first.
    layout: usize,
    /// The other layout that was tried last. The next payload that is not like the last one goes on behind it.
    other: usize,
}

impl Listed {
    pub(crate) fn new(points: Vec<Point>) -> Listed {
        Listed { points, layout: 0, other: 0 }
    }

    /// The layout to try next, of so many. Not inlined, because it is rarely used.
    #[inline(never)]
    fn next_other(&mut self, layouts: usize) -> usize {
        let behind = |layout: usize| if layout + 1 < layouts { layout + 1 } else { 0 };
        self.other = behind(self.other);
        if self.other == self.layout {
            self.other = behind(self.other);
        }
        self.other
    }
}

/// The readings of a payload that is like a known one. False: it is like none of those it is compared with, or not all of its values
/// are of their kinds, and no reading has been added.
#[inline(always)]
pub(crate) fn read(
    (plan, layouts): (&Plan, &Layouts),
    listed: &mut Listed,
    payload: &Payload<'_>,
    readings: &mut Vec<Reading>,
) -> bool {
    let text = Text::new(payload.bytes);
    let first = readings.len();
    if listed.layout >= layouts.len() {
        listed.layout = 0;
    }
    let mut layout = listed.layout;
    for _ in 0..layouts.len().min(TRIES_MAX) {
        let (time, status) = (payload.received, payload.status_without_time);
        let mut direct = Direct { plan, points: &listed.points, readings, first, time, status };
        if layouts.follow(layout, text, &mut direct) {
            listed.layout = layout;
            return true;
        }
        readings.truncate(first);
        layout = listed.next_other(layouts.len());
    }
    false
}

struct Direct<'a> {
    plan: &'a Plan,
    points: &'a [Point],
    readings: &'a mut Vec<Reading>,
    /// Where the payload's readings begin.
    first: usize,
    time: i64,
    status: Status,
}

impl Direct<'_> {
    #[inline(always)]
    fn push(&mut self, index: usize, value: Option<impl Into<Value>>) -> bool {
        let (Some(point), Some(value)) = (self.points.get(index), value) else { return false };
        self.readings.push(Reading::at(*point, value).time(self.time).status(self.status));
        true
    }

    #[inline(always)]
    fn conversion(&self, index: usize) -> &Conversion {
        &self.plan.points[index].conversion
    }

    /// Gives the payload's time to the readings that came before it in the payload; later ones find it.
    #[inline(always)]
    fn set_time(&mut self, time: Option<i64>) -> bool {
        let Some(time) = time else { return false };
        (self.time, self.status) = (time, Status::GOOD);
        for reading in &mut self.readings[self.first..] {
            (reading.time, reading.status) = (Some(time), Status::GOOD.0);
        }
        true
    }

    /// A scalar that is not of its point's kind, or of a rarer one.
    #[inline(never)]
    fn convert(&mut self, index: usize, scalar: &Scalar<'_>) -> bool {
        self.push(index, self.conversion(index).value(scalar).ok())
    }
}

impl Take for Direct<'_> {
    #[inline(always)]
    fn number(&mut self, goal: Goal, number: Number) -> bool {
        match goal {
            Goal::Point { index, .. } => match (self.conversion(index).kind, number) {
                (Kind::Real, _) => self.push(index, self.conversion(index).scaled(number.real())),
                (Kind::Integer, Number::Integer(number)) => self.push(index, Some(number)),
                _ => self.convert(index, &number.scalar()),
            },
            Goal::Time => self.set_time(self.plan.time_format.read(&number.scalar()).ok()),
            _ => false,
        }
    }

    #[inline(always)]
    fn string(&mut self, goal: Goal, string: &[u8]) -> bool {
        match goal {
            Goal::Time => self.set_time(self.plan.time_format.read_bytes(string)),
            Goal::Point { index, .. } => {
                str::from_utf8(string).is_ok_and(|text| self.convert(index, &Scalar::Text(text)))
            }
            _ => false,
        }
    }

    #[inline(always)]
    fn word(&mut self, goal: Goal, word: Option<bool>) -> bool {
        match (goal, word) {
            (Goal::Point { index, .. }, Some(word)) if self.conversion(index).kind == Kind::Boolean => {
                self.push(index, Some(word))
            }
            (Goal::Point { index, .. }, Some(word)) => self.convert(index, &Scalar::Boolean(word)),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Reader;
    use bulkhead_sdk::testing::Host;
    use bulkhead_sdk::{Reading, Status};

    /// The readings of the second payload, if it was read directly after the first.
    fn direct(settings: &str, payloads: [&str; 2]) -> Option<Vec<String>> {
        let _host = Host::install();
        let mapping = serde_json::from_str(settings).expect("a mapping");
        let mut reader = Reader::new(&mapping).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        let declarations = (0..reader.listed()).map(|index| reader.declaration(index, reader.name(index))).collect();
        let points = bulkhead_sdk::points::declare(declarations).expect("points");
        let mut listed = super::Listed::new(points);
        assert!(reader.read(payloads[0].as_bytes()).is_ok());
        let status_without_time = Status::UNCERTAIN_LAST_USABLE_VALUE;
        let payload = super::Payload { bytes: payloads[1].as_bytes(), received: 5, status_without_time };
        let mut readings = Vec::new();
        let is_direct = reader.read_alike(&mut listed, &payload, &mut readings);
        let line = |reading: &Reading| format!("{:?} at {:?}, {:x}", reading.value, reading.time, reading.status);
        is_direct.then(|| readings.iter().map(line).collect())
    }

    #[test]
    fn values_and_times_come_straight_from_the_payload() {
        let settings =
            r#"{"points":[{"path":"a","scale":2},{"path":"b","type":"text"}],"time":{"path":"t","format":"unix-s"}}"#;
        let payloads = [r#"{"a":1,"t":3,"b":"x"}"#, r#"{"a":1.5,"t":4,"b":"é"}"#];
        let expected =
            ["Some(Value::Real(3.0)) at Some(4000000000), 0", "Some(Value::Text(\"é\")) at Some(4000000000), 0"];
        assert_eq!(direct(settings, payloads).as_deref(), Some(&expected.map(str::to_owned)[..]));
        // A time that may be missing is missing: the moment it came, with the status of such readings.
        let settings = r#"{"points":[{"path":"a","type":"boolean"}],"time":{"path":"t","optional":true}}"#;
        let expected = ["Some(Value::Boolean(true)) at Some(5), 40900000".to_owned()];
        assert_eq!(direct(settings, [r#"{"a":false}"#, r#"{"a":true}"#]).as_deref(), Some(&expected[..]));
    }

    #[test]
    fn a_payload_is_compared_with_few_layouts_and_first_with_the_last_one() {
        let _host = Host::install();
        let mapping = serde_json::from_str(r#"{"points":[{"path":"a"}]}"#).expect("a mapping");
        let mut reader = Reader::new(&mapping).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        let points = bulkhead_sdk::points::declare(vec![reader.declaration(0, "a")]).expect("points");
        let payload = |layout: usize, value: &str| format!(r#"{{"a":{value},"{layout}":0}}"#);
        for layout in 0..10 {
            assert!(reader.read(payload(layout, "1").as_bytes()).is_ok());
        }
        let mut listed = super::Listed::new(points);
        let mut is_direct = |payload: String| {
            let payload = super::Payload { bytes: payload.as_bytes(), received: 5, status_without_time: Status::GOOD };
            let mut readings = Vec::new();
            let is_direct = reader.read_alike(&mut listed, &payload, &mut readings);
            assert_eq!(readings.len(), usize::from(is_direct));
            is_direct
        };
        // Those of 0 to 3, of 0 and 4 to 6, of 0 and 7 to 9.
        assert_eq!([9; 4].map(|layout| is_direct(payload(layout, "2"))), [false, false, true, true]);
        // Compared with 9 and three others, whichever they are.
        assert!(!is_direct(payload(9, "null")) && is_direct(payload(9, "3")));
    }

    #[test]
    fn what_has_something_to_report_is_not_read_directly() {
        let settings = r#"{"points":[{"path":"a"},{"path":"b","optional":true}]}"#;
        assert!(direct(settings, [r#"{"a":1,"b":2}"#, r#"{"a":2,"b":1}"#]).is_some());
        assert!(direct(settings, [r#"{"a":1}"#, r#"{"a":2}"#]).is_some());
        for payloads in [
            [r#"{"a":1,"b":2}"#, r#"{"a":1,"b":null}"#],
            [r#"{"a":1,"b":2}"#, r#"{"a":"x","b":2}"#],
            [r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#],
            // A name that stands twice.
            [r#"{"a":1,"a":2}"#, r#"{"a":1,"a":2}"#],
        ] {
            assert_eq!(direct(settings, payloads), None, "{payloads:?}");
        }
        for settings in
            [r#"{"points":[{"path":"a","type":"decimal"}]}"#, r#"{"points":[{"path":"a"}],"encoding":"latin-1"}"#, "{}"]
        {
            assert_eq!(direct(settings, [r#"{"a":1}"#, r#"{"a":1}"#]), None, "{settings}");
        }
    }
}
