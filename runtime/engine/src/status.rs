//! What the engine shows of itself: snapshots for the API and the command line, and the live counters behind them.

use crate::usage::{Usage, UsageStatus};
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where a connection or a route is in its life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "state", content = "reason")]
pub enum Phase {
    /// Switched off in the config.
    Disabled,
    /// Being made ready.
    Starting,
    /// At work.
    Running,
    /// Waiting before the next try.
    Waiting(String),
    /// Given up until the config changes.
    Failed(String),
    /// Ended with the gateway.
    Stopped,
}

impl Phase {
    /// Its name, as in the API.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Phase::Disabled => "disabled",
            Phase::Starting => "starting",
            Phase::Running => "running",
            Phase::Waiting(_) => "waiting",
            Phase::Failed(_) => "failed",
            Phase::Stopped => "stopped",
        }
    }

    /// Why, where there is a reason.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Phase::Waiting(reason) | Phase::Failed(reason) => Some(reason),
            _ => None,
        }
    }
}

/// A connection as it is now.
#[derive(Debug, Clone, Serialize)]
pub struct ConnectionStatus {
    /// Its name.
    pub name: String,
    /// Its adapter.
    pub adapter: String,
    /// Whether the config has it on.
    pub enabled: bool,
    /// Where it is in its life.
    #[serde(flatten)]
    pub phase: Phase,
    /// The adapter's roles; empty before it is loaded.
    pub roles: Vec<&'static str>,
    /// Its transports.
    pub transports: Vec<TransportStatus>,
    /// How many points it has declared.
    pub points: usize,
    /// What it has done.
    pub counters: CountersSnapshot,
    /// What its adapter uses of the machine.
    pub usage: UsageStatus,
    /// Faults by code.
    pub faults: BTreeMap<String, u64>,
    /// The newest fault.
    pub last_fault: Option<LastFault>,
    /// Frames kept as dead letters.
    pub dead_letters: u64,
    /// Dead letters dropped so far because newer ones needed their room.
    pub dead_letters_dropped: u64,
}

/// A transport as it is now.
#[derive(Debug, Clone, Serialize)]
pub struct TransportStatus {
    /// Its role in the connection.
    pub role: String,
    /// Its kind and address, without credentials.
    pub target: String,
    /// `stopped`, `connecting`, `up` or `down`.
    pub state: &'static str,
    /// Why it is down.
    pub reason: Option<String>,
    /// Its own counters.
    pub counters: BTreeMap<&'static str, u64>,
}

/// The newest fault of a connection.
#[derive(Debug, Clone, Serialize)]
pub struct LastFault {
    /// When, nanoseconds since the Unix epoch.
    pub time: i64,
    /// The point, where it is about one.
    pub point: Option<String>,
    /// For programs.
    pub code: String,
    /// For people.
    pub message: String,
}

/// A route as it is now.
#[derive(Debug, Clone, Serialize)]
pub struct RouteStatus {
    /// Its name.
    pub name: String,
    /// The sink connection.
    pub to: String,
    /// Whether the config has it on.
    pub enabled: bool,
    /// Where it is in its life.
    #[serde(flatten)]
    pub phase: Phase,
    /// Everything up to this seq has been taken or refused by the upstream.
    pub cursor: u64,
    /// How many seqs of the log lie behind the cursor, whether the route selects them or not.
    pub backlog: u64,
    /// Readings the upstream took.
    pub accepted: u64,
    /// Readings the upstream refused for good; they are kept as dead letters.
    pub rejected: u64,
    /// Batches sent, tries included.
    pub batches: u64,
    /// Tries that failed.
    pub retries: u64,
    /// Readings sent again because nobody knew whether they had arrived: the most that an upstream can have twice if it
    /// does not honour the key.
    pub resent: u64,
    /// Seqs of the log that retention deleted before the route had read them.
    pub gap: u64,
    /// Dead letters kept.
    pub dead_letters: u64,
    /// Dead letters dropped so far because newer ones needed their room.
    pub dead_letters_dropped: u64,
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Live counters of a connection.
        #[derive(Debug, Default)]
        pub(crate) struct Counters { $($(#[$doc])* pub(crate) $name: AtomicU64,)* }

        /// Counters of a connection at one moment, since the gateway started.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
        pub struct CountersSnapshot { $($(#[$doc])* pub $name: u64,)* }

        impl Counters {
            pub(crate) fn snapshot(&self) -> CountersSnapshot {
                CountersSnapshot { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }

        impl CountersSnapshot {
            /// Each counter's name and value.
            #[must_use]
            pub fn named(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)*]
            }
        }
    };
}

counters! {
    /// Polls that were done.
    polls,
    /// Poll cycles left out because the one before took too long.
    polls_missed,
    /// Poll cycles left out because the log took no readings.
    polls_paused,
    /// Readings handed to the log.
    readings,
    /// Those among them with a Bad status.
    readings_bad,
    /// Repeated Bad readings of an outage that were not recorded.
    readings_left_out,
    /// Readings that could not be committed.
    readings_lost,
    /// Frames received.
    frames,
    /// Frames given up because the adapter failed on them twice.
    frames_given_up,
    /// Commands carried out.
    writes,
    /// Commands that failed.
    writes_failed,
    /// Webhook requests answered.
    requests,
    /// Calls of the adapter.
    calls,
    /// Adapter instances that trapped.
    traps,
    /// Adapter instances that ran out of time.
    timeouts,
    /// Adapter instances built.
    instances,
    /// Journal lines of the adapter dropped by the rate limit.
    journal_dropped,
}

pub(crate) fn add(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

/// What a connection's tasks share with whoever looks at it.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) phase: Mutex<Phase>,
    pub(crate) counters: Counters,
    pub(crate) usage: Usage,
    pub(crate) faults: Mutex<Faults>,
}

#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) by_code: BTreeMap<String, u64>,
    pub(crate) last: Option<LastFault>,
}

/// Most fault codes counted apart; an adapter that makes up more has them counted as `other`.
pub(crate) const FAULT_CODES_MAX: usize = 64;

impl Live {
    pub(crate) fn new(phase: Phase) -> Self {
        Self {
            phase: Mutex::new(phase),
            counters: Counters::default(),
            usage: Usage::default(),
            faults: Mutex::default(),
        }
    }

    pub(crate) fn set_phase(&self, phase: Phase) {
        *self.phase.lock() = phase;
    }

    /// A connection that was waiting works again.
    pub(crate) fn set_phase_if_waiting(&self) {
        let mut phase = self.phase.lock();
        if matches!(*phase, Phase::Waiting(_) | Phase::Failed(_)) {
            *phase = Phase::Running;
        }
    }

    pub(crate) fn count_fault(&self, fault: LastFault) {
        let mut faults = self.faults.lock();
        let is_known = faults.by_code.contains_key(&fault.code) || faults.by_code.len() < FAULT_CODES_MAX;
        let code = if is_known { fault.code.clone() } else { "other".to_owned() };
        *faults.by_code.entry(code).or_default() += 1;
        faults.last = Some(fault);
    }
}

/// A webhook request as it came in.
#[derive(Debug, Clone)]
pub struct WebhookRequest {
    /// `GET`, `POST`, …
    pub method: String,
    /// The path below the connection's own.
    pub path: String,
    /// The query without `?`.
    pub query: String,
    /// Header fields without credentials, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// What a responder answered, after its readings were committed.
#[derive(Debug, Clone)]
pub struct WebhookReply {
    /// HTTP status.
    pub status: u16,
    /// Header fields.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}
