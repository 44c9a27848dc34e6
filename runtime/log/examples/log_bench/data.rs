//! The readings that are appended: made from their number alone, so that they can be made again.

use bulkhead_log::{Log, LogError};
use bulkhead_model::{Kind, PointId, PointInfo, Reading, Status, Timestamp, Value};

/// Points of one connection; the most it may have is 20,000.
const POINTS_PER_CONNECTION: usize = 1000;
/// 1 January 2026.
pub(crate) const START_NS: i64 = 1_767_225_600_000_000_000;

/// What the readings' values are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Values {
    /// Doubles between 1 and 2, every bit of the fraction drawn.
    Random,
    /// Registers of 16 bits: one in four changes from cycle to cycle, by up to 3.
    Registers,
}

/// A number without pattern.
pub(crate) fn mix(mut number: u64) -> u64 {
    number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

impl Values {
    fn kind(self) -> Kind {
        match self {
            Self::Random => Kind::Real,
            Self::Registers => Kind::Integer,
        }
    }

    fn of(self, point: u64, cycle: u64) -> Value {
        match self {
            Self::Random => Value::Real(f64::from_bits(0x3ff0_0000_0000_0000 | (mix((point << 40) | cycle) >> 12))),
            // A walk that needs no memory: the sum of a slow and a quick part, each held for some cycles.
            Self::Registers => {
                let held = |cycles: u64, range: u64| mix((point << 40) | (cycle / cycles)) % range;
                let base = mix(point) % 60_000;
                Value::Integer((base + held(4, 4) + 3 * held(64, 9)).cast_signed())
            }
        }
    }
}

/// Points that are polled one after another, all once a cycle.
#[derive(Debug)]
pub(crate) struct Plant {
    pub(crate) points: Vec<PointId>,
    pub(crate) values: Values,
    pub(crate) cycle_ns: i64,
}

impl Plant {
    /// Declares the points.
    pub(crate) fn declare(log: &Log, points: usize, values: Values, cycle_ns: i64) -> Result<Self, LogError> {
        let mut ids = Vec::with_capacity(points);
        for connection in 0..points.div_ceil(POINTS_PER_CONNECTION) {
            let first = connection * POINTS_PER_CONNECTION;
            let infos: Vec<_> = (first..points.min(first + POINTS_PER_CONNECTION))
                .map(|index| PointInfo::new(format!("holding/{:05}", index - first), values.kind()))
                .collect();
            ids.extend(log.declare(&format!("plc-{connection:03}"), &infos)?);
        }
        Ok(Self { points: ids, values, cycle_ns })
    }

    /// The reading of a number: the points in turn. Those of 100 neighbouring points have the time of one request, a
    /// little later in each cycle than planned.
    pub(crate) fn reading(&self, number: usize) -> Reading {
        let (cycle, index) = (number / self.points.len(), number % self.points.len());
        let request = index / 100;
        let late_ns = mix(((cycle as u64) << 20) | request as u64) % 3_000_000;
        let time = START_NS + cycle as i64 * self.cycle_ns + request as i64 * 1_000_000 + late_ns.cast_signed();
        Reading {
            point: self.points[index],
            time: Timestamp(time),
            status: Status::GOOD,
            value: Some(self.values.of(index as u64, cycle as u64)),
        }
    }

    /// Some readings from a number on.
    pub(crate) fn batch(&self, from: usize, rows: usize) -> Vec<Reading> {
        (from..from + rows).map(|number| self.reading(number)).collect()
    }
}
