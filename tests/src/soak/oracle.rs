//! The oracle: what a source knows that it sent and got acknowledged, held against what a sink accepted. Pure.
//!
//! A reading that the gateway sends twice comes under the seq it has; one that the source had to send twice, because an
//! answer was lost, has two seqs. So the two kinds of repeats are told apart.

use super::ids::Lane;
use std::collections::{HashMap, HashSet};

/// What a source knows of one lane: its ids go from 1 upwards and are sent in order.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sent {
    /// The highest id that was ever sent.
    pub(crate) sent: u64,
    /// All ids up to this one are acknowledged.
    pub(crate) acknowledged: u64,
    /// Ids that were sent again, as often as they were.
    pub(crate) again: u64,
}

/// One reading that the sink accepted, in the order of acceptance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// Which idempotency key it came under: a number for each key.
    pub(crate) key: u32,
    /// Its number in the gateway's log.
    pub(crate) seq: u64,
    pub(crate) what: What,
}

/// What a reading says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// An id of a lane, whole.
    Id(Lane, u64),
    /// The gateway's own mark of an outage: a Bad status and no value.
    Mark,
    /// Neither: damaged.
    Damaged,
}

/// How many repeats are explained by what was done to the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Allowance {
    /// Batches that may have come again: those on their way at a kill, those accepted without an answer.
    pub(crate) batches: u64,
    /// Most readings of a batch.
    pub(crate) batch_max: u64,
    /// Ids that a source may have sent again beyond those it counts itself: a broker's own repeats.
    pub(crate) again: u64,
    /// Marks of outages.
    pub(crate) marks: u64,
}

impl Allowance {
    /// For so many batches.
    pub(crate) fn batches(batches: u64, batch_max: u64) -> Self {
        Self { batches, batch_max, again: 0, marks: 0 }
    }
}

/// What the comparison comes to. Counts of readings, unless said otherwise.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Findings {
    pub(crate) acknowledged: u64,
    /// Acknowledged and not there.
    pub(crate) lost: u64,
    /// There and never sent.
    pub(crate) invented: u64,
    /// There and no id, or not the id's value.
    pub(crate) corrupt: u64,
    /// Whose first arrival is behind one with a higher id of its lane, or with a higher seq.
    pub(crate) disordered: u64,
    /// A seq that was there already: the gateway sent it again.
    pub(crate) duplicates: u64,
    /// Batches of which something was there already.
    pub(crate) duplicate_batches: u64,
    /// A seq that comes under a second key: a sink that honours keys could not know it.
    pub(crate) keyless_duplicates: u64,
    /// Acknowledged and not there, at a sink that ignores a batch whose key it has seen.
    pub(crate) keyed_lost: u64,
    /// Another seq with an id that was there already: the source sent it again.
    pub(crate) redelivered: u64,
    /// The gateway's own marks of outages.
    pub(crate) marks: u64,
    again: u64,
}

/// Compares.
pub(crate) fn judge(sent: &[Sent], arrivals: &[Arrival]) -> Findings {
    let acknowledged = sent.iter().map(|lane| lane.acknowledged).sum();
    let again = sent.iter().map(|lane| lane.again).sum();
    let mut findings = Findings { acknowledged, again, ..Findings::default() };
    let mut raw = Arrived::new(sent);
    let mut keyed = Arrived::new(sent);
    let mut key_of_seq: HashMap<u64, u32> = HashMap::new();
    let mut last_seq = 0;
    for request in requests(arrivals) {
        let is_known_key = !keyed.keys.insert(request[0].key);
        let before = findings.duplicates;
        for arrival in request {
            match key_of_seq.get(&arrival.seq) {
                Some(key) => {
                    findings.duplicates += 1;
                    findings.keyless_duplicates += u64::from(*key != arrival.key);
                    continue;
                }
                None => key_of_seq.insert(arrival.seq, arrival.key),
            };
            let is_late = arrival.seq < last_seq;
            last_seq = last_seq.max(arrival.seq);
            let (lane, id) = match arrival.what {
                What::Id(lane, id) => (lane, id),
                What::Mark => {
                    findings.marks += 1;
                    continue;
                }
                What::Damaged => {
                    findings.corrupt += 1;
                    continue;
                }
            };
            if !is_known_key {
                keyed.note(lane, id);
            }
            match raw.note(lane, id) {
                Note::First { in_order } => findings.disordered += u64::from(!in_order || is_late),
                Note::Again => findings.redelivered += 1,
                Note::Foreign => findings.invented += 1,
            }
        }
        findings.duplicate_batches += u64::from(findings.duplicates > before);
    }
    findings.lost = raw.missing(sent);
    findings.keyed_lost = keyed.missing(sent);
    findings
}

