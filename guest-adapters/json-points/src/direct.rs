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
    /// The layout that the last payload was like; others are tried after it.
    pub(crate) layout: usize,
}

/// The readings of a payload that is like a known one. False: it is like none, or not all of its values are of their kinds, and
/// no reading has been added.
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
    for _ in 0..layouts.len() {
        let (time, status) = (payload.received, payload.status_without_time);
        let mut direct = Direct { plan, points: &listed.points, readings, first, time, status };
        if layouts.follow(listed.layout, text, &mut direct) {
            return true;
        }
        readings.truncate(first);
        listed.layout = if listed.layout + 1 < layouts.len() { listed.layout + 1 } else { 0 };
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
        let mut listed = super::Listed { points, layout: 0 };
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
