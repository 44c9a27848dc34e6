//! Adapters as files: looked up for checking a config, and judged by its `[security]`.

use bulkhead_bundle::{BundleError, Installed, PublicKey, Trust};
use bulkhead_config::{AdapterLookup, AdapterSchemas, Config, Security};
use bulkhead_sandbox::settings_schema;
use std::path::Path;

/// Looks adapters up as `.wasm` files, for checking a config: reads the file, judges it, compiles nothing.
pub fn schemas_in() -> impl AdapterSchemas {
    AdapterFiles
}

struct AdapterFiles;

impl AdapterSchemas for AdapterFiles {
    fn look_up(&self, dir: &Path, adapter: &str) -> AdapterLookup {
        self.look_up_under(dir, adapter, &Security::default())
    }

    fn look_up_under(&self, dir: &Path, adapter: &str, security: &Security) -> AdapterLookup {
        let file = dir.join(format!("{adapter}.wasm"));
        if !file.is_file() {
            return AdapterLookup::Missing { searched: file, available: installed_adapters(dir) };
        }
        let schema = trust_of(security, None)
            .map_err(|error| error.to_string())
            .and_then(|trust| settings_schema(adapter, &file, &trust).map_err(|error| error.to_string()));
        match schema {
            Ok(schema) => AdapterLookup::Found(schema),
            Err(reason) => AdapterLookup::Unusable { file, reason },
        }
    }
}

/// Whom a config's operator believes.
///
/// # Errors
/// [`BundleError::BadKey`]: one of `security.trusted_keys` is none.
pub fn trust(config: &Config) -> Result<Trust, BundleError> {
    trust_of(&config.security, Some(&config.data_dir()))
}

fn trust_of(security: &Security, data_dir: Option<&Path>) -> Result<Trust, BundleError> {
    let named = |(name, key): (&String, &String)| match PublicKey::parse(key) {
        Ok(key) => Ok((name.clone(), key)),
        Err(error) => Err(BundleError::BadKey(format!("security.trusted_keys.{name}: {error}"))),
    };
    Ok(Trust {
        require_signed: security.require_signed,
        keys: security.trusted_keys.iter().map(named).collect::<Result<_, _>>()?,
        pins: security.pins.clone(),
        record: data_dir.map(Path::to_owned),
    })
}

/// The names of the adapters in a folder, sorted; none where the folder cannot be read.
#[must_use]
pub fn installed_adapters(dir: &Path) -> Vec<String> {
    Installed::names_in(dir)
}
