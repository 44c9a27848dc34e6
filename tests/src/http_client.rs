//! A plain HTTP client, for requests that are the test's own.

use anyhow::Result;

/// A client that takes no proxy from the environment.
///
/// # Errors
/// Where it cannot be made.
pub fn http_client() -> Result<reqwest::Client> {
    // Ring is the one TLS provider here; that another test has installed it already is no failure.
    _ = rustls::crypto::ring::default_provider().install_default();
    Ok(reqwest::Client::builder().no_proxy().build()?)
}
