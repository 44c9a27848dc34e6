//! The config of the gateway: TOML in, plain checked values out, and every mistake at once with its place and a hint.
//!
//! ```
//! use bulkhead_config::{AnyAdapter, parse};
//! let loaded = parse("[connections.boiler]\nadapter = \"demo\"\n", "gateway.toml".as_ref(), &AnyAdapter).unwrap();
//! assert_eq!(loaded.config.connections["boiler"].poll_interval_ms, 1000);
//! ```
//!
//! Loading opens no socket and no device: it reads the config, the files its settings name, and what the caller's
//! [`AdapterSchemas`] reads.

mod adapters;
mod check;
mod checks;
mod config;
mod connection;
mod diagnostic;
mod diff;
pub mod glob;
mod redact;
mod render;
mod route;
mod schema;
mod settings;
mod tree;
mod walk;
mod wanted;

pub use adapters::{AdapterLookup, AdapterSchemas, AnyAdapter};
pub use config::{Api, ApiRole, Config, Credential, Durability, Gateway, Log, LogFormat, LogLevel, Logging, WhenFull};
pub use connection::{AdapterSettings, Connection, DEFAULT_POLL_GROUP, Limits, PollGroup};
pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use diff::{Change, Edit, Section, diff};
pub use route::{Convert, Rename, Route, RouteStart};
pub use schema::json_schema;
pub use walk::nearest;

use std::path::Path;

/// A config that is good to run, with what is doubtful about it.
#[derive(Clone, PartialEq, Debug)]
pub struct Loaded {
    /// The config.
    pub config: Config,
    /// Warnings; often none.
    pub warnings: Diagnostics,
}

/// Reads and checks a config file.
///
/// # Errors
/// Everything that is wrong with it, warnings included; a file that cannot be read is a diagnostic too.
pub fn load(path: &Path, schemas: &dyn AdapterSchemas) -> Result<Loaded, Diagnostics> {
    let text = tree::read_file(path).map_err(|error| {
        Diagnostics::of_file(&path.to_string_lossy(), format!("the config cannot be read: {error}"))
    })?;
    parse(&text, path, schemas)
}

/// Checks the text of a config file. `path` is where it stands or would stand: it names the file in diagnostics, and
/// relative paths start at its folder.
///
/// # Errors
/// Everything that is wrong with it, warnings included.
pub fn parse(text: &str, path: &Path, schemas: &dyn AdapterSchemas) -> Result<Loaded, Diagnostics> {
    check::check(text, path, schemas)
}
