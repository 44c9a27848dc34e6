//! What a connection is made of beside its section: its adapter's file, and the files that its transports name. A section
//! that is the same stands for the same connection only while these are.

use bulkhead_config::{Config, Connection};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

/// Stands for the content of a connection's files, within this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inputs {
    /// The adapter's hash.
    adapter: String,
    /// Of the files that the transports name.
    files: u64,
}

impl Inputs {
    /// Of a connection that has just loaded this adapter. Reads files.
    pub(crate) fn with_adapter(config: &Config, connection: &Connection, adapter: &str) -> Self {
        Self { adapter: adapter.to_owned(), files: files_of(config, connection) }
    }

    /// How these differ from what would be there now; none: not at all. Reads files; `adapters` keeps the hashes of
    /// those that were read before.
    pub(crate) fn changed(
        &self,
        config: &Config,
        connection: &Connection,
        adapters: &mut HashMap<PathBuf, Option<String>>,
    ) -> Option<String> {
        let file = config.adapter_file(&connection.adapter);
        let now = adapters.entry(file).or_insert_with_key(|file| bulkhead_sandbox::adapter_hash(file).ok());
        if now.as_ref().is_some_and(|now| *now != self.adapter) {
            return Some("its adapter's file changed".to_owned());
        }
        (self.files != files_of(config, connection))
            .then(|| "a file that its transports name (a secret, a certificate) changed".to_owned())
    }
}

fn files_of(config: &Config, connection: &Connection) -> u64 {
    let mut hasher = DefaultHasher::new();
    for file in connection.transports.values().flat_map(|transport| transport.files()) {
        content(&config.resolve(file)).hash(&mut hasher);
    }
    hasher.finish()
}

/// Longest file of a secret or certificate that is looked at; the transports refuse what they cannot use.
const FILE_MAX_BYTES: u64 = 1 << 20;

/// A file's content; none where it cannot be read.
fn content(path: &Path) -> Option<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(path).ok()?.take(FILE_MAX_BYTES).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_config::{AnyAdapter, parse};

    #[test]
    fn another_adapter_or_another_secret_is_noticed_and_the_same_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let text = "[connections.c]\nadapter = \"a\"\n[connections.c.transports.u]\nkind = \"http\"\n\
                    base_url = \"http://h\"\nauth = { kind = \"bearer\", token = { file = \"t\" } }\n";
        std::fs::create_dir(dir.path().join("adapters")).unwrap();
        let (adapter, token) = (dir.path().join("adapters/a.wasm"), dir.path().join("t"));
        std::fs::write(&adapter, "one").unwrap();
        std::fs::write(&token, "secret").unwrap();
        let config = parse(text, &dir.path().join("gateway.toml"), &AnyAdapter).unwrap().config;
        let connection = &config.connections["c"];
        let hash = bulkhead_sandbox::adapter_hash(&adapter).unwrap();
        let inputs = Inputs::with_adapter(&config, connection, &hash);
        let changed = || inputs.changed(&config, connection, &mut HashMap::new());
        assert_eq!(changed(), None);
        std::fs::write(&token, "another").unwrap();
        assert!(changed().unwrap().contains("secret"));
        std::fs::write(&adapter, "two").unwrap();
        assert!(changed().unwrap().contains("adapter"));
    }
}
