//! What the config must know of adapters, given by the caller: whether a component is there and its settings schema.

use crate::Security;
use std::path::{Path, PathBuf};

/// Looks adapters up. The gateway reads them from `.wasm` files; tests make them up.
///
/// Implemented by every `Fn(&Path, &str) -> AdapterLookup`. It must open nothing but the adapter's file.
pub trait AdapterSchemas {
    /// Looks up one adapter by name in a folder (`gateway.adapters_dir`, already relative to this process).
    fn look_up(&self, adapters_dir: &Path, adapter: &str) -> AdapterLookup;

    /// Looks up one adapter under a config's `[security]`: what is not vouched for is [`AdapterLookup::Unusable`], and
    /// nothing of it is parsed. Who makes adapters up has nothing to vouch for.
    fn look_up_under(&self, adapters_dir: &Path, adapter: &str, _security: &Security) -> AdapterLookup {
        self.look_up(adapters_dir, adapter)
    }
}

impl<F: Fn(&Path, &str) -> AdapterLookup> AdapterSchemas for F {
    fn look_up(&self, adapters_dir: &Path, adapter: &str) -> AdapterLookup {
        self(adapters_dir, adapter)
    }
}

/// Takes every adapter for present, without a settings schema: for tools that look at a config away from its adapters.
#[derive(Clone, Copy, Debug, Default)]
pub struct AnyAdapter;

impl AdapterSchemas for AnyAdapter {
    fn look_up(&self, _: &Path, _: &str) -> AdapterLookup {
        AdapterLookup::Found(None)
    }
}

/// What was found of an adapter.
#[derive(Clone, PartialEq, Debug)]
pub enum AdapterLookup {
    /// It is there, with the JSON Schema of its settings if it carries one.
    Found(Option<serde_json::Value>),
    /// It is not there.
    Missing {
        /// The file that was looked for.
        searched: PathBuf,
        /// The names of those that are there.
        available: Vec<String>,
    },
    /// Its file is there, but is no adapter, or cannot be read.
    Unusable {
        /// The file.
        file: PathBuf,
        /// What is wrong with it, in a sentence.
        reason: String,
    },
}
