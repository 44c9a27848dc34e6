//! Readings: one value of one point at one time.

use crate::{PointId, Status, Timestamp, Value};

/// A reading's number in the log: rising, never used twice, with gaps where a lost tail was skipped. The first is 1.
pub type Seq = u64;

/// One value of one point at one time.
#[derive(Clone, PartialEq, Debug)]
pub struct Reading {
    /// The point.
    pub point: PointId,
    /// When the value was acquired; never later than that.
    pub time: Timestamp,
    /// How far it can be trusted.
    pub status: Status,
    /// The value, of the point's kind; none where a Bad status has none.
    pub value: Option<Value>,
}
