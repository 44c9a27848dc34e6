//! Misbehaviour on demand: which answer goes wrong, and how.

use parking_lot::Mutex;
use std::{
    ops::RangeInclusive,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Rules that wait; a further one pushes out the first.
const MAX_RULES: usize = 10_000;

/// How one answer goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The right answer, after this long; requests behind it on the same connection wait.
    Delay(Duration),
    /// The right answer, after this long, while later requests are answered at once: what comes after its timeout
    /// meets the next request.
    Late(Duration),
    /// No answer.
    DropAnswer,
    /// A transaction id that was not asked; over RTU, which has none, a wrong checksum.
    WrongTransaction,
    /// Another unit's id.
    WrongUnit,
    /// Another function code than was asked.
    WrongFunction,
    /// Half the answer, then the connection is closed; over RTU half the answer, then silence.
    Torn,
    /// The connection is closed without an answer; over RTU the device falls silent for good.
    Close,
    /// This exception code, see [`super::exception`].
    Exception(u8),
    /// Bytes that are no frame.
    Garbage,
}

/// A fault and the requests it befalls.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FaultRule {
    /// What happens.
    pub fault: Fault,
    /// How many times; without, until cleared.
    pub times: Option<u32>,
    /// Only requests to this unit.
    pub unit: Option<u8>,
    /// Only requests whose first address lies here.
    pub addresses: Option<RangeInclusive<u16>>,
}

impl From<Fault> for FaultRule {
    fn from(fault: Fault) -> Self {
        Self { fault, times: None, unit: None, addresses: None }
    }
}

#[derive(Debug, Default)]
struct Shared {
    armed: AtomicBool,
    rules: Mutex<Vec<FaultRule>>,
}

/// The faults a device shows; clones share them. The first rule that matches a request decides.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Shared>);

impl Faults {
    /// The next `times` requests meet this fault (after those already lined up).
    pub fn next(&self, fault: Fault, times: u32) {
        self.add(FaultRule { times: Some(times), ..fault.into() });
    }

    /// Every request meets this fault until cleared.
    pub fn always(&self, fault: Fault) {
        self.add(fault.into());
    }

    /// Adds a rule behind those there are.
    pub fn add(&self, rule: FaultRule) {
        if rule.times != Some(0) {
            let mut rules = self.0.rules.lock();
            if rules.len() >= MAX_RULES {
                rules.remove(0);
            }
            rules.push(rule);
            self.0.armed.store(true, Ordering::Release);
        }
    }

    /// The device behaves again.
    pub fn clear(&self) {
        let mut rules = self.0.rules.lock();
        rules.clear();
        self.0.armed.store(false, Ordering::Release);
    }

    /// The fault that befalls a request, used up by one.
    pub(crate) fn take(&self, unit: u8, address: u16) -> Option<Fault> {
        if !self.0.armed.load(Ordering::Acquire) {
            return None;
        }
        let mut rules = self.0.rules.lock();
        let index = rules.iter().position(|rule| {
            rule.unit.is_none_or(|only| only == unit)
                && rule.addresses.as_ref().is_none_or(|only| only.contains(&address))
        })?;
        let fault = rules[index].fault;
        if let Some(times) = &mut rules[index].times {
            *times -= 1;
            if *times == 0 {
                rules.remove(index);
            }
        }
        self.0.armed.store(!rules.is_empty(), Ordering::Release);
        Some(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_used_up_in_order_and_only_by_their_requests() {
        let faults = Faults::default();
        assert_eq!(faults.take(1, 0), None);
        faults.add(FaultRule { fault: Fault::Torn, times: Some(1), unit: Some(2), addresses: Some(10..=20) });
        faults.next(Fault::DropAnswer, 2);
        assert_eq!(faults.take(2, 9), Some(Fault::DropAnswer));
        assert_eq!(faults.take(2, 10), Some(Fault::Torn));
        assert_eq!(faults.take(2, 10), Some(Fault::DropAnswer));
        assert_eq!(faults.take(2, 10), None);
        faults.always(Fault::Close);
        assert_eq!(faults.take(9, 9), Some(Fault::Close));
        faults.clear();
        assert_eq!(faults.take(9, 9), None);
    }
}