/// The arrivals of each request: they have one key and rising seqs.
fn requests(arrivals: &[Arrival]) -> impl Iterator<Item = &[Arrival]> {
    arrivals.chunk_by(|before, after| before.key == after.key && before.seq < after.seq)
}

/// Which ids were there.
struct Arrived {
    lanes: Vec<Vec<bool>>,
    highest: Vec<u64>,
    keys: HashSet<u32>,
}

enum Note {
    First { in_order: bool },
    Again,
    Foreign,
}

impl Arrived {
    fn new(sent: &[Sent]) -> Self {
        let lanes = sent.iter().map(|lane| vec![false; lane.sent as usize]).collect();
        Self { lanes, highest: vec![0; sent.len()], keys: HashSet::new() }
    }

    fn note(&mut self, lane: Lane, id: u64) -> Note {
        let place = id.checked_sub(1).and_then(|index| self.lanes.get_mut(lane)?.get_mut(index as usize));
        let Some(place) = place else { return Note::Foreign };
        if std::mem::replace(place, true) {
            return Note::Again;
        }
        let in_order = id > self.highest[lane];
        self.highest[lane] = self.highest[lane].max(id);
        Note::First { in_order }
    }

    fn missing(&self, sent: &[Sent]) -> u64 {
        let missing = |(lane, sent): (&Vec<bool>, &Sent)| {
            lane.iter().take(sent.acknowledged as usize).filter(|is_there| !**is_there).count() as u64
        };
        self.lanes.iter().zip(sent).map(missing).sum()
    }
}

