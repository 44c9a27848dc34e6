//! The catalogue of the connection's points: declaring them up front, and handles for hot paths.

use crate::bindings::bulkhead::adapter::types::PointInfo;
use crate::{Command, Fault, Kind, WriteLimits, registry};

/// A declared point, for [`crate::Reading::at`]. Valid for the life of the instance.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Point(pub(crate) u32);

impl Point {
    /// The number the host gave.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0
    }

    /// The point a command is for.
    #[must_use]
    pub fn of(command: &Command) -> Point {
        Point(command.point)
    }

    /// Its name; none for a point that this instance has not declared.
    #[must_use]
    pub fn name(self) -> Option<String> {
        registry::with(|registry| registry.info(self.0).map(|info| info.name.clone()))
    }
}

/// A point about to be declared.
#[derive(Clone, PartialEq, Debug)]
pub struct NewPoint(PointInfo);

impl NewPoint {
    /// A point with a name (1 to 255 bytes without control characters, unique in the connection) and the kind of its
    /// values, and nothing else.
    #[must_use]
    pub fn new(name: &str, kind: Kind) -> Self {
        Self(info(name, kind))
    }

    /// With a unit of measure, such as `°C`.
    #[must_use]
    pub fn unit(mut self, unit: Option<&str>) -> Self {
        self.0.unit = unit.map(str::to_owned);
        self
    }

    /// With the poll group that reads it; none: the group `default`.
    #[must_use]
    pub fn group(mut self, group: Option<&str>) -> Self {
        self.0.group = group.map(str::to_owned);
        self
    }

    /// With what it means, for people.
    #[must_use]
    pub fn description(mut self, description: Option<&str>) -> Self {
        self.0.description = description.map(str::to_owned);
        self
    }

    /// It can be written within these limits; none: it cannot be written.
    #[must_use]
    pub fn writable(mut self, limits: Option<WriteLimits>) -> Self {
        self.0.write = limits;
        self
    }
}

pub(crate) fn info(name: &str, kind: Kind) -> PointInfo {
    PointInfo { name: name.to_owned(), kind, unit: None, group: None, write: None, description: None }
}

/// Declares points in one batch and returns their handles in the same order.
///
/// # Errors
/// `too-many-points` above the connection's limit, `bad-point-name` for a name that is none.
pub fn declare(points: Vec<NewPoint>) -> Result<Vec<Point>, Fault> {
    let infos: Vec<PointInfo> = points.into_iter().map(|point| point.0).collect();
    let numbers = declare_infos(&infos)?;
    registry::with(|registry| registry.remember(infos, &numbers));
    Ok(numbers.into_iter().map(Point).collect())
}

/// Declares one point.
///
/// # Errors
/// As [`declare`].
pub fn declare_one(point: NewPoint) -> Result<Point, Fault> {
    let declared = declare(vec![point])?;
    declared.first().copied().ok_or_else(|| Fault::retry("internal", "the host declared no point"))
}

#[cfg(target_family = "wasm")]
pub(crate) fn declare_infos(infos: &[PointInfo]) -> Result<Vec<u32>, Fault> {
    crate::bindings::bulkhead::adapter::points::declare(infos)
}

#[cfg(not(target_family = "wasm"))]
pub(crate) fn declare_infos(infos: &[PointInfo]) -> Result<Vec<u32>, Fault> {
    crate::testing::Host::current().declare(infos)
}
