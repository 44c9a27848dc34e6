//! An HTTP server, granted by a transport of kind `http`: the host adds base URL and credentials.

use crate::Fault;

pub use crate::bindings::bulkhead::adapter::http::{Incoming, Outgoing};

/// Sends a request and waits for the whole answer, whatever its status.
///
/// # Errors
/// `connect`, `timeout`, `tls`, `not-granted`, `too-large`.
pub fn request(transport: &str, request: &Outgoing) -> Result<Incoming, Fault> {
    #[cfg(target_family = "wasm")]
    return crate::bindings::bulkhead::adapter::http::request(transport, request);
    #[cfg(not(target_family = "wasm"))]
    crate::testing::Host::current().http_request(transport, request)
}

impl Incoming {
    /// The first header field of this name, given in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}
