//! Why a config is not taken up. The running one stays in every case.

use bulkhead_config::Diagnostics;
use std::path::PathBuf;

/// Most diagnostics of a refused config that go to the journal.
const JOURNAL_DIAGNOSTICS_MAX: usize = 20;

/// Why a config is not taken up.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Something is wrong with it.
    #[error("the config has mistakes:\n{0}")]
    Invalid(Diagnostics),
    /// A part of the gateway cannot go by it.
    #[error("{0}")]
    CannotFollow(String),
    /// It was made from a config that no longer runs.
    #[error("another config runs by now; fetch it, make the change again and send it with its tag `{tag}`")]
    Outdated {
        /// The tag of the running config.
        tag: String,
    },
    /// Writing it would overwrite changes of the file that were never taken up.
    #[error(
        "{} holds changes that do not run; have them taken up (`bulkhead reload`) or given up (`bulkhead rollback`) \
         first",
        path.display()
    )]
    FileEdited {
        /// The config's file.
        path: PathBuf,
    },
    /// The config's file, or the folder of those kept, cannot be read or written.
    #[error("the config {} cannot be changed on disk: {source}", path.display())]
    File {
        /// The config's file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// There is no config to go back to.
    #[error("no config before this one is kept")]
    NothingBefore,
    /// The gateway stops.
    #[error("the gateway stops")]
    Stopping,
}

impl Refusal {
    /// Writes it to the journal, a line for each mistake.
    pub(crate) fn tell(&self) {
        match self {
            Refusal::Invalid(diagnostics) => {
                tracing::error!("reload: the config has mistakes and is refused; the running one stays");
                for line in diagnostics.plain().lines().take(JOURNAL_DIAGNOSTICS_MAX) {
                    tracing::error!("reload: {line}");
                }
            }
            other => tracing::error!("reload: refused; the running config stays: {other}"),
        }
    }
}