impl Findings {
    /// What of the promise is broken, in words; nothing: it is kept.
    pub(crate) fn broken(&self, allowance: &Allowance) -> Vec<String> {
        let readings_max = allowance.batches * allowance.batch_max;
        let again_max = self.again + allowance.again;
        let checks = [
            (self.lost, 0, "acknowledged readings are lost"),
            (self.keyed_lost, 0, "acknowledged readings are lost at a sink that honours the key"),
            (self.invented, 0, "readings were never sent"),
            (self.corrupt, 0, "readings are damaged"),
            (self.disordered, 0, "readings are out of order"),
            (self.keyless_duplicates, 0, "readings came under two keys"),
            (self.duplicate_batches, allowance.batches, "batches came again"),
            (self.duplicates, readings_max, "readings came again"),
            (self.redelivered, again_max, "readings have two seqs"),
            (self.marks, allowance.marks, "readings say that there was an outage"),
        ];
        let broken = checks.iter().filter(|(found, most, _)| found > most);
        broken.map(|(found, most, what)| format!("{found} {what}; at most {most} may")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Allowance = Allowance { batches: 0, batch_max: 10, again: 0, marks: 0 };

    fn sent(acknowledged: u64) -> Vec<Sent> {
        vec![Sent { sent: acknowledged, acknowledged, again: 0 }]
    }

    /// Arrivals of lane 0 as (key, seq, id).
    fn arrivals(of: &[(u32, u64, u64)]) -> Vec<Arrival> {
        of.iter().map(|&(key, seq, id)| Arrival { key, seq, what: What::Id(0, id) }).collect()
    }

    fn broken(sent: &[Sent], of: &[(u32, u64, u64)], allowance: &Allowance) -> Vec<String> {
        judge(sent, &arrivals(of)).broken(allowance)
    }

    fn is_about(broken: &[String], what: &str) -> bool {
        broken.iter().any(|line| line.contains(what))
    }

    #[test]
    fn all_in_order_once_is_as_promised() {
        let all = [(1, 10, 1), (1, 11, 2), (2, 15, 3)];
        assert_eq!(broken(&sent(3), &all, &NONE), Vec::<String>::new());
        let more_than_acknowledged = [Sent { sent: 3, acknowledged: 2, again: 0 }];
        assert_eq!(broken(&more_than_acknowledged, &all, &NONE), Vec::<String>::new());
        assert_eq!(broken(&more_than_acknowledged, &all[..2], &NONE), Vec::<String>::new());
    }

    #[test]
    fn a_loss_is_found_anywhere() {
        for missing in 0..3 {
            let mut some = vec![(1, 10, 1), (1, 11, 2), (2, 15, 3)];
            some.remove(missing);
            let broken = broken(&sent(3), &some, &NONE);
            assert!(is_about(&broken, "1 acknowledged readings are lost;"), "{missing}: {broken:?}");
        }
        assert!(is_about(&broken(&sent(3), &[], &NONE), "3 acknowledged readings are lost;"));
    }

    #[test]
    fn another_order_is_found_by_id_and_by_seq() {
        assert!(is_about(&broken(&sent(2), &[(1, 10, 2), (1, 11, 1)], &NONE), "out of order"));
        let two = [Sent { sent: 1, acknowledged: 1, again: 0 }; 2];
        let swapped =
            [Arrival { key: 1, seq: 11, what: What::Id(0, 1) }, Arrival { key: 2, seq: 10, what: What::Id(1, 1) }];
        assert!(is_about(&judge(&two, &swapped).broken(&NONE), "out of order"));
    }

    #[test]
    fn marks_of_outages_are_no_damage_and_counted() {
        let mark = [Arrival { key: 1, seq: 10, what: What::Mark }];
        assert!(is_about(&judge(&sent(0), &mark).broken(&NONE), "1 readings say that there was an outage"));
        assert!(judge(&sent(0), &mark).broken(&Allowance { marks: 1, ..NONE }).is_empty());
    }

    #[test]
    fn damage_and_invention_are_found() {
        let damaged = [Arrival { key: 1, seq: 10, what: What::Damaged }];
        assert!(is_about(&judge(&sent(0), &damaged).broken(&NONE), "damaged"));
        for foreign in [0, 2] {
            assert!(is_about(&broken(&sent(1), &[(1, 10, 1), (1, 11, foreign)], &NONE), "never sent"), "{foreign}");
        }
        let other_lane = [Arrival { key: 1, seq: 10, what: What::Id(1, 1) }];
        assert!(is_about(&judge(&sent(0), &other_lane).broken(&NONE), "never sent"));
    }

    #[test]
    fn a_batch_that_comes_again_under_its_key_is_allowed_as_often_as_there_were_kills() {
        let again = [(1, 10, 1), (1, 11, 2), (1, 10, 1), (1, 11, 2), (2, 12, 3)];
        assert!(is_about(&broken(&sent(3), &again, &NONE), "1 batches came again"));
        let one = Allowance { batches: 1, ..NONE };
        assert_eq!(broken(&sent(3), &again, &one), Vec::<String>::new());
        let large = Allowance { batch_max: 1, ..one };
        assert!(is_about(&broken(&sent(3), &again, &large), "2 readings came again"));
        let findings = judge(&sent(3), &arrivals(&again));
        assert_eq!((findings.duplicates, findings.duplicate_batches, findings.keyless_duplicates), (2, 1, 0));
    }

    #[test]
    fn a_reading_under_two_keys_is_found_however_many_repeats_are_allowed() {
        let many = Allowance { batches: 9, batch_max: 9, again: 9, marks: 9 };
        assert!(is_about(&broken(&sent(1), &[(1, 10, 1), (2, 10, 1)], &many), "two keys"));
    }

    #[test]
    fn a_key_used_for_other_readings_loses_them_at_a_sink_that_honours_it() {
        let many = Allowance { batches: 9, batch_max: 9, again: 9, marks: 9 };
        let broken = broken(&sent(2), &[(1, 10, 1), (2, 11, 1), (1, 12, 2)], &many);
        assert!(is_about(&broken, "lost at a sink that honours the key"), "{broken:?}");
    }

    #[test]
    fn what_a_source_sent_again_is_counted_apart_and_only_as_often() {
        let twice = [(1, 10, 1), (1, 11, 1), (1, 12, 2)];
        assert!(is_about(&broken(&sent(2), &twice, &NONE), "1 readings have two seqs"));
        let knows = [Sent { sent: 2, acknowledged: 2, again: 1 }];
        assert_eq!(broken(&knows, &twice, &NONE), Vec::<String>::new());
        assert_eq!(judge(&knows, &arrivals(&twice)).duplicates, 0);
        let told = Allowance { again: 1, ..NONE };
        assert_eq!(broken(&sent(2), &twice, &told), Vec::<String>::new());
    }
}
