//! What is in the gateway's folder of adapters, judged as the gateway judges it before it runs one.

use crate::adapter_files::trust;
use bulkhead_bundle::{BundleError, Ended, Installed, Manifest, Trust};
use bulkhead_config::Config;
use serde::Serialize;
use std::path::Path;

/// An adapter in the folder.
#[derive(Debug, Clone, Serialize)]
pub struct AdapterStatus {
    /// Its name: that of its file.
    pub name: String,
    /// Its version; none: it is not admitted, or has no manifest.
    pub version: Option<String>,
    /// Its maker's name for it; none as for the version.
    pub id: Option<String>,
    /// The hash of its file, hexadecimal; none: it is not admitted.
    pub sha256: Option<String>,
    /// The name of the key that signed it; none: nobody that is believed.
    pub signed_by: Option<String>,
    /// `admitted`, or why not.
    pub state: String,
    /// The connections that use it.
    pub used_by: Vec<String>,
    /// How its last upgrade ended; none: there was none, or it is on probation.
    pub last_upgrade: Option<Ended>,
    /// Whether it is on probation after an upgrade.
    pub on_probation: bool,
}

/// The adapters in the folder of a config, by name. Reads and hashes each file: blocks.
///
/// # Errors
/// [`BundleError::BadKey`]: one of `security.trusted_keys` is none; or a record of upgrades cannot be read.
pub fn adapters_of(config: &Config) -> Result<Vec<AdapterStatus>, BundleError> {
    let trust = trust(config)?;
    let folder = config.resolve(&config.gateway.adapters_dir);
    let pending = Installed::pending_in(&config.data_dir())?;
    let status = |name: String| AdapterStatus {
        used_by: users_of(config, &name),
        last_upgrade: Installed::ended_of(&config.data_dir(), &name).ok().flatten(),
        on_probation: pending.iter().any(|one| one.name == name),
        ..judged(name.clone(), &folder.join(format!("{name}.wasm")), &trust)
    };
    Ok(Installed::names_in(&folder).into_iter().map(status).collect())
}

/// The connections of a config that use an adapter.
#[must_use]
pub fn users_of(config: &Config, adapter: &str) -> Vec<String> {
    let uses = config.connections.iter().filter(|(_, connection)| connection.adapter == adapter);
    uses.map(|(name, _)| name.clone()).collect()
}

fn judged(name: String, file: &Path, trust: &Trust) -> AdapterStatus {
    let (state, manifest, vouched) = match trust.read(&name, file) {
        // What is not vouched for is not parsed here either.
        Err(refusal) => (format!("refused: {refusal}"), None, None),
        Ok((bytes, vouched)) => match Manifest::read(&bytes) {
            Ok(manifest) => ("admitted".to_owned(), manifest, Some(vouched)),
            Err(cause) => (format!("no adapter: {cause}"), None, Some(vouched)),
        },
    };
    AdapterStatus {
        name,
        version: manifest.as_ref().map(|manifest| manifest.version.to_string()),
        id: manifest.map(|manifest| manifest.id),
        sha256: vouched.as_ref().map(|vouched| vouched.sha256.clone()),
        signed_by: vouched.and_then(|vouched| vouched.signed_by),
        state,
        used_by: Vec::new(),
        last_upgrade: None,
        on_probation: false,
    }
}
