//! Whether a new version does as well as the one before: what is seen of its connections, and the verdict over two looks.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An upgrade that a running gateway watches.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probation {
    /// How long the new version is watched, in seconds.
    pub seconds: u32,
    /// The adapter's connections as they were with the version before, by name.
    pub before: BTreeMap<String, Seen>,
}

/// A connection, as far as it says how well an adapter does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The name of its phase, as in the API.
    pub state: String,
    /// Why it is in that phase, where there is a reason.
    pub reason: Option<String>,
    /// Traps and missed deadlines since it began.
    pub crashes: u64,
    /// Readings since it began.
    pub readings: u64,
    /// Bad ones among them.
    pub readings_bad: u64,
}

impl Seen {
    fn runs(&self) -> bool {
        self.state == "running"
    }

    /// Whether all it brings is Bad.
    fn brings_nothing_good(&self) -> bool {
        self.readings > 0 && self.readings == self.readings_bad
    }
}

/// What comes of a look at the connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing yet.
    Undecided,
    /// They do as well as before.
    Well,
    /// They do not, and why.
    Unwell(String),
}

impl Probation {
    /// Holds the connections against what they were. One that was not well before says nothing about the new version.
    #[must_use]
    pub fn verdict(&self, now: &BTreeMap<String, Seen>, is_over: bool) -> Verdict {
        let told = self.before.iter().filter(|(_, was)| was.runs());
        let unwell = told.filter_map(|(name, was)| unwell(name, was, now.get(name)?, is_over)).next();
        match unwell {
            Some(reason) => Verdict::Unwell(reason),
            None if is_over => Verdict::Well,
            None => Verdict::Undecided,
        }
    }
}

/// Why a connection does worse than it did; none: it does not, or may still come to it.
fn unwell(name: &str, was: &Seen, is: &Seen, is_over: bool) -> Option<String> {
    let reason = is.reason.as_deref().unwrap_or("without a reason");
    if is.state == "failed" {
        return Some(format!("connection {name} failed: {reason}"));
    }
    if is.state == "disabled" || !is_over {
        return None;
    }
    if !is.runs() {
        return Some(format!("connection {name} ran before and is {}: {reason}", is.state));
    }
    if is.crashes > 0 {
        return Some(format!("connection {name}: the adapter crashed or hung {} times", is.crashes));
    }
    (is.brings_nothing_good() && !was.brings_nothing_good())
        .then(|| format!("connection {name} brings Bad readings only, and brought Good ones before"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(state: &str, crashes: u64, readings: u64, readings_bad: u64) -> Seen {
        Seen { state: state.into(), reason: None, crashes, readings, readings_bad }
    }

    fn of(one: Seen) -> BTreeMap<String, Seen> {
        BTreeMap::from([("boiler".to_owned(), one)])
    }

    #[test]
    fn a_connection_that_did_well_must_do_well_at_the_end() {
        let probation = Probation { seconds: 1, before: of(seen("running", 3, 100, 2)) };
        let judge = |now: Seen, is_over| probation.verdict(&of(now), is_over);
        assert_eq!(judge(seen("starting", 0, 0, 0), false), Verdict::Undecided);
        assert_eq!(judge(seen("running", 0, 9, 1), true), Verdict::Well);
        assert!(matches!(judge(seen("waiting", 0, 0, 0), true), Verdict::Unwell(_)));
        assert!(matches!(judge(seen("running", 1, 9, 0), true), Verdict::Unwell(_)));
        assert!(matches!(judge(seen("running", 0, 9, 9), true), Verdict::Unwell(_)));
        assert!(matches!(judge(seen("failed", 0, 0, 0), false), Verdict::Unwell(_)), "it cannot get well again");
    }

    #[test]
    fn a_connection_that_was_not_well_says_nothing() {
        let probation = Probation { seconds: 1, before: of(seen("waiting", 0, 0, 0)) };
        assert_eq!(probation.verdict(&of(seen("failed", 9, 9, 9)), true), Verdict::Well);
        assert_eq!(Probation::default().verdict(&BTreeMap::new(), false), Verdict::Undecided);
    }
}
