//! How guessing is slowed down: after a few failures a user's name, an address, or a name from an address has to wait, twice as
//! long after each further one. Failures are forgiven one by one with time. The decision is pure; [`Lockouts`] remembers a bounded
//! number of suspects, each in a few bytes however long a name is.
//!
//! A name as a whole waits only briefly, and not at all at addresses that have proved to be its user lately: otherwise whoever
//! knows a name could keep its user out.

use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::time::Duration;

/// Failures of one user's name, and of it from one address, that cost nothing.
pub(crate) const NAME_FREE_FAILURES: u32 = 5;
/// Failures of one address that cost nothing.
pub(crate) const ADDRESS_FREE_FAILURES: u32 = 20;
/// First wait; it doubles.
pub(crate) const WAIT_FIRST: Duration = Duration::from_secs(1);
/// Longest wait of an address, and of a name from one address.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(15 * 60);
/// Longest wait of a name from addresses that are not known to be its user's: those who guess from many addresses share it.
pub(crate) const NAME_WAIT_MAX: Duration = Duration::from_secs(60);
/// One failure is forgiven each time so much has passed.
pub(crate) const FORGIVEN_EVERY: Duration = Duration::from_secs(5 * 60);
/// Failures beyond the free ones that are counted; more make no longer wait and would take the longer to be forgiven.
const COUNTED_BEYOND_MAX: u32 = 12;
/// Suspects remembered; beyond it those go whose wait ends first.
pub(crate) const REMEMBERED_MAX: usize = 4_096;
/// Addresses remembered that have proved to be a user's; beyond it the one goes that did so longest ago.
pub(crate) const KNOWN_MAX: usize = 1_024;
/// How long an address is known as a user's after a proof.
pub(crate) const KNOWN_FOR: Duration = Duration::from_secs(30 * 24 * 3_600);

/// The failures of a suspect.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Failures {
    count: u32,
    /// Up to when failures have been forgiven.
    forgiven_ns: u64,
    /// Nothing is tried before.
    until_ns: u64,
}

