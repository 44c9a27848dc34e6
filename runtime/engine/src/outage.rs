//! What of an outage is recorded: a pure policy over polled readings.
//!
//! While a device is down each poll would bring the same Bad status for the same points. One Bad reading a point tells
//! it; another follows each heartbeat, so that whoever reads knows that the outage goes on. Readings from frames do not
//! pass here: each of them is an event of its own.

use bulkhead_model::{PointId, Reading, Status};
use std::collections::HashMap;

/// Remembers which points are Bad and when that was last recorded.
#[derive(Debug, Clone)]
pub struct Outage {
    heartbeat_ns: u64,
    bad: HashMap<PointId, (Status, u64)>,
    left_out: u64,
}

impl Outage {
    /// Records a lasting Bad status once each `heartbeat_ns`.
    #[must_use]
    pub fn new(heartbeat_ns: u64) -> Self {
        Self { heartbeat_ns, bad: HashMap::new(), left_out: 0 }
    }

    /// Takes repeated Bad readings out; the rest is to be recorded.
    pub fn filter(&mut self, readings: &mut Vec<Reading>, now_ns: u64) {
        if self.bad.is_empty() && !readings.iter().any(|reading| reading.status.is_bad()) {
            return;
        }
        readings.retain(|reading| self.is_news(reading, now_ns));
    }

    fn is_news(&mut self, reading: &Reading, now_ns: u64) -> bool {
        if !reading.status.is_bad() {
            self.bad.remove(&reading.point);
            return true;
        }
        let repeats = self.bad.get(&reading.point).is_some_and(|(status, recorded_ns)| {
            *status == reading.status && now_ns.saturating_sub(*recorded_ns) < self.heartbeat_ns
        });
        if repeats {
            self.left_out += 1;
        } else {
            self.bad.insert(reading.point, (reading.status, now_ns));
        }
        !repeats
    }

    /// How many repeated Bad readings were not recorded.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.left_out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_model::{Timestamp, Value};

    fn reading(status: Status) -> Reading {
        let value = (!status.is_bad()).then_some(Value::Real(1.0));
        Reading { point: PointId(1), time: Timestamp(0), status, value }
    }

    fn recorded(outage: &mut Outage, status: Status, now_ns: u64) -> bool {
        let mut readings = vec![reading(status)];
        outage.filter(&mut readings, now_ns);
        !readings.is_empty()
    }

    #[test]
    fn an_outage_is_recorded_at_its_start_at_each_heartbeat_and_when_its_reason_changes() {
        let mut outage = Outage::new(100);
        assert!(recorded(&mut outage, Status::GOOD, 0));
        assert!(recorded(&mut outage, Status::BAD_TIMEOUT, 10));
        assert!(!recorded(&mut outage, Status::BAD_TIMEOUT, 20));
        assert!(recorded(&mut outage, Status::BAD_NOT_CONNECTED, 30));
        assert!(!recorded(&mut outage, Status::BAD_NOT_CONNECTED, 129));
        assert!(recorded(&mut outage, Status::BAD_NOT_CONNECTED, 130));
        assert!(recorded(&mut outage, Status::GOOD, 140));
        assert!(recorded(&mut outage, Status::BAD_NOT_CONNECTED, 150));
        assert_eq!(outage.left_out(), 2);
    }

    #[test]
    fn a_good_reading_is_never_left_out() {
        let mut outage = Outage::new(100);
        assert!((0..10).all(|now| recorded(&mut outage, Status::GOOD, now)));
        assert!((0..10).all(|now| recorded(&mut outage, Status::UNCERTAIN, now)));
    }
}
