//! The delivery of a route against an upstream that answers at random, through restarts of the gateway amid a batch:
//! nothing is lost, order is kept, and what comes twice was on its way at a moment when nobody could know.

use super::delivery::Delivery;
use super::handle::RouteHandle;
use super::test_route::route;
use super::upstream::Upstream;
use super::verdict::Reply;
use async_trait::async_trait;
use bulkhead_config::Route;
use bulkhead_log::{LetterItem, Log, LogConfig, Origin};
use bulkhead_model::{Kind, PointId, PointInfo, Reading, Status, Timestamp, Value};
use bulkhead_sandbox::capability::{Clock, Fault, Remedy};
use bulkhead_sandbox::wit;
use parking_lot::Mutex;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Longest a run may take, in the time of the test, which passes at once.
const VIRTUAL_MAX: Duration = Duration::from_secs(7200);

/// What the upstream and its adapter do with one delivery.
#[derive(Debug, Clone)]
enum Act {
    /// Takes everything.
    Take,
    /// Takes so many per cent from the front; the rest meets this fault.
    TakePart(u8, Remedy, Option<u32>),
    /// Takes everything but refuses each reading whose bit is set, by name.
    RefuseSome(u16),
    /// Takes nothing and gives this fault.
    Fault(Remedy, Option<u32>),
    /// Takes everything, but the answer is lost.
    TakeInSilence,
    /// The adapter crashes before anything is taken.
    Crash,
    /// The adapter crashes when everything is taken.
    TakeAndCrash,
    /// The adapter is not built anew yet.
    Rest,
    /// The gateway dies before anything is taken.
    Die,
    /// The gateway dies when everything is taken.
    TakeAndDie,
}

fn remedies() -> impl Strategy<Value = Remedy> {
    prop_oneof![Just(Remedy::Retry), Just(Remedy::Reconnect), Just(Remedy::Reject), Just(Remedy::Reconfigure)]
}

fn acts() -> impl Strategy<Value = Act> {
    let wait = proptest::option::of(0_u32..5_000);
    prop_oneof![
        4 => Just(Act::Take),
        2 => (0_u8..100, remedies(), wait.clone()).prop_map(|(part, remedy, wait)| Act::TakePart(part, remedy, wait)),
        2 => any::<u16>().prop_map(Act::RefuseSome),
        2 => (remedies(), wait).prop_map(|(remedy, wait)| Act::Fault(remedy, wait)),
        1 => Just(Act::TakeInSilence),
        1 => Just(Act::Crash),
        1 => Just(Act::TakeAndCrash),
        1 => Just(Act::Rest),
        1 => Just(Act::Die),
        1 => Just(Act::TakeAndDie),
    ]
}

/// What a reading that can never be taken does to a batch it is in.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Poison {
    None,
    /// It is named.
    Named,
    /// The whole batch is refused.
    Batch,
    /// The adapter crashes.
    Crash,
}

/// A reading as it came: seq, name of the point, value.
type Arrival = (u64, String, String);

/// The upstream, which outlives the gateway.
#[derive(Default)]
struct World {
    script: VecDeque<Act>,
    poison: Option<Poison>,
    /// Whether it knows a batch that it has taken by its key, and gives the answer of the first time.
    honours_keys: bool,
    /// Everything that was taken, in order, repetitions included.
    arrived: Vec<Arrival>,
    /// What came under each key.
    keys: BTreeMap<String, Vec<Arrival>>,
    /// What was answered to batches that were taken whole.
    answers: BTreeMap<String, wit::Outcome>,
    /// How many readings may come once more: those taken without the gateway's knowing, and a batch for each death.
    unsure: usize,
    /// The same where the adapter crashed, after which the readings may come in smaller batches under other keys.
    crashed_on: BTreeSet<u64>,
}

const POISON_EVERY: u64 = 13;

impl World {
    fn is_poison(&self, seq: u64) -> bool {
        self.poison != Some(Poison::None) && seq.is_multiple_of(POISON_EVERY)
    }

