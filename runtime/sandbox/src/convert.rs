//! Between the values of the WIT package and those of `bulkhead-model`, with the checks that a guest's word needs.

use crate::bindings::bulkhead::adapter::types as wit;
use crate::limits::{FILE_MAX_BYTES, FILE_NAME_MAX_BYTES, VALUE_MAX_BYTES};
use crate::points::{Declared, PointTable};
use bulkhead_model::{File, Kind, PointInfo, Reading, Status, Timestamp, Value, WriteLimits};

/// A value from a guest.
#[must_use]
pub fn value_to_model(value: wit::Value) -> Value {
    match value {
        wit::Value::Boolean(value) => Value::Boolean(value),
        wit::Value::Integer(value) => Value::Integer(value),
        wit::Value::Real(value) => Value::Real(value),
        wit::Value::Decimal(text) => Value::Decimal(text),
        wit::Value::Text(text) => Value::Text(text),
        wit::Value::Time(time) => Value::Time(time),
        wit::Value::Duration(duration) => Value::Duration(duration),
        wit::Value::Bytes(bytes) => Value::Bytes(bytes),
        wit::Value::File(file) => {
            Value::File(Box::new(File { name: file.name, media_type: file.media_type, data: file.data }))
        }
    }
}

/// A value for a guest.
#[must_use]
pub fn value_to_wit(value: Value) -> wit::Value {
    match value {
        Value::Boolean(value) => wit::Value::Boolean(value),
        Value::Integer(value) => wit::Value::Integer(value),
        Value::Real(value) => wit::Value::Real(value),
        Value::Decimal(text) => wit::Value::Decimal(text),
        Value::Text(text) => wit::Value::Text(text),
        Value::Time(time) => wit::Value::Time(time),
        Value::Duration(duration) => wit::Value::Duration(duration),
        Value::Bytes(bytes) => wit::Value::Bytes(bytes),
        Value::File(file) => {
            wit::Value::File(wit::File { name: file.name, media_type: file.media_type, data: file.data })
        }
    }
}

/// A kind for a guest.
#[must_use]
pub fn kind_to_wit(kind: Kind) -> wit::Kind {
    match kind {
        Kind::Boolean => wit::Kind::Boolean,
        Kind::Integer => wit::Kind::Integer,
        Kind::Real => wit::Kind::Real,
        Kind::Decimal => wit::Kind::Decimal,
        Kind::Text => wit::Kind::Text,
        Kind::Time => wit::Kind::Time,
        Kind::Duration => wit::Kind::Duration,
        Kind::Bytes => wit::Kind::Bytes,
        Kind::File => wit::Kind::File,
    }
}

fn kind_to_model(kind: wit::Kind) -> Kind {
    match kind {
        wit::Kind::Boolean => Kind::Boolean,
        wit::Kind::Integer => Kind::Integer,
        wit::Kind::Real => Kind::Real,
        wit::Kind::Decimal => Kind::Decimal,
        wit::Kind::Text => Kind::Text,
        wit::Kind::Time => Kind::Time,
        wit::Kind::Duration => Kind::Duration,
        wit::Kind::Bytes => Kind::Bytes,
        wit::Kind::File => Kind::File,
    }
}

/// A command for a guest; `number` is the point's number inside the guest.
#[must_use]
pub fn command_to_wit(number: u32, value: Value) -> wit::Command {
    wit::Command { point: number, value: value_to_wit(value) }
}

pub(crate) fn point_info_to_model(info: wit::PointInfo) -> PointInfo {
    PointInfo {
        name: info.name,
        kind: kind_to_model(info.kind),
        unit: info.unit,
        group: info.group,
        write: info.write.map(|limits| WriteLimits { min: limits.min, max: limits.max }),
        description: info.description,
    }
}

/// What a guest returned, checked.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    /// The readings that can be stored.
    pub(crate) readings: Vec<Reading>,
    /// Readings for numbers that were never declared; they belong to no point, so nothing can be stored.
    pub(crate) unknown_points: u32,
    /// The first reading whose value was not of its point's kind; it is stored with `BadTypeMismatch` and no value.
    pub(crate) first_mismatch: Option<(String, Kind, Kind)>,
}

/// The times that the host gave to a call: a reading without a time of its own bears one of them.
#[derive(Debug, Clone)]
pub(crate) struct HostTimes {
    /// For readings without a time.
    pub(crate) default: Timestamp,
    /// Those among the host's times that its clock is not sure of; as a rule none.
    pub(crate) doubted: Vec<Timestamp>,
}

impl HostTimes {
    fn doubts(&self, time: Timestamp) -> bool {
        !self.doubted.is_empty() && self.doubted.contains(&time)
    }
}

