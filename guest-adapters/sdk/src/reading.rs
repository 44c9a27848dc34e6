//! Readings: one value of one point at one time, named by text or by a declared point.

use crate::registry::{self, Registry};
use crate::{Kind, Point, Reading, Status, Value, WriteLimits};

impl Reading {
    /// A Good reading of the point `name`. The point is declared when the call that returns this reading ends, with the
    /// value's kind; later readings of the same name and kind cost one look-up and no text crosses to the host. A
    /// number that is not finite becomes a Bad reading without a value: see [`Reading::at`].
    #[must_use]
    pub fn new(name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        let point = registry::with(|registry| registry.number(name, value.kind()));
        Self::at(Point(point), value)
    }

    /// A reading without a value of the point `name`, which has (or would have) values of `kind`.
    #[must_use]
    pub fn without_value(name: &str, kind: Kind, status: Status) -> Self {
        Self {
            point: registry::with(|registry| registry.number(name, kind)),
            time: None,
            status: status.0,
            value: None,
        }
    }

    /// A Good reading of a declared point, for paths where a look-up by name costs too much. `value` must be of the
    /// point's kind. NaN becomes `BadNoData` and an infinity `BadOutOfRange`, both without a value: neither is a
    /// measurement, and neither may turn into a zero on its way.
    #[must_use]
    pub fn at(point: Point, value: impl Into<Value>) -> Self {
        let value = value.into();
        if let Value::Real(number) = value
            && !number.is_finite()
        {
            return Self::bad(point, if number.is_nan() { Status::BAD_NO_DATA } else { Status::BAD_OUT_OF_RANGE });
        }
        Self { point: point.0, time: None, status: Status::GOOD.0, value: Some(value) }
    }

    /// A reading without a value of a declared point.
    #[must_use]
    pub fn bad(point: Point, status: Status) -> Self {
        Self { point: point.0, time: None, status: status.0, value: None }
    }

    /// Its point.
    #[must_use]
    pub fn point(&self) -> Point {
        Point(self.point)
    }

    /// With another status.
    #[must_use]
    pub fn status(mut self, status: Status) -> Self {
        self.status = status.0;
        self
    }

    /// With the moment of acquisition, nanoseconds since the Unix epoch. Without: the host sets the moment its request
    /// was sent or its frame arrived.
    #[must_use]
    pub fn time(mut self, nanoseconds: i64) -> Self {
        self.time = Some(nanoseconds);
        self
    }

    /// With the point's unit of measure, such as `°C`.
    #[must_use]
    pub fn unit(self, unit: &str) -> Self {
        self.change(|registry, number| registry.set_unit(number, unit))
    }

    /// With the poll group that reads the point.
    #[must_use]
    pub fn group(self, group: &str) -> Self {
        self.change(|registry, number| registry.set_group(number, group))
    }

    /// With what the point means, for people.
    #[must_use]
    pub fn description(self, description: &str) -> Self {
        self.change(|registry, number| registry.set_description(number, description))
    }

    /// The point can be written, within these limits.
    #[must_use]
    pub fn writable(self, limits: WriteLimits) -> Self {
        self.change(|registry, number| registry.set_write(number, limits))
    }

    fn change(self, change: impl FnOnce(&mut Registry, u32)) -> Self {
        registry::with(|registry| change(registry, self.point));
        self
    }
}

/// Limits as ranges: `(0.0..=100.0).into()` accepts 0 to 100, `(..).into()` everything.
impl From<std::ops::RangeInclusive<f64>> for WriteLimits {
    fn from(range: std::ops::RangeInclusive<f64>) -> Self {
        Self { min: Some(*range.start()), max: Some(*range.end()) }
    }
}

impl From<std::ops::RangeFull> for WriteLimits {
    fn from(_: std::ops::RangeFull) -> Self {
        Self { min: None, max: None }
    }
}
