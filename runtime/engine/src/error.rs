//! What can go wrong between a config and a running engine, and with a command.

use bulkhead_log::LogError;
use bulkhead_sandbox::capability::Fault;
use bulkhead_sandbox::{CallError, SandboxError};
use bulkhead_transports::TransportError;
use std::time::Duration;

/// Why a connection cannot run or a command cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// There is no connection of that name.
    #[error("there is no connection `{name}`; there are: {}", .known.join(", "))]
    NoSuchConnection {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// There is no route of that name, and nothing is kept for one.
    #[error("nothing is kept for a removed route `{name}`; there is something for: {}", .known.join(", "))]
    NoSuchRoute {
        /// The name asked for.
        name: String,
        /// The removed routes there are.
        known: Vec<String>,
    },
    /// A route of the config cannot be forgotten.
    #[error("route {name} is in the config; remove it there first, then its cursor can be forgotten")]
    RouteInUse {
        /// The route.
        name: String,
    },
    /// The gateway stops.
    #[error("the gateway stops")]
    Stopping,
    /// The connection is switched off or has failed.
    #[error("connection {connection} does not run: {reason}")]
    NotRunning {
        /// The connection.
        connection: String,
        /// Why.
        reason: String,
    },
    /// The connection has no such point.
    #[error("connection {connection} has no point `{point}`{}", hint(.near))]
    NoSuchPoint {
        /// The connection.
        connection: String,
        /// The name asked for.
        point: String,
        /// The nearest name there is.
        near: Option<String>,
    },
    /// The point cannot be written.
    #[error("point {connection}/{point} cannot be written: {reason}")]
    NotWritable {
        /// The connection.
        connection: String,
        /// The point.
        point: String,
        /// Why.
        reason: String,
    },
    /// The value does not fit the point.
    #[error("point {connection}/{point} does not take {value}: expected {expected}")]
    BadValue {
        /// The connection.
        connection: String,
        /// The point.
        point: String,
        /// The value given.
        value: String,
        /// What would fit.
        expected: String,
    },
    /// Too many commands or requests wait for the connection already.
    #[error("connection {connection} has {limit} requests waiting; try again later")]
    Busy {
        /// The connection.
        connection: String,
        /// The bound of its queue.
        limit: usize,
    },
    /// The adapter or the device refused or failed.
    #[error("connection {connection}: {cause}")]
    Call {
        /// The connection.
        connection: String,
        /// What happened.
        cause: CallError,
    },
    /// It took too long.
    #[error("connection {connection} did not answer within {} ms", .limit.as_millis())]
    Timeout {
        /// The connection.
        connection: String,
        /// The limit.
        limit: Duration,
    },
    /// The adapter cannot be loaded or is not granted what it needs.
    #[error("connection {connection}: {cause}")]
    Adapter {
        /// The connection.
        connection: String,
        /// Why.
        cause: SandboxError,
    },
    /// The adapter lacks the role the config gives it.
    #[error("connection {connection}: adapter {adapter} has no role {role}, which {needed_by} needs")]
    MissingRole {
        /// The connection.
        connection: String,
        /// The adapter.
        adapter: String,
        /// The role it lacks.
        role: &'static str,
        /// Who needs it.
        needed_by: String,
    },
    /// There is no dead letter of that number.
    #[error("there is no dead letter {letter}; it was replayed, discarded or dropped, or never was")]
    NoSuchLetter {
        /// The number asked for.
        letter: u64,
    },
    /// Somebody replays this dead letter already.
    #[error("dead letter {letter} is being replayed already; look again when that is over")]
    LetterBusy {
        /// The dead letter.
        letter: u64,
    },
    /// A dead letter cannot be replayed as things are.
    #[error("dead letter {letter} cannot be replayed: {reason}")]
    LetterStuck {
        /// The dead letter.
        letter: u64,
        /// Why, and what would help.
        reason: String,
    },
    /// A dead letter was tried again in vain.
    #[error("dead letter {letter} was not taken: {}: {}", .fault.code, .fault.message)]
    LetterFailed {
        /// The dead letter.
        letter: u64,
        /// What the sink or the adapter said.
        fault: Fault,
        /// Whether it was refused again; otherwise nobody could take it now.
        is_refused: bool,
    },
    /// A transport cannot be made from its settings.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The log refused.
    #[error("the log: {0}")]
    Log(#[from] LogError),
}

fn hint(near: &Option<String>) -> String {
    near.as_ref().map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}
