//! How guessing is slowed down: after a few failures a name or an address has to wait, twice as long after each further one.
//! The decision is pure; [`Lockouts`] remembers a bounded number of names and addresses.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::Duration;

/// Failures of one name (a user, a key) that cost nothing.
pub(crate) const NAME_FREE_FAILURES: u32 = 5;
/// Failures of one address that cost nothing.
pub(crate) const ADDRESS_FREE_FAILURES: u32 = 20;
/// First wait; it doubles.
pub(crate) const WAIT_FIRST: Duration = Duration::from_secs(1);
/// Longest wait.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(15 * 60);
/// Failures are forgotten after this long without a further one.
pub(crate) const FORGOTTEN_AFTER: Duration = Duration::from_secs(30 * 60);
/// Names and addresses remembered; beyond it those go whose wait ends first.
pub(crate) const REMEMBERED_MAX: usize = 4_096;

/// The failures of a name or an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Failures {
    count: u32,
    last_ns: u64,
    /// Nothing is tried before.
    until_ns: u64,
}

impl Failures {
    fn again(self, now_ns: u64, free: u32) -> Self {
        let is_forgotten = now_ns.saturating_sub(self.last_ns) > nanos(FORGOTTEN_AFTER);
        let count = if is_forgotten { 1 } else { self.count.saturating_add(1) };
        let beyond = count.saturating_sub(free);
        let wait = match beyond {
            0 => Duration::ZERO,
            _ => WAIT_FIRST.saturating_mul(1 << (beyond - 1).min(20)).min(WAIT_MAX),
        };
        Self { count, last_ns: now_ns, until_ns: now_ns.saturating_add(nanos(wait)) }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// What has failed to say who it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Suspect<'s> {
    /// A user's or key's name, whether there is one or not.
    Name(&'s str),
    /// An address, as [`super::rate::address_of`] writes it.
    Address(&'s str),
}

impl Suspect<'_> {
    fn free(self) -> u32 {
        match self {
            Suspect::Name(_) => NAME_FREE_FAILURES,
            Suspect::Address(_) => ADDRESS_FREE_FAILURES,
        }
    }

    fn key(self) -> String {
        match self {
            Suspect::Name(name) => format!("n{name}"),
            Suspect::Address(address) => format!("a{address}"),
        }
    }
}

/// Who has failed lately.
#[derive(Default)]
pub(crate) struct Lockouts(Mutex<HashMap<String, Failures>>);

impl Lockouts {
    /// How long one has to wait; none: not at all.
    pub(crate) fn wait(&self, who: Suspect<'_>, now_ns: u64) -> Option<Duration> {
        let failures = *self.0.lock().get(&who.key())?;
        let left = failures.until_ns.saturating_sub(now_ns);
        (left > 0).then(|| Duration::from_nanos(left))
    }

    /// One more failure.
    pub(crate) fn failed(&self, who: Suspect<'_>, now_ns: u64) {
        let mut all = self.0.lock();
        let key = who.key();
        let failures = all.get(&key).copied().unwrap_or_default().again(now_ns, who.free());
        if all.len() >= REMEMBERED_MAX && !all.contains_key(&key) {
            let first = all.iter().min_by_key(|(_, failures)| (failures.until_ns, failures.last_ns));
            if let Some(first) = first.map(|(key, _)| key.clone()) {
                all.remove(&first);
            }
        }
        all.insert(key, failures);
    }

    /// A name that has proved itself starts anew. An address does not: one good account must not pay for guessing others.
    pub(crate) fn proved(&self, name: &str) {
        self.0.lock().remove(&Suspect::Name(name).key());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    #[test]
    fn waits_double_after_the_free_failures_up_to_the_longest() {
        let lockouts = Lockouts::default();
        let anna = Suspect::Name("anna");
        for _ in 0..NAME_FREE_FAILURES {
            lockouts.failed(anna, SECOND_NS);
            assert_eq!(lockouts.wait(anna, SECOND_NS), None);
        }
        for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900] {
            lockouts.failed(anna, SECOND_NS);
            assert_eq!(lockouts.wait(anna, SECOND_NS), Some(Duration::from_secs(seconds)));
        }
        assert_eq!(lockouts.wait(anna, 901 * SECOND_NS), None, "it ends");
        assert_eq!(lockouts.wait(Suspect::Name("otto"), SECOND_NS), None, "and is of nobody else");
        assert_eq!(lockouts.wait(Suspect::Address("anna"), SECOND_NS), None);
    }

    #[test]
    fn a_proof_or_time_lets_a_name_begin_anew() {
        let lockouts = Lockouts::default();
        let anna = Suspect::Name("anna");
        (0..7).for_each(|_| lockouts.failed(anna, 0));
        assert!(lockouts.wait(anna, 0).is_some());
        lockouts.proved("anna");
        assert_eq!(lockouts.wait(anna, 0), None);
        (0..7).for_each(|_| lockouts.failed(anna, 0));
        let later = 3_600 * SECOND_NS;
        lockouts.failed(anna, later);
        assert_eq!(lockouts.wait(anna, later), None);
    }

    #[test]
    fn the_memory_is_bounded_and_keeps_those_who_wait() {
        let lockouts = Lockouts::default();
        (0..7).for_each(|_| lockouts.failed(Suspect::Name("anna"), SECOND_NS));
        for n in 0..2 * REMEMBERED_MAX {
            lockouts.failed(Suspect::Name(&format!("u{n}")), SECOND_NS);
        }
        assert_eq!(lockouts.0.lock().len(), REMEMBERED_MAX);
        assert!(lockouts.wait(Suspect::Name("anna"), SECOND_NS).is_some());
    }
}