/// Readings from a guest. One without a time gets the host's. A Good reading whose time is the host's becomes Uncertain where
/// the host's clock is not sure of it; a time of the source's own is left to the source. A Good reading must carry a value: without one it
/// becomes `BadNoData`, since a missing value must not look like a right one.
pub(crate) fn readings_to_model(readings: Vec<wit::Reading>, points: &PointTable, times: &HostTimes) -> Checked {
    points.with(|points| {
        let mut checked = Checked { readings: Vec::with_capacity(readings.len()), ..Checked::default() };
        for reading in readings {
            match points.get(reading.point as usize) {
                Some(point) => {
                    let reading = check(reading, point, times, &mut checked.first_mismatch);
                    checked.readings.push(reading);
                }
                None => checked.unknown_points += 1,
            }
        }
        checked
    })
}

fn check(
    reading: wit::Reading,
    point: &Declared,
    times: &HostTimes,
    first_mismatch: &mut Option<(String, Kind, Kind)>,
) -> Reading {
    let mut status = Status(reading.status);
    let mut value = reading.value.map(value_to_model);
    if let Some(found) = value.as_ref().map(Value::kind)
        && found != point.info.kind
    {
        first_mismatch.get_or_insert_with(|| (point.info.name.clone(), point.info.kind, found));
        status = Status::BAD_TYPE_MISMATCH;
        value = None;
    }
    if value.as_ref().is_some_and(is_too_large) {
        status = Status::BAD_OUT_OF_RANGE;
        value = None;
    }
    if value.is_none() && !status.is_bad() {
        status = Status::BAD_NO_DATA;
    }
    let time = reading.time.map_or(times.default, Timestamp);
    if status.is_good() && times.doubts(time) {
        status = Status::UNCERTAIN;
    }
    Reading { point: point.id, time, status, value }
}

/// Whether a value passes the bounds for files, texts and bytes.
fn is_too_large(value: &Value) -> bool {
    match value {
        Value::File(file) => {
            file.data.len() > FILE_MAX_BYTES
                || file.name.len() > FILE_NAME_MAX_BYTES
                || file.media_type.len() > FILE_NAME_MAX_BYTES
        }
        Value::Text(text) | Value::Decimal(text) => text.len() > VALUE_MAX_BYTES,
        Value::Bytes(bytes) => bytes.len() > VALUE_MAX_BYTES,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_model::PointId;

    fn reading(point: u32, value: Option<wit::Value>) -> wit::Reading {
        wit::Reading { point, time: None, status: 0, value }
    }

    #[test]
    fn a_wrong_kind_a_missing_value_and_an_unknown_point_never_look_right() {
        let points = PointTable::default();
        points.add(vec![Declared { id: PointId(5), info: PointInfo::new("level", Kind::Real).into() }]);
        let given = vec![
            reading(0, Some(wit::Value::Real(1.0))),
            reading(0, Some(wit::Value::Integer(1))),
            reading(0, None),
            reading(3, None),
        ];
        let times = HostTimes { default: Timestamp(9), doubted: Vec::new() };
        let checked = readings_to_model(given, &points, &times);
        let statuses: Vec<Status> = checked.readings.iter().map(|reading| reading.status).collect();
        assert_eq!(statuses, [Status::GOOD, Status::BAD_TYPE_MISMATCH, Status::BAD_NO_DATA]);
        assert!(checked.readings.iter().all(|reading| reading.point == PointId(5) && reading.time == Timestamp(9)));
        assert_eq!(
            (checked.unknown_points, checked.first_mismatch),
            (1, Some(("level".into(), Kind::Real, Kind::Integer)))
        );
    }

    #[test]
    fn a_time_of_the_host_that_is_doubted_makes_a_good_reading_uncertain_and_leaves_others_alone() {
        let points = PointTable::default();
        points.add(vec![Declared { id: PointId(5), info: PointInfo::new("level", Kind::Real).into() }]);
        let given =
            |time: Option<i64>, status: u32| wit::Reading { time, status, ..reading(0, Some(wit::Value::Real(1.0))) };
        let given = vec![
            given(None, 0),
            given(Some(7), 0),
            given(Some(8), 0),
            given(Some(1_000), 0),
            given(None, Status::BAD_TIMEOUT.0),
            given(None, Status::UNCERTAIN_SENSOR_NOT_ACCURATE.0),
        ];
        // Frames arrived at 7 and 8; the clock was set in between.
        let times = HostTimes { default: Timestamp(7), doubted: vec![Timestamp(7)] };
        let checked = readings_to_model(given, &points, &times);
        let statuses: Vec<Status> = checked.readings.iter().map(|reading| reading.status).collect();
        let (uncertain, good) = (Status::UNCERTAIN, Status::GOOD);
        let (bad, inaccurate) = (Status::BAD_TIMEOUT, Status::UNCERTAIN_SENSOR_NOT_ACCURATE);
        assert_eq!(statuses, [uncertain, uncertain, good, good, bad, inaccurate]);
    }

    #[test]
    fn values_survive_the_way_there_and_back() {
        let file = File { name: "a.png".into(), media_type: "image/png".into(), data: vec![1, 2] };
        for value in
            [Value::Decimal("1.50".into()), Value::Bytes(vec![0]), Value::File(Box::new(file)), Value::Time(-1)]
        {
            assert_eq!(value_to_model(value_to_wit(value.clone())), value);
        }
    }
}
