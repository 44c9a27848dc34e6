//! The faults by name: read by `bulkhead-soak`, by the tests, and, included as a file, by `cargo xtask soak`, which lists
//! them without building anything.
#![allow(dead_code, unreachable_pub, reason = "each of the crates that read this uses a part of it")]

/// A fault that can be brought about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Its name on the command line.
    pub name: &'static str,
    /// What is done, and in which unit trials count.
    pub about: &'static str,
    /// Trials of the full form.
    pub full: u64,
    /// Trials of the short form.
    pub short: u64,
    /// Who does it.
    pub by: By,
}

/// Who brings a fault about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// `bulkhead-soak`, with the gateway as a process between a source and a sink.
    Soak,
    /// A test of its own, which does so many trials as `BULKHEAD_SOAK_TRIALS` says and prints a table.
    Test {
        /// The package.
        package: &'static str,
        /// The file under `tests/`.
        target: &'static str,
        /// Part of the names of its tests; empty: all.
        filter: &'static str,
    },
}

/// All faults.
pub const FAULTS: [Fault; 7] = [
    Fault { name: "kill", about: "SIGKILL at random instants under load", full: 200, short: 6, by: By::Soak },
    Fault {
        name: "failpoints",
        about: "SIGKILL at each of eight places of the log's work",
        full: 20,
        short: 1,
        by: By::Soak,
    },
    Fault {
        name: "sink-down",
        about: "the sink is away for so many readings",
        full: 1_000_000,
        short: 50_000,
        by: By::Soak,
    },
    Fault {
        name: "sink-mayhem",
        about: "the sink refuses, hangs, cuts and talks nonsense",
        full: 300,
        short: 15,
        by: By::Soak,
    },
    Fault {
        name: "broker",
        about: "mosquitto restarts, with its sessions and without",
        full: 100,
        short: 2,
        by: By::Soak,
    },
    Fault { name: "syncs", about: "commits, each of which must be synced", full: 5_000, short: 300, by: By::Soak },
    Fault {
        name: "config-edits",
        about: "random edits of the config under load, with a backlog",
        full: 50,
        short: 6,
        by: By::Test { package: "bulkhead-tests", target: "reload", filter: "random_edits" },
    },
];
