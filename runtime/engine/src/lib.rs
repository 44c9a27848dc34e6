//! Connections and routes at work: polls on schedule, frames as they come, writes on command, batches to sinks.
//!
//! [`Engine::start`] takes a checked config, the log and the sandbox and runs every connection and route of it.
//! A connection is one or two actors (tasks that own a guest), a route is one task; they meet only in the log and in the
//! bounded queues between them, so that what happens to one connection stays with it. What decides (when to poll, what
//! of an outage to record, which readings a batch takes, how a point is renamed, what another config changes, whether the
//! clock is believed) are plain values in modules of their own: [`schedule`], [`outage`], `route::selection`,
//! `route::batching`, `reload::plan`, `clock::trust`.
//!
//! [`Engine::reload`] goes over to another config; [`LiveConfig`] is the way there from a file, a signal or the API.

#![forbid(unsafe_code)]

mod adapter_files;
mod adapter_list;
mod assembly;
mod backup;
mod blocking;
mod clock;
mod command;
mod connection;
mod disk_writes;
mod engine;
mod error;
mod health;
mod journal;
mod letter_counts;
mod letters;
mod live;
pub mod outage;
mod probe;
mod process;
mod recent;
mod reload;
mod route;
pub mod schedule;
mod status;
mod stores;
mod taps;
mod usage;

pub use adapter_files::{installed_adapters, schemas_in, trust};
pub use adapter_list::{AdapterStatus, adapters_of, users_of};
pub use backup::{BackupContents, BackupJob, BackupRefused, BackupState, Backups, check_room};
pub use clock::{ClockStatus, Doubt, SystemClock, TimeSource};
pub use command::{Command, Written};
pub use disk_writes::DiskWrites;
pub use engine::Engine;
pub use error::EngineError;
pub use health::record_health;
pub use letters::{LetterOwner, Replayed};
pub use live::{Applied, Current, Follower, History, KeptConfig, LiveConfig, Refusal, Trigger};
pub use probe::{Probe, ProbeReading};
pub use process::{free_bytes, resident_bytes};
pub use recent::RecentLines;
pub use reload::{Fate, Reloaded, Told, needs_restart};
pub use status::{
    ConnectionStatus, CountersSnapshot, LastFault, Phase, RouteStatus, TransportStatus, WebhookReply, WebhookRequest,
};
pub use usage::UsageStatus;
