//! The cache of compiled components on disk, and the one place of the workspace that loads machine code.
//!
//! A compiled component is stored under the SHA-256 of its component and the hash of everything in wasmtime that the code
//! depends on (version, target, settings), so that neither a changed adapter nor an upgraded gateway ever meets an old one.
//!
//! Why the `unsafe` here is sound: wasmtime runs what it is given without checking the code again, so the bytes must come
//! from wasmtime itself: from this process, or through a pipe from a child that runs this very program (see `compiler`).
//! Only this module writes the folder; it is created for its owner alone (mode 0700), a file is
//! complete before it gets its name, and a SHA-256 of the code precedes it, so that a torn or altered file is compiled
//! anew. Whoever can write there with intent can already replace the gateway's own binary or its config.

use sha2::{Digest, Sha256};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use wasmtime::Engine;
use wasmtime::component::Component;

const DIGEST_BYTES: usize = 32;

/// A folder of compiled components.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    dir: PathBuf,
}

impl Cache {
    /// Uses a folder, which is created when the first component is stored.
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// The component of a hash, if it is stored and intact.
    pub(crate) fn find(&self, engine: &Engine, hash: &str) -> Option<Component> {
        let code = read_intact(&self.path(engine, hash))?;
        load_machine_code(engine, &code).ok()
    }

    /// Stores the code of a component. That storing fails costs only time.
    pub(crate) fn keep(&self, engine: &Engine, hash: &str, code: &[u8]) {
        let path = self.path(engine, hash);
        if let Err(error) = self.store(&path, code) {
            tracing::warn!(path = %path.display(), %error, "the compiled adapter cannot be cached; the next start takes longer");
        }
    }

    fn path(&self, engine: &Engine, hash: &str) -> PathBuf {
        self.dir.join(format!("{hash}-{:016x}.cwasm", engine_hash(engine)))
    }

    fn store(&self, path: &Path, code: &[u8]) -> std::io::Result<()> {
        create_private_dir(&self.dir)?;
        let unfinished = path.with_extension(format!("{}.tmp", std::process::id()));
        let mut file = std::fs::File::create(&unfinished)?;
        file.write_all(&Sha256::digest(code))?;
        file.write_all(code)?;
        file.sync_all()?;
        std::fs::rename(&unfinished, path)
    }
}

#[cfg(unix)]
fn create_private_dir(dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

#[cfg(not(unix))]
fn create_private_dir(dir: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(dir)
}

/// The code in a cache file, if its digest is right.
fn read_intact(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = std::fs::read(path).ok()?;
    if bytes.len() < DIGEST_BYTES {
        return None;
    }
    let code = bytes.split_off(DIGEST_BYTES);
    (Sha256::digest(&code).as_slice() == bytes).then_some(code)
}

/// The component of machine code that `precompile_component` has made for an engine of these settings.
#[expect(unsafe_code, reason = "see the module's comment")]
pub(crate) fn load_machine_code(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the bytes were made by `precompile_component`: just now, by this process or by the same program started for
    // it, or before, and kept by this module in its private folder.
    unsafe { Component::deserialize(engine, code) }
}

fn engine_hash(engine: &Engine) -> u64 {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_or_altered_cache_file_is_compiled_anew() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path().join("cache"));
        let engine = Engine::default();
        let bytes = b"\0asm\x0d\0\x01\0";
        let hash = bulkhead_bundle::sha256_hex(bytes);
        assert!(cache.find(&engine, &hash).is_none());
        cache.keep(&engine, &hash, &engine.precompile_component(bytes).unwrap());
        assert!(cache.find(&engine, &hash).is_some());
        let file = std::fs::read_dir(dir.path().join("cache")).unwrap().next().unwrap().unwrap().path();
        assert!(read_intact(&file).is_some());
        for damage in [&b""[..], b"torn"] {
            std::fs::write(&file, damage).unwrap();
            assert!(cache.find(&engine, &hash).is_none());
            cache.keep(&engine, &hash, &engine.precompile_component(bytes).unwrap());
            assert!(read_intact(&file).is_some());
        }
        let mut altered = std::fs::read(&file).unwrap();
        *altered.last_mut().unwrap() ^= 1;
        std::fs::write(&file, altered).unwrap();
        assert!(read_intact(&file).is_none());
    }
}
