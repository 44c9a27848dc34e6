//! An adapter file's own word on its settings, and its identity, read without compiling the component.

use crate::error::SandboxError;
use bulkhead_bundle::{Trust, read_adapter, sha256_hex};
use std::path::Path;

pub use bulkhead_bundle::settings_schema_in;

/// The schema in an adapter file, once the file has been judged; none where the adapter carries none.
///
/// # Errors
/// The file is absent, too long, not vouched for, not a WebAssembly component, or its schema is not JSON.
pub fn settings_schema(name: &str, path: &Path, trust: &Trust) -> Result<Option<serde_json::Value>, SandboxError> {
    let (bytes, _) = trust.read(name, path)?;
    settings_schema_in(&bytes).map_err(|cause| SandboxError::NotAComponent { path: path.to_owned(), cause })
}

/// The SHA-256 of an adapter file in hexadecimal, as [`Adapter::hash`](crate::Adapter::hash) of one loaded from it.
///
/// # Errors
/// The file is absent or too long.
pub fn adapter_hash(path: &Path) -> Result<String, SandboxError> {
    Ok(sha256_hex(&read_adapter(path)?))
}