    /// Takes a batch whole, unless it is known: the answer to it.
    fn take(&mut self, key: &str, batch: &[Arrival], refused: Vec<wit::Rejection>) -> wit::Outcome {
        if let Some(answer) = self.answers.get(key).filter(|_| self.honours_keys) {
            return answer.clone();
        }
        let is_refused = |index: usize| refused.iter().any(|rejection| rejection.index as usize == index);
        let taken = batch.iter().enumerate().filter(|(index, _)| !is_refused(*index));
        self.arrived.extend(taken.map(|(_, arrival)| arrival.clone()));
        let answer = wit::Outcome { accepted: batch.len() as u32, rejected: refused, rest: None };
        self.answers.insert(key.to_owned(), answer.clone());
        answer
    }

    /// As [`World::take`], but nobody hears the answer.
    fn take_unheard(&mut self, key: &str, batch: &[Arrival]) {
        let refused = self.refusals(batch, 0);
        let before = self.arrived.len();
        self.take(key, batch, refused);
        self.unsure += self.arrived.len() - before;
    }

    /// The readings that are refused by name: what can never be taken, and those whose bit is set.
    fn refusals(&self, batch: &[Arrival], bits: u16) -> Vec<wit::Rejection> {
        let is_refused = |index: usize, seq| bits >> (index % 16) & 1 == 1 || self.is_poison(seq);
        let refused = batch.iter().enumerate().filter(|(index, arrival)| is_refused(*index, arrival.0));
        refused.map(|(index, _)| wit::Rejection { index: index as u32, fault: fault(Remedy::Reject, None) }).collect()
    }
}

struct ModelSink {
    world: Arc<Mutex<World>>,
    death: Arc<Notify>,
    batch_max: usize,
}

fn fault(remedy: Remedy, retry_after_ms: Option<u32>) -> Fault {
    Fault { retry_after_ms, ..Fault::new(remedy, "model", "as the script says") }
}

#[async_trait]
impl Upstream for ModelSink {
    fn name(&self) -> &str {
        "erp"
    }

    fn not_ready(&self) -> Option<String> {
        None
    }

    async fn deliver(&self, batch: wit::Batch) -> Reply {
        let reply = self.answer(&batch);
        match reply {
            Some(reply) => reply,
            None => {
                self.death.notify_one();
                std::future::pending().await
            }
        }
    }
}

impl ModelSink {
    /// None: the gateway dies.
    fn answer(&self, batch: &wit::Batch) -> Option<Reply> {
        let world = &mut *self.world.lock();
        let all: Vec<Arrival> = batch
            .entries
            .iter()
            .map(|entry| {
                let name = batch.points[entry.reading.point as usize].name.clone();
                (entry.seq, name, format!("{:?}", entry.reading))
            })
            .collect();
        let known = world.keys.entry(batch.key.clone()).or_insert_with(|| all.clone());
        assert_eq!(*known, all, "under the key {} came something else before", batch.key);
        let has_poison = all.iter().any(|arrival| world.is_poison(arrival.0));
        match (world.poison, has_poison) {
            (Some(Poison::Batch), true) => return Some(Reply::Failed(fault(Remedy::Reject, None))),
            (Some(Poison::Crash), true) => return Some(Reply::Crashed(fault(Remedy::Retry, Some(20)))),
            _ => {}
        }
        let act = world.script.pop_front().unwrap_or(Act::Take);
        let is_known = world.honours_keys && world.answers.contains_key(&batch.key);
        match act {
            // Who knows the key gives the answer of the first time, whatever it would say to something new.
            Act::TakePart(..) | Act::Fault(Remedy::Reject, _) if is_known => {
                Some(Reply::Answered(world.take(&batch.key, &all, Vec::new())))
            }
            Act::Take => {
                let refused = world.refusals(&all, 0);
                Some(Reply::Answered(world.take(&batch.key, &all, refused)))
            }
            Act::RefuseSome(bits) => {
                let refused = world.refusals(&all, bits);
                Some(Reply::Answered(world.take(&batch.key, &all, refused)))
            }
            Act::TakePart(percent, remedy, wait) => {
                let part = all.len() * usize::from(percent) / 100;
                let refused = world.refusals(&all[..part], 0);
                let taken = all[..part].iter().filter(|one| !world.is_poison(one.0)).cloned();
                let taken: Vec<Arrival> = taken.collect();
                world.arrived.extend(taken);
                let rest = (part < all.len()).then(|| fault(remedy, wait));
                Some(Reply::Answered(wit::Outcome { accepted: part as u32, rejected: refused, rest }))
            }
            Act::Fault(remedy, wait) => Some(Reply::Failed(fault(remedy, wait))),
            Act::TakeInSilence => {
                world.take_unheard(&batch.key, &all);
                Some(Reply::Failed(fault(Remedy::Retry, None)))
            }
            Act::Crash => Some(Reply::Crashed(fault(Remedy::Retry, Some(20)))),
            Act::TakeAndCrash => {
                world.take_unheard(&batch.key, &all);
                world.crashed_on.extend(all.iter().map(|arrival| arrival.0));
                Some(Reply::Crashed(fault(Remedy::Retry, Some(20))))
            }
            Act::Rest => Some(Reply::Resting(fault(Remedy::Retry, Some(20)))),
            Act::Die | Act::TakeAndDie => {
                if matches!(act, Act::TakeAndDie) {
                    let refused = world.refusals(&all, 0);
                    world.take(&batch.key, &all, refused);
                }
                // The batch on its way comes again whole; this may be one of its readings, tried by itself.
                world.unsure += self.batch_max;
                None
            }
        }
    }
}

