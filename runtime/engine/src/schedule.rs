//! When to poll which group: a pure policy over times given as nanoseconds of a monotonic clock.

use std::collections::BTreeMap;

/// Poll groups with their intervals and when each is due next. A poll that comes too late does not move the beat: the
/// cycles it missed are counted and left out.
#[derive(Debug, Default, Clone)]
pub struct Schedule {
    groups: BTreeMap<String, Beat>,
    missed: u64,
}

#[derive(Debug, Clone, Copy)]
struct Beat {
    interval_ns: u64,
    due_ns: u64,
}

impl Schedule {
    /// Makes exactly these groups known. New ones are due at once, those already known keep their beat.
    pub fn set_groups(&mut self, groups: impl IntoIterator<Item = (String, u64)>, now_ns: u64) {
        let old = std::mem::take(&mut self.groups);
        for (group, interval_ns) in groups {
            let due_ns = old.get(&group).map_or(now_ns, |beat| beat.due_ns);
            self.groups.insert(group, Beat { interval_ns, due_ns });
        }
    }

    /// The groups by name.
    #[must_use]
    pub fn groups(&self) -> Vec<String> {
        self.groups.keys().cloned().collect()
    }

    /// When the next group is due; none: there is no group.
    #[must_use]
    pub fn next_due_ns(&self) -> Option<u64> {
        self.groups.values().map(|beat| beat.due_ns).min()
    }

    /// The group that is due longest, if one is, and its next beat is set: the first of its beats after now.
    pub fn take_due(&mut self, now_ns: u64) -> Option<String> {
        let (group, beat) = self.groups.iter_mut().min_by_key(|(_, beat)| beat.due_ns)?;
        if beat.due_ns > now_ns {
            return None;
        }
        match (now_ns - beat.due_ns).checked_div(beat.interval_ns) {
            // An interval of nothing means: again at once.
            None => beat.due_ns = now_ns + 1,
            Some(missed) => {
                beat.due_ns += (missed + 1) * beat.interval_ns;
                self.missed += missed;
            }
        }
        Some(group.clone())
    }

    /// Keeps a group from being due before a moment.
    pub fn postpone(&mut self, group: &str, until_ns: u64) {
        if let Some(beat) = self.groups.get_mut(group) {
            beat.due_ns = beat.due_ns.max(until_ns);
        }
    }

    /// How many cycles were left out because the one before took too long.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(groups: &[(&str, u64)]) -> Schedule {
        let mut schedule = Schedule::default();
        schedule.set_groups(groups.iter().map(|(name, interval)| ((*name).to_owned(), *interval)), 0);
        schedule
    }

    #[test]
    fn groups_come_in_the_order_they_are_due() {
        let mut schedule = schedule(&[("fast", 10), ("slow", 25)]);
        let mut seen = Vec::new();
        for now in 0..=50 {
            while let Some(group) = schedule.take_due(now) {
                seen.push((now, group));
            }
        }
        let times =
            |name: &str| seen.iter().filter(|(_, group)| group == name).map(|(now, _)| *now).collect::<Vec<_>>();
        assert_eq!(times("fast"), [0, 10, 20, 30, 40, 50]);
        assert_eq!(times("slow"), [0, 25, 50]);
    }

    #[test]
    fn a_late_poll_keeps_the_beat_and_counts_what_it_missed() {
        let mut schedule = schedule(&[("g", 10)]);
        assert_eq!(schedule.take_due(0).as_deref(), Some("g"));
        assert_eq!(schedule.take_due(35).as_deref(), Some("g"));
        assert_eq!((schedule.next_due_ns(), schedule.missed()), (Some(40), 2));
    }

    #[test]
    fn a_postponed_group_waits_and_the_others_do_not() {
        let mut schedule = schedule(&[("a", 10), ("b", 10)]);
        schedule.postpone("a", 25);
        assert_eq!(schedule.take_due(0).as_deref(), Some("b"));
        assert_eq!((schedule.take_due(0), schedule.next_due_ns()), (None, Some(10)));
        assert_eq!(schedule.take_due(10).as_deref(), Some("b"));
        assert_eq!(schedule.take_due(25).as_deref(), Some("b"));
        assert_eq!(schedule.take_due(25).as_deref(), Some("a"));
    }

    #[test]
    fn known_groups_keep_their_beat_when_others_come() {
        let mut schedule = schedule(&[("g", 10)]);
        schedule.take_due(0);
        schedule.set_groups([("g".to_owned(), 10), ("new".to_owned(), 10)], 3);
        assert_eq!(schedule.take_due(3).as_deref(), Some("new"));
        assert_eq!(schedule.next_due_ns(), Some(10));
    }
}
