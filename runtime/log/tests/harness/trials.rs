//! Trials: how many there are, and what chance says in each.
#![allow(clippy::print_stderr, reason = "a failing run is repeated by the seed that was printed before it")]

/// How many are done, instead of a test's own number.
const TRIALS: &str = "BULKHEAD_SOAK_TRIALS";
/// What chance starts from; without it, each run has its own.
pub(crate) const SEED: &str = "BULKHEAD_SOAK_SEED";

/// How many trials a test does: so many, unless the environment says otherwise.
pub(crate) fn trials(in_the_suite: usize) -> usize {
    std::env::var(TRIALS).map_or(in_the_suite, |trials| trials.parse().expect("a number of trials"))
}

/// The seed of a run, which is printed, so that it can be given to another run.
pub(crate) fn seed() -> u64 {
    let now =
        || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |now| now.as_nanos() as u64);
    let seed = std::env::var(SEED).ok().map_or_else(now, |seed| seed.parse().expect("a seed is a number"));
    eprintln!("{SEED}={seed}");
    seed
}

/// A small generator of numbers that look random (SplitMix64): the same seed, the same numbers.
#[derive(Debug)]
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap()
    }
}