/// The paused clock of the test.
struct PausedClock(Instant);

impl Clock for PausedClock {
    fn now(&self) -> Timestamp {
        Timestamp(i64::try_from(self.monotonic_ns()).unwrap())
    }
    fn monotonic_ns(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap()
    }
}

/// The readings of a run: two points of the route, one of another connection.
fn declare(log: &Log) -> [PointId; 3] {
    let info = |name: &str| PointInfo::new(name, Kind::Integer);
    let ours = log.declare("boiler", &[info("a"), info("b")]).unwrap();
    let other = log.declare("other", &[info("c")]).unwrap();
    [ours[0], ours[1], other[0]]
}

fn reading(point: PointId, value: u64) -> Reading {
    let value = Some(Value::Integer(i64::try_from(value).unwrap()));
    Reading { point, time: Timestamp(7), status: Status::GOOD, value }
}

/// One life of the gateway: some readings come in, and the route works until it is through or dies.
fn live(dir: &Path, route: &Route, world: &Arc<Mutex<World>>, readings: usize) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let log = LogConfig { commit_max_ms: 1, ..LogConfig::new(dir) }.open().unwrap();
        let points = declare(&log);
        let first = *log.committed().borrow();
        let new = (0..readings as u64).map(|index| reading(points[(index % 5).min(2) as usize], first + index));
        log.append(new.collect()).await.unwrap();
        let handle = RouteHandle::new("r", route, &log);
        let death = Arc::new(Notify::new());
        let sink = Arc::new(ModelSink {
            world: world.clone(),
            death: death.clone(),
            batch_max: route.batch_max_readings as usize,
        });
        let stop = CancellationToken::new();
        let clock = Arc::new(PausedClock(Instant::now()));
        let task = tokio::spawn(Delivery::new(&handle, route, sink, clock, stop.clone()).run());
        let through = async {
            while handle.cursor.load(Ordering::Relaxed) < *log.committed().borrow() {
                // Time is paused: it passes as fast as the route has nothing to do.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let survived = tokio::select! {
            () = death.notified() => false,
            outcome = tokio::time::timeout(VIRTUAL_MAX, through) => {
                outcome.expect("the route gets through");
                true
            }
        };
        if survived {
            stop.cancel();
            task.await.unwrap();
            log.close().await.unwrap();
        } else {
            task.abort();
            // The log's own thread ends with its last handle; what it has committed stays.
            _ = task.await;
        }
        survived
    })
}

fn first_arrivals(arrived: &[Arrival]) -> Vec<&Arrival> {
    let mut seen = BTreeSet::new();
    arrived.iter().filter(|arrival| seen.insert(arrival.0)).collect()
}