impl Failures {
    /// With one more, a moment after those before.
    fn again(self, now_ns: u64, limits: Limits) -> Self {
        let every_ns = nanos(FORGIVEN_EVERY);
        let forgiven = now_ns.saturating_sub(self.forgiven_ns) / every_ns;
        let left = self.count.saturating_sub(u32::try_from(forgiven).unwrap_or(u32::MAX));
        let forgiven_ns = if left == 0 { now_ns } else { self.forgiven_ns.saturating_add(forgiven * every_ns) };
        let count = left.saturating_add(1).min(limits.free + COUNTED_BEYOND_MAX);
        let wait = match count.saturating_sub(limits.free) {
            0 => Duration::ZERO,
            beyond => WAIT_FIRST.saturating_mul(1 << (beyond - 1).min(20)).min(limits.wait_max),
        };
        Self { count, forgiven_ns, until_ns: now_ns.saturating_add(nanos(wait)) }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// What costs nothing and what at most.
#[derive(Clone, Copy)]
struct Limits {
    free: u32,
    wait_max: Duration,
}

/// What stands for a suspect in memory.
type Key = [u8; 16];

/// What has failed to say who it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Suspect<'s> {
    /// A user's name from anywhere, whether there is such a user or not.
    User(&'s str),
    /// A user's name from an address.
    UserAt(&'s str, &'s str),
    /// An address, as [`super::rate::address_of`] writes it.
    Address(&'s str),
}

impl Suspect<'_> {
    fn limits(self) -> Limits {
        match self {
            Suspect::User(_) => Limits { free: NAME_FREE_FAILURES, wait_max: NAME_WAIT_MAX },
            Suspect::UserAt(..) => Limits { free: NAME_FREE_FAILURES, wait_max: WAIT_MAX },
            Suspect::Address(_) => Limits { free: ADDRESS_FREE_FAILURES, wait_max: WAIT_MAX },
        }
    }

    fn key(self) -> Key {
        let (kind, parts) = match self {
            Suspect::User(name) => (0_u8, [name, ""]),
            Suspect::UserAt(name, address) => (1, [name, address]),
            Suspect::Address(address) => (2, [address, ""]),
        };
        let mut hash = Sha256::new().chain_update([kind]);
        for part in parts {
            hash = hash.chain_update((part.len() as u64).to_le_bytes()).chain_update(part);
        }
        let hash: [u8; 32] = hash.finalize().into();
        std::array::from_fn(|at| hash[at])
    }
}

#[derive(Default)]
struct Memory {
    failures: HashMap<Key, Failures>,
    /// Users at addresses that proved it, with the end of that.
    known: HashMap<Key, u64>,
}

impl Memory {
    fn wait(&self, who: Suspect<'_>, now_ns: u64) -> Option<Duration> {
        let left = self.failures.get(&who.key())?.until_ns.saturating_sub(now_ns);
        (left > 0).then(|| Duration::from_nanos(left))
    }

    fn failed(&mut self, who: Suspect<'_>, now_ns: u64) {
        let key = who.key();
        let failures = self.failures.get(&key).copied().unwrap_or_default().again(now_ns, who.limits());
        if self.failures.len() >= REMEMBERED_MAX && !self.failures.contains_key(&key) {
            let first = self.failures.iter().min_by_key(|(_, failures)| (failures.until_ns, failures.forgiven_ns));
            if let Some(first) = first.map(|(key, _)| *key) {
                self.failures.remove(&first);
            }
        }
        self.failures.insert(key, failures);
    }

    fn knows(&self, user: &str, address: &str, now_ns: u64) -> bool {
        self.known.get(&Suspect::UserAt(user, address).key()).is_some_and(|until_ns| *until_ns > now_ns)
    }
}

/// Who has failed lately, and which addresses are known as which user's.
#[derive(Default)]
pub(crate) struct Lockouts(Mutex<Memory>);

impl Lockouts {
    /// How long an address has to wait before it tries a credential, of a user if it is one's password; none: not at all.
    pub(crate) fn wait(&self, user: Option<&str>, address: &str, now_ns: u64) -> Option<Duration> {
        let memory = self.0.lock();
        let of_address = || memory.wait(Suspect::Address(address), now_ns);
        let Some(user) = user else { return of_address() };
        let of_both = memory.wait(Suspect::UserAt(user, address), now_ns);
        if memory.knows(user, address, now_ns) {
            return of_both;
        }
        of_both.max(of_address()).max(memory.wait(Suspect::User(user), now_ns))
    }

    /// One more failure of an address. What it guesses about a user whose address it is known to be slows that user down
    /// nowhere else.
    pub(crate) fn failed(&self, user: Option<&str>, address: &str, now_ns: u64) {
        let mut memory = self.0.lock();
        memory.failed(Suspect::Address(address), now_ns);
        let Some(user) = user else { return };
        memory.failed(Suspect::UserAt(user, address), now_ns);
        if !memory.knows(user, address, now_ns) {
            memory.failed(Suspect::User(user), now_ns);
        }
    }

    /// A user has proved at an address who they are: both begin anew there, and the address is known as theirs. What others
    /// have failed at elsewhere stays; so do failures of the address, for one good account must not pay for guessing others.
    pub(crate) fn proved(&self, user: &str, address: &str, now_ns: u64) {
        let mut memory = self.0.lock();
        let key = Suspect::UserAt(user, address).key();
        memory.failures.remove(&key);
        if memory.known.len() >= KNOWN_MAX && !memory.known.contains_key(&key) {
            let oldest = memory.known.iter().min_by_key(|(_, until_ns)| **until_ns).map(|(key, _)| *key);
            if let Some(oldest) = oldest {
                memory.known.remove(&oldest);
            }
        }
        memory.known.insert(key, now_ns.saturating_add(nanos(KNOWN_FOR)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    #[test]
    fn waits_double_after_the_free_failures_up_to_the_longest() {
        let lockouts = Lockouts::default();
        for _ in 0..NAME_FREE_FAILURES {
            lockouts.failed(Some("anna"), "a", SECOND_NS);
            assert_eq!(lockouts.wait(Some("anna"), "a", SECOND_NS), None);
        }
        for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900] {
            lockouts.failed(Some("anna"), "a", SECOND_NS);
            assert_eq!(lockouts.wait(Some("anna"), "a", SECOND_NS), Some(Duration::from_secs(seconds)));
            let elsewhere = Some(Duration::from_secs(seconds.min(60)));
            assert_eq!(lockouts.wait(Some("anna"), "b", SECOND_NS), elsewhere, "a name waits a minute at most");
        }
        assert_eq!(lockouts.wait(Some("anna"), "a", 901 * SECOND_NS), None, "it ends");
        assert_eq!(lockouts.wait(Some("otto"), "b", SECOND_NS), None, "and is of nobody else");
    }

    #[test]
    fn a_name_that_is_guessed_at_elsewhere_waits_nowhere_that_is_known_as_its_users() {
        let lockouts = Lockouts::default();
        lockouts.proved("anna", "office", 0);
        for n in 0..100 {
            lockouts.failed(Some("anna"), &format!("bot{}", n % 10), SECOND_NS);
            lockouts.failed(Some(&format!("guess{n}")), "office", SECOND_NS);
        }
        assert!(lockouts.wait(Some("anna"), "home", SECOND_NS).is_some());
        assert!(lockouts.wait(Some("otto"), "office", SECOND_NS).is_some());
        assert_eq!(lockouts.wait(Some("anna"), "office", SECOND_NS), None);
        (0..7).for_each(|_| lockouts.failed(Some("anna"), "office", SECOND_NS));
        assert!(lockouts.wait(Some("anna"), "office", SECOND_NS).is_some(), "guesses from there count there");
        assert_eq!(lockouts.wait(Some("anna"), "office", 2 * nanos(KNOWN_FOR)), None, "and end");
        lockouts.failed(Some("anna"), "office", 2 * nanos(KNOWN_FOR));
    }

    #[test]
    fn one_guess_a_quarter_of_an_hour_keeps_nobody_out() {
        let lockouts = Lockouts::default();
        (0..17).for_each(|_| lockouts.failed(Some("anna"), "bot", 0));
        let mut now_ns = 0;
        for _ in 0..12 {
            now_ns += 900 * SECOND_NS;
            lockouts.failed(Some("anna"), "bot", now_ns);
        }
        assert_eq!(lockouts.wait(Some("anna"), "home", now_ns), None);
    }

    #[test]
    fn failures_are_forgiven_one_by_one() {
        let limits = Suspect::User("").limits();
        let mut failures = Failures::default();
        for _ in 0..8 {
            failures = failures.again(0, limits);
        }
        assert_eq!(failures.until_ns, 4 * SECOND_NS);
        let later = failures.again(2 * nanos(FORGIVEN_EVERY), limits);
        assert_eq!((later.count, later.until_ns), (7, 2 * nanos(FORGIVEN_EVERY) + 2 * SECOND_NS));
        assert_eq!(failures.again(20 * nanos(FORGIVEN_EVERY), limits).count, 1);
    }

    #[test]
    fn a_proof_lets_a_name_begin_anew_there_and_clears_no_address() {
        let lockouts = Lockouts::default();
        (0..30).for_each(|_| lockouts.failed(Some("anna"), "a", 0));
        lockouts.proved("anna", "a", 0);
        assert_eq!(lockouts.wait(Some("anna"), "a", 0), None);
        assert!(lockouts.wait(None, "a", 0).is_some() && lockouts.wait(Some("otto"), "a", 0).is_some());
    }

    #[test]
    fn the_memory_is_bounded_and_keeps_those_who_wait() {
        let lockouts = Lockouts::default();
        (0..7).for_each(|_| lockouts.failed(Some("anna"), "a", SECOND_NS));
        for n in 0..2 * REMEMBERED_MAX {
            lockouts.failed(
                Some(&format!("{}{n}", "u".repeat(60_000 * usize::from(n == 0)))),
                &format!("b{n}"),
                SECOND_NS,
            );
            lockouts.proved(&format!("u{n}"), "c", n as u64);
        }
        assert_eq!(lockouts.0.lock().failures.len(), REMEMBERED_MAX);
        assert_eq!(lockouts.0.lock().known.len(), KNOWN_MAX);
        assert_eq!(size_of::<(Key, Failures)>(), 40, "however long a name was");
        assert!(lockouts.wait(Some("anna"), "a", SECOND_NS).is_some());
    }
}
