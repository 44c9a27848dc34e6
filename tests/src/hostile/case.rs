//! What a hostile case is, and what must be seen of it.

use super::cases::bundles::Bundle;
use super::guest::Guest;
use anyhow::Result;
use std::time::Duration;

/// Longest computation of a hostile guest in one call.
pub(super) const CALL_MS: u64 = 200;
/// Longest call of it with everything.
pub(super) const TOTAL_MS: u64 = 2000;
/// Longest host call: the least that a connection's config comes to.
pub(super) const HOST_CALL_MS: u64 = 1000;

/// A hostile adapter, what it needs, and what the gateway must make of it.
pub(super) struct Case {
    /// Its group in docs/specs/hostile-adapters.md.
    pub(super) group: u8,
    /// What the adapter does, for people: `spins in poll`.
    pub(super) name: &'static str,
    /// Its file.
    pub(super) file: File,
    /// What the harness does so that it is called.
    pub(super) stimulus: Stimulus,
    /// What it is lent.
    pub(super) grants: Grants,
    /// Memory it may have, in MiB.
    pub(super) memory_mb: u64,
    /// Sections of the config beside its own.
    pub(super) sections: &'static str,
    is_mute: bool,
    /// What the gateway must make of it.
    pub(super) expect: Expect,
}

/// What the adapter's file holds.
pub(super) enum File {
    Guest(Guest),
    /// These bytes.
    Bytes(fn() -> Result<Vec<u8>>),
    /// These bytes, with a signature beside them.
    Bundle(fn() -> Result<Bundle>),
    /// So many zeros, which take no room on the disk.
    Zeros(u64),
    /// Two guests that take turns as fast as the disk lets them, while the gateway loads one.
    Flickering(Guest, Guest),
}

/// What the harness does so that the adapter is called.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stimulus {
    /// Nothing: it is polled, or has set a timer.
    None,
    /// Writes to its point `p`.
    Write,
    /// Posts to its webhook.
    Post,
    /// A route from a neighbour.
    Route,
    /// Nothing until the end: it is stopped.
    Stop,
}

/// What the connection is lent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Grants {
    Nothing,
    /// A Modbus device under `device`: further keys of its transport.
    Modbus(&'static str),
    /// A Modbus device that never answers.
    SilentModbus,
    /// A broker under `device`, where it may publish `good/#`.
    Mqtt,
    /// An upstream under `device`: further keys of its transport. `{port}` in a base URL.
    Http(&'static str, &'static str),
    /// The same; the upstream answers every request with a redirect to this.
    Redirecting(&'static str),
}

/// What the gateway must make of it.
pub(super) enum Expect {
    /// The call ends within this time of its beginning, its instance is thrown away and built anew after growing waits; the
    /// connection's faults name the code, and the last crash says this.
    Ends { code: &'static str, says: &'static str, within: Duration },
    /// The guest is told no, with this code, and goes on.
    Told { code: &'static str },
    /// The connection does not start; its reason, or the diagnostic that refuses the config, says this.
    NotStarted { says: &'static str },
    /// It harms nobody and goes on; what it left in API and journal passes this look.
    Goes { look: fn(&Seen) -> Result<()> },
    /// Whatever it makes of it, and however often, the gateway goes on.
    Anything,
    /// When it is taken away, its `stop` is ended in time and the journal says this.
    Stopped { says: &'static str },
}

/// What a case left behind.
pub(super) struct Seen {
    /// The journal since the case began.
    pub(super) journal: Vec<String>,
    /// The connection, as the API shows it.
    pub(super) connection: serde_json::Value,
    /// The newest readings, as the API's text.
    pub(super) readings: String,
    /// The points, as the API's text.
    pub(super) points: String,
}

impl Case {
    pub(super) fn new(group: u8, name: &'static str, file: File, expect: Expect) -> Self {
        Self {
            group,
            name,
            file,
            stimulus: Stimulus::None,
            grants: Grants::Nothing,
            memory_mb: 32,
            sections: "",
            is_mute: false,
            expect,
        }
    }

    pub(super) fn stimulus(mut self, stimulus: Stimulus) -> Self {
        self.stimulus = stimulus;
        self
    }

    pub(super) fn grants(mut self, grants: Grants) -> Self {
        self.grants = grants;
        self
    }

    /// Whether its act begins before it can say so: while it is instantiated, started, or handed its arguments.
    pub(super) fn has_no_beginning(&self) -> bool {
        self.is_mute
    }

    /// Says that its act begins before it can say so.
    pub(super) fn mute(mut self) -> Self {
        self.is_mute = true;
        self
    }

    pub(super) fn sections(mut self, sections: &'static str) -> Self {
        self.sections = sections;
        self
    }

    pub(super) fn memory_mb(mut self, memory_mb: u64) -> Self {
        self.memory_mb = memory_mb;
        self
    }
}

/// It computes until its deadline.
pub(super) fn computes_too_long() -> Expect {
    let says = "it computed for more than 200 ms";
    Expect::Ends { code: "deadline", says, within: Duration::from_millis(CALL_MS) }
}

/// It is ended by a trap before its deadline.
pub(super) fn traps(says: &'static str) -> Expect {
    Expect::Ends { code: "trap", says, within: Duration::from_millis(CALL_MS) }
}