fn check(dir: &Path, world: &World, reject_tries: u32) {
    let log = LogConfig::new(dir).open().unwrap();
    let points = declare(&log);
    let committed = *log.committed().borrow();
    let rows = log.read(0, 100_000).unwrap();
    let expected: BTreeSet<u64> = rows.iter().filter(|row| row.reading.point != points[2]).map(|row| row.seq).collect();
    let arrived: BTreeSet<u64> = world.arrived.iter().map(|arrival| arrival.0).collect();
    let mut dead = BTreeSet::new();
    for letter in log.dead_letters(Some(Origin::Route("r")), None, 100_000, usize::MAX).unwrap() {
        let LetterItem::Reading { row, .. } = letter.item else { panic!("a frame") };
        assert!(dead.insert(row.seq), "seq {} is a dead letter twice", row.seq);
        assert!(rows.contains(&row), "a letter holds its reading as it was");
        assert!(letter.error.tries >= 1);
    }
    let settled: BTreeSet<u64> = arrived.union(&dead).copied().collect();
    assert_eq!(settled, expected, "each reading arrived or is a dead letter, and no other did");
    if world.poison != Some(Poison::None) {
        let poison: BTreeSet<u64> = expected.iter().copied().filter(|seq| world.is_poison(*seq)).collect();
        assert!(dead.is_superset(&poison), "what can never be taken ends as a dead letter");
    }
    // A reading that is refused at first and taken when it is tried again comes behind others of its batch.
    if reject_tries == 1 {
        let seqs: Vec<u64> = first_arrivals(&world.arrived).iter().map(|arrival| arrival.0).collect();
        assert!(seqs.is_sorted(), "out of order: {seqs:?}");
    }
    let repeated = world.arrived.len() - arrived.len();
    assert!(repeated <= world.unsure, "{repeated} came again, {} may", world.unsure);
    if world.honours_keys {
        let mut seen = BTreeSet::new();
        let again = world.arrived.iter().map(|arrival| arrival.0).filter(|seq| !seen.insert(*seq));
        let again: Vec<u64> = again.filter(|seq| !world.crashed_on.contains(seq)).collect();
        assert_eq!(again, [0; 0], "at an upstream that honours the key nothing comes twice");
    }
    // Seqs of others behind the last selected one are passed over in memory only.
    let cursor = log.cursor("r").unwrap().unwrap();
    assert!(cursor >= expected.last().copied().unwrap_or(0) && cursor <= committed);
    assert_eq!(log.in_flight("r").unwrap(), None);
}

/// How many runs are tried where nobody says otherwise.
const TRIALS: u32 = 24;

/// `BULKHEAD_SOAK_TRIALS` says otherwise.
fn trials() -> u32 {
    std::env::var("BULKHEAD_SOAK_TRIALS").ok().and_then(|trials| trials.parse().ok()).unwrap_or(TRIALS)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: trials(), failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn nothing_is_lost_order_is_kept_and_only_what_was_on_its_way_comes_twice(
        script in proptest::collection::vec(acts(), 0..40),
        poison in prop_oneof![Just(Poison::None), Just(Poison::Named), Just(Poison::Batch), Just(Poison::Crash)],
        honours_keys in any::<bool>(), batch in 1_u32..20, reject_tries in prop_oneof![3 => Just(1_u32), 1 => Just(3)],
        readings in proptest::collection::vec(0_usize..60, 1..6),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let route = route(&format!(
            "select = [\"boiler/*\"]\nbatch_max_readings = {batch}\nbatch_max_age_ms = 50\nretry_first_ms = 10\n\
             retry_max_ms = 100\nreject_tries = {reject_tries}\ndrain_max_per_s = 1000"
        ));
        let world = World { script: script.into(), poison: Some(poison), honours_keys, ..World::default() };
        let world = Arc::new(Mutex::new(world));
        let mut readings = readings.into_iter();
        // As many lives as there are deaths, and then one for each further piece of readings.
        while !live(dir.path(), &route, &world, readings.next().unwrap_or(0)) || readings.len() > 0 {}
        check(dir.path(), &world.lock(), reject_tries);
    }
}
