//! An adapter as one file that can be known, signed and vouched for.
//!
//! The file is a WebAssembly component, `NAME.wasm`. Two custom sections say what it is: the [`Manifest`] (who made it, which
//! version, which roles, why it asks for what it imports) and the JSON Schema of its settings. A detached minisign signature
//! lies beside it, `NAME.wasm.minisig`. [`Trust`] is the operator's word on whom to believe: it judges bytes before anything
//! parses them. [`Installed`] is the folder of adapters with what was accepted before, so that nothing older comes back
//! unasked. Nothing here runs an adapter, and nothing here knows wasmtime.

#![forbid(unsafe_code)]

mod digest;
mod durable;
mod error;
mod installed;
mod manifest;
mod offline_set;
mod probation;
mod section;
mod signature;
mod source;
mod surface;
mod trust;

pub use digest::sha256_hex;
pub use error::BundleError;
pub use installed::{Accepted, Ended, Installed, Installing, Pending};
pub use manifest::{Asks, DefaultPoint, MANIFEST_FORMAT, Manifest, WIT_VERSION, is_capability};
pub use offline_set::{OfflineSet, SET_MAX_BYTES};
pub use probation::{Probation, Seen, Verdict};
pub use section::{append_section, custom_section};
pub use signature::{PublicKey, SecretKey, key_pair, signature_file};
pub use source::{ManifestSource, PackageFacts};
pub use surface::Surface;
pub use trust::{ADAPTER_FILE_MAX_BYTES, Trust, Vouched, read_adapter};

/// The custom section of a component that holds its [`Manifest`] as JSON.
pub const MANIFEST_SECTION: &str = "bulkhead:manifest";
/// The custom section of a component that holds the JSON Schema of its settings.
pub const SETTINGS_SCHEMA_SECTION: &str = "bulkhead:settings-schema";

/// The schema of an adapter's settings in the bytes of its file; none where it carries none.
///
/// # Errors
/// In words: what of the bytes is not as a component's are.
pub fn settings_schema_in(bytes: &[u8]) -> Result<Option<serde_json::Value>, String> {
    let Some(json) = custom_section(bytes, SETTINGS_SCHEMA_SECTION)? else { return Ok(None) };
    let schema = serde_json::from_slice(json);
    schema.map(Some).map_err(|error| format!("its section {SETTINGS_SCHEMA_SECTION} is not JSON: {error}"))
}
