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

#![forbid(unsafe_code)]

mod adapters;
mod api;
mod check;
mod checks;
mod config;
mod connection;
mod diagnostic;
mod diff;
pub mod glob;
mod proxies;
mod redact;
mod redacted;
mod render;
mod route;
mod schema;
mod settings;
mod switch;
mod tree;
mod uncover;
mod walk;
mod wanted;

pub use adapters::{AdapterLookup, AdapterSchemas, AnyAdapter};
pub use api::{
    Api, ApiLimits, ApiRole, ApiTls, ClientCertificate, Credential, Jwt, SignatureAlgorithm, SignatureEncoding,
    Webhook, WebhookSignature,
};
pub use config::{
    ACCOUNTS_FILE, Config, Durability, Gateway, HEALTH_CONNECTION, Health, Log, LogFormat, LogLevel, Logging,
    SandboxEngine, SandboxSettings, Security, TapSettings, WhenFull,
};
pub use connection::{AdapterSettings, Connection, DEFAULT_POLL_GROUP, Limits, PollGroup};
pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use diff::{Change, Edit, Section, diff};
pub use redacted::{Redacted, redacted};
pub use route::{Convert, Rename, Route, RouteStart};
pub use schema::json_schema;
pub use switch::switched;
pub use walk::nearest;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A config that is good to run, with what is doubtful about it.
#[derive(Clone, PartialEq, Debug)]
pub struct Loaded {
    /// The config.
    pub config: Config,
    /// Warnings; often none.
    pub warnings: Diagnostics,
}

impl Loaded {
    /// The text with its secrets covered by `*`, byte for byte as long as the text.
    #[must_use]
    pub fn shown(&self) -> &Arc<str> {
        &self.warnings.source
    }

    /// A text that was made from [`Loaded::shown`] with the secrets of this config, whose text is `own`, put back where
    /// they still stand under the same key.
    ///
    /// # Errors
    /// A covered secret that this config does not have there: it would be taken for the secret itself.
    pub fn uncover(&self, own: &str, edited: &str, path: &Path) -> Result<String, Diagnostics> {
        uncover::uncover(edited, own, self.shown(), path)
    }
}

/// The folder `gateway.data_dir` of a text that may be wrong in other places, or the default: for finding what the gateway
/// keeps when its config cannot be used.
#[must_use]
pub fn data_dir_of(text: &str, path: &Path) -> PathBuf {
    let base_dir = path.parent().unwrap_or(Path::new(""));
    let read = tree::read(text);
    let named = read.root.get("gateway").and_then(|gateway| gateway.text_of("data_dir")).map(PathBuf::from);
    base_dir.join(named.unwrap_or_else(|| Gateway::default().data_dir))
}

/// The names of the connections in a text that may be wrong in other places, the built-in one among them; none where the text
/// is no whole TOML and names could be missing.
#[must_use]
pub fn connection_names_of(text: &str) -> Option<BTreeSet<String>> {
    let read = tree::read(text);
    let named = read.root.get("connections").map_or(&[][..], tree::Node::entries);
    let names = named.iter().map(|entry| entry.key.clone()).chain([HEALTH_CONNECTION.to_owned()]);
    read.whole.then(|| names.collect())
}

/// Reads and checks a config file.
///
/// # Errors
/// Everything that is wrong with it, warnings included; a file that cannot be read is a diagnostic too.
pub fn load(path: &Path, schemas: &dyn AdapterSchemas) -> Result<Loaded, Diagnostics> {
    parse(&read_text(path)?, path, schemas)
}

/// Reads a config file without checking it.
///
/// # Errors
/// One diagnostic: it cannot be read, is too long, or no text.
pub fn read_text(path: &Path) -> Result<String, Diagnostics> {
    tree::read_file(path)
        .map_err(|error| Diagnostics::of_file(&path.to_string_lossy(), format!("the config cannot be read: {error}")))
}

/// Checks the text of a config file. `path` is where it stands or would stand: it names the file in diagnostics, and
/// relative paths start at its folder.
///
/// # Errors
/// Everything that is wrong with it, warnings included.
pub fn parse(text: &str, path: &Path, schemas: &dyn AdapterSchemas) -> Result<Loaded, Diagnostics> {
    check::check(text, path, schemas)
}
