//! What can go wrong with an adapter: loading it, and calling it.

use crate::adapter::MissingGrant;
use crate::capability::Fault;
use crate::limits::RETRY_AFTER_MAX;
use std::path::PathBuf;
use std::time::Duration;

/// Why an adapter cannot be loaded or its connection cannot start.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The sandbox itself cannot be set up.
    #[error("the sandbox cannot be set up: {0}")]
    Setup(String),
    /// Its file cannot be read, or nobody whom the operator trusts vouches for it.
    #[error(transparent)]
    NotVouchedFor(#[from] bulkhead_bundle::BundleError),
    /// It is not a component that can be compiled.
    #[error("adapter file {path} is not a WebAssembly component this gateway can run: {cause}")]
    NotAComponent {
        /// The file.
        path: PathBuf,
        /// The compiler's word.
        cause: String,
    },
    /// The child process that was to compile it did not come to an end of its own.
    #[error("adapter file {path} was not compiled: {cause}")]
    NotCompiled {
        /// The file.
        path: PathBuf,
        /// What became of the child.
        cause: String,
    },
    /// It imports what the gateway does not offer, or with another type.
    #[error(
        "adapter {adapter} needs {import}, which this gateway does not offer ({cause}); it offers bulkhead:adapter@0.1.0 and WASI 0.2"
    )]
    UnknownImport {
        /// The adapter.
        adapter: String,
        /// The import, or the sum of them.
        import: String,
        /// What the linker found.
        cause: String,
    },
    /// It exports no role.
    #[error(
        "adapter {adapter} exports no role; expected bulkhead:adapter/adapter@0.1.0 and at least one of poller, listener, writer, sink, responder; it exports: {exports}"
    )]
    NoRole {
        /// The adapter.
        adapter: String,
        /// What it does export.
        exports: String,
    },
    /// It exports a role with the wrong functions or types, or of another version.
    #[error("adapter {adapter} exports {role} but not as bulkhead:adapter@0.1.0 says: {cause}")]
    RoleMismatch {
        /// The adapter.
        adapter: String,
        /// The role.
        role: String,
        /// What does not fit.
        cause: String,
    },
    /// The connection does not grant what the adapter imports.
    #[error("adapter {adapter} is not granted what it imports: {}", list(.missing))]
    NotGranted {
        /// The adapter.
        adapter: String,
        /// Each import and the grant it lacks.
        missing: Vec<MissingGrant>,
    },
}

fn list(missing: &[MissingGrant]) -> String {
    missing.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Why a call brought no result.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CallError {
    /// The guest reported a fault.
    #[error("{}: {}", .0.code, .0.message)]
    Fault(Fault),
    /// The guest trapped; its instance is gone and will be rebuilt.
    #[error("the adapter crashed: {message}; it is built anew in {} ms", .rebuild_in.as_millis())]
    Trapped {
        /// The trap and where it happened.
        message: String,
        /// The wait before the next try.
        rebuild_in: Duration,
    },
    /// The guest computed longer than it may, or the whole call lasted too long; its instance is gone and will be rebuilt.
    #[error("the adapter did not finish in time ({what}); it is built anew in {} ms", .rebuild_in.as_millis())]
    TimedOut {
        /// Which limit was passed.
        what: String,
        /// The wait before the next try.
        rebuild_in: Duration,
    },
    /// The instance is gone and the wait before it is rebuilt is not over.
    #[error("the adapter crashed before and is built anew in {} ms", .rebuild_in.as_millis())]
    Resting {
        /// The rest of the wait.
        rebuild_in: Duration,
    },
    /// The adapter lacks the role.
    #[error("the adapter has no role {0}")]
    NoSuchRole(&'static str),
    /// The adapter cannot be instantiated with these settings, grants or limits.
    #[error("the adapter cannot be started: {0}")]
    CannotStart(String),
}

impl CallError {
    /// How long to wait before calling again, where the error says so.
    #[must_use]
    pub fn wait(&self) -> Option<Duration> {
        match self {
            CallError::Trapped { rebuild_in, .. }
            | CallError::TimedOut { rebuild_in, .. }
            | CallError::Resting { rebuild_in } => Some(*rebuild_in),
            CallError::Fault(fault) => {
                fault.retry_after_ms.map(|ms| Duration::from_millis(u64::from(ms)).min(RETRY_AFTER_MAX))
            }
            CallError::NoSuchRole(_) | CallError::CannotStart(_) => None,
        }
    }

    /// A short name for programs, as a fault has.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            CallError::Fault(fault) => &fault.code,
            CallError::Trapped { .. } => "trap",
            CallError::TimedOut { .. } => "deadline",
            CallError::Resting { .. } => "resting",
            CallError::NoSuchRole(_) => "no-such-role",
            CallError::CannotStart(_) => "cannot-start",
        }
    }
}
