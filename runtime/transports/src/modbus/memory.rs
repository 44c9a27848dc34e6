//! What was learned about a device: the plan for each list of spans, with requests it refused already split and spans it
//! does not have set aside, so that a poll pays for a refusal once and not each time. Bounded, and forgotten now and
//! then, because devices are changed.

use super::coalesce::{Limits, Plan, Request, plan};
use super::grant::ReadGrant;
use bulkhead_sandbox::capability::{Fault, Span};
use std::sync::Arc;

/// Most span lists remembered for one device; beyond it the one used least recently goes.
const PLANS_MAX: usize = 64;
/// After this time a split plan is forgotten, so that a device that has learned more is read in large requests again.
const SPLIT_TTL_NS: u64 = 600 * 1_000_000_000;
/// A span the device refused alone is asked for again after this time.
const REFUSED_TTL_NS: u64 = 60 * 1_000_000_000;

/// A span the device does not have, as it said.
#[derive(Debug, Clone)]
pub(crate) struct Missing {
    pub(crate) request: Request,
    pub(crate) fault: Fault,
    asked_ns: u64,
}

/// The plan for one list of spans, as learned so far.
#[derive(Debug, Clone)]
pub(crate) struct Learned {
    pub(crate) spans: Arc<[Span]>,
    pub(crate) plan: Plan,
    pub(crate) missing: Vec<Missing>,
    split_ns: Option<u64>,
    used: u64,
}

impl Learned {
    /// Takes over what a read found out: the requests that were answered, and the spans that were refused.
    pub(crate) fn learn(&mut self, requests: Vec<Request>, missing: Vec<(Request, Fault)>, now_ns: u64) {
        self.split_ns.get_or_insert(now_ns);
        self.plan.requests = requests;
        let missing = missing.into_iter().map(|(request, fault)| Missing { request, fault, asked_ns: now_ns });
        self.missing.extend(missing);
    }

    /// Puts spans that were refused long enough ago back among the requests.
    fn ask_again(&mut self, now_ns: u64) {
        let requests = &mut self.plan.requests;
        self.missing.retain(|missing| {
            let keep = now_ns.saturating_sub(missing.asked_ns) < REFUSED_TTL_NS;
            if !keep {
                requests.push(missing.request.clone());
            }
            keep
        });
    }
}

/// The plans of one device.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    grant: ReadGrant,
    plans: Vec<Learned>,
    uses: u64,
}

impl Memory {
    /// Of a device of which this may be read.
    pub(crate) fn new(grant: ReadGrant) -> Self {
        Self { grant, ..Self::default() }
    }

    /// Takes the plan for a list of spans out: the remembered one, or a new one. Give it back with [`Memory::put`].
    pub(crate) fn take(&mut self, spans: &[Span], limits: Limits, now_ns: u64) -> Learned {
        self.uses += 1;
        let known = self.plans.iter().position(|learned| *learned.spans == *spans);
        let fresh = |learned: &Learned| learned.split_ns.is_none_or(|at| now_ns.saturating_sub(at) < SPLIT_TTL_NS);
        let mut learned = match known.map(|index| self.plans.swap_remove(index)).filter(fresh) {
            Some(learned) => learned,
            None => Learned {
                spans: spans.into(),
                plan: plan(spans, limits, &self.grant),
                missing: Vec::new(),
                split_ns: None,
                used: 0,
            },
        };
        learned.ask_again(now_ns);
        learned.used = self.uses;
        learned
    }

    /// Keeps a plan for the next time.
    pub(crate) fn put(&mut self, learned: Learned) {
        // Two instances may have read the same spans at the same time: the later outcome counts.
        self.plans.retain(|other| other.spans != learned.spans);
        if self.plans.len() >= PLANS_MAX
            && let Some(oldest) = (0..self.plans.len()).min_by_key(|&index| self.plans[index].used)
        {
            self.plans.swap_remove(oldest);
        }
        self.plans.push(learned);
    }

    /// Forgets everything: another device may be there now.
    pub(crate) fn clear(&mut self) {
        self.plans.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::super::coalesce::split;
    use super::*;
    use bulkhead_sandbox::capability::{Remedy, Table};

    const LIMITS: Limits = Limits { gap_fill: 8, max_registers: 125, max_bits: 2000 };

    fn spans(from: u16) -> Vec<Span> {
        (from..from + 4).map(|address| Span { table: Table::HoldingRegister, address, count: 1 }).collect()
    }

    #[test]
    fn a_split_is_remembered_and_forgotten_in_time() {
        let (mut memory, spans) = (Memory::default(), spans(0));
        let mut learned = memory.take(&spans, LIMITS, 0);
        let mut halves = split(&learned.plan.requests[0], &spans, LIMITS).unwrap();
        let fault = Fault::new(Remedy::Reject, "illegal-data-address", "no");
        let refused = halves.pop().unwrap();
        learned.learn(halves, vec![(refused, fault)], 0);
        memory.put(learned);

        let learned = memory.take(&spans, LIMITS, REFUSED_TTL_NS - 1);
        assert_eq!((learned.plan.requests.len(), learned.missing.len()), (1, 1), "not asked for again");
        memory.put(learned);
        let learned = memory.take(&spans, LIMITS, REFUSED_TTL_NS);
        assert_eq!((learned.plan.requests.len(), learned.missing.len()), (2, 0), "asked for again");
        memory.put(learned);
        let learned = memory.take(&spans, LIMITS, SPLIT_TTL_NS);
        assert_eq!(learned.plan.requests.len(), 1, "merged again");
    }

    #[test]
    fn memory_is_bounded_and_keeps_what_is_used() {
        let mut memory = Memory::default();
        for round in 0..3 * u16::try_from(PLANS_MAX).unwrap() {
            for from in [1000, round] {
                let learned = memory.take(&spans(from), LIMITS, 0);
                memory.put(learned);
            }
            assert!(memory.plans.len() <= PLANS_MAX);
        }
        assert!(memory.plans.iter().any(|learned| learned.spans[0].address == 1000));
    }
}
