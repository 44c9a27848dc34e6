//! Faults: what an adapter says when it cannot, and what the host must do about it.

use crate::{Fault, Remedy};

impl Fault {
    fn with(remedy: Remedy, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { remedy, code: code.into(), message: message.into(), retry_after_ms: None }
    }

    /// Try the same again later. `code` is a short name for programs, `lower-case-with-dashes`; `message` a sentence
    /// for people that names what was expected and what came.
    #[must_use]
    pub fn retry(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::with(Remedy::Retry, code, message)
    }

    /// Close the transport, open it anew, then try again.
    #[must_use]
    pub fn reconnect(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::with(Remedy::Reconnect, code, message)
    }

    /// Give this one item up: trying again cannot help.
    #[must_use]
    pub fn reject(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::with(Remedy::Reject, code, message)
    }

    /// Stop the connection until its configuration changes.
    #[must_use]
    pub fn reconfigure(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::with(Remedy::Reconfigure, code, message)
    }

    /// The next try is not to come earlier than this many milliseconds from now.
    #[must_use]
    pub fn after_ms(mut self, milliseconds: u32) -> Self {
        self.retry_after_ms = Some(milliseconds);
        self
    }
}
