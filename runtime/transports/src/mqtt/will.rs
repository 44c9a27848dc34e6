//! The last will: the operator's from the settings, or the adapter's, which replaces it from the next connect on.

use super::packet::Publish;
use parking_lot::Mutex;

/// The will that the next connect carries.
pub(crate) struct Will(Mutex<Option<Publish>>);

impl Will {
    pub(crate) fn new(will: Option<Publish>) -> Self {
        Self(Mutex::new(will))
    }

    pub(crate) fn set(&self, will: Publish) {
        *self.0.lock() = Some(will);
    }

    pub(crate) fn current(&self) -> Option<Publish> {
        self.0.lock().clone()
    }
}
