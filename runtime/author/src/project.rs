//! An adapter's project: a folder with `adapter.toml`, and the adapter that is built of it.

use crate::component::encode;
use crate::error::AuthorError;
use crate::language::Language;
use crate::toolchain::{TARGET, cargo_rustc};
use crate::{exports, foreign, sdk, world};
use bulkhead_bundle::{Manifest, ManifestSource, PackageFacts};
use serde_json::Value as Json;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A project on disk.
#[derive(Debug, Clone)]
pub struct Project {
    folder: PathBuf,
    source: ManifestSource,
}

/// What cargo says of a project's package.
struct Package {
    facts: PackageFacts,
    library: String,
}

impl Project {
    /// The project in a folder.
    ///
    /// # Errors
    /// [`AuthorError::NoProject`], or what is wrong with its `adapter.toml`.
    pub fn open(folder: &Path) -> Result<Self, AuthorError> {
        let path = folder.join("adapter.toml");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(AuthorError::NoProject(folder.to_owned()));
            }
            Err(error) => return Err(AuthorError::file(&path)(error)),
        };
        let source = ManifestSource::parse(&text).map_err(AuthorError::BadProject)?;
        let folder = std::path::absolute(folder).map_err(AuthorError::file(folder))?;
        Ok(Self { folder, source })
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The adapter's name: the part of its id behind the maker.
    #[must_use]
    pub fn name(&self) -> &str {
        self.source.id.rsplit('/').next().unwrap_or_default()
    }

    /// Where its adapter is built to: `dist/NAME.wasm`.
    #[must_use]
    pub fn adapter(&self) -> PathBuf {
        self.folder.join("dist").join(format!("{}.wasm", self.name()))
    }

    /// The adapters beside its own in `dist`, by their names: an earlier build left them there under another id.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn earlier_builds(&self) -> Result<Vec<PathBuf>, AuthorError> {
        let (own, folder) = (self.adapter(), self.folder.join("dist"));
        let mut earlier = Vec::new();
        for entry in std::fs::read_dir(&folder).map_err(AuthorError::file(&folder))? {
            let path = entry.map_err(AuthorError::file(&folder))?.path();
            if path != own && path.extension().is_some_and(|end| end == "wasm") {
                earlier.push(path);
            }
        }
        earlier.sort();
        Ok(earlier)
    }

    /// Its language, by the file it begins with.
    ///
    /// # Errors
    /// It has the beginning of none, or of several.
    pub fn language(&self) -> Result<Language, AuthorError> {
        Language::of(&self.folder)
    }

    /// Builds the adapter. The compiler's messages go to stderr as they come. Nothing is installed.
    ///
    /// # Errors
    /// Any [`AuthorError`] but those of a new project.
    pub fn build(&self) -> Result<PathBuf, AuthorError> {
        match self.language()? {
            Language::Rust => self.build_rust(),
            other => self.build_foreign(other),
        }
    }

    fn build_rust(&self) -> Result<PathBuf, AuthorError> {
        let package = self.package()?;
        let target = self.folder.join("target");
        let built = cargo_rustc(&self.folder, &target)?.status().map_err(|_| AuthorError::NoToolchain)?;
        if !built.success() {
            return Err(AuthorError::NotCompiled);
        }
        let module = target.join(TARGET).join("release").join(format!("{}.wasm", package.library));
        self.finish(&module, package.facts).map_err(|error| match error {
            AuthorError::NoRole(cause) => {
                let roles: Vec<&str> = self.source.roles.iter().map(String::as_str).collect();
                let roles = roles.join(", ");
                AuthorError::NoRole(format!("{cause}; is there export!(…: {roles}) at the end of src/lib.rs?"))
            }
            other => other,
        })
    }

    /// With the tool of the language, for the smallest world.
    fn build_foreign(&self, language: Language) -> Result<PathBuf, AuthorError> {
        if !self.folder.join("bulkhead").is_dir() {
            sdk::write_into(&self.folder, language)?;
        }
        let roles: Vec<String> = self.source.roles.iter().cloned().collect();
        let (mut tool, built) = foreign::compiler(language, &self.folder, &roles)?;
        exports::check(language, &self.folder, &roles)?;
        let sources = self.sources(language)?;
        if let Some(idle) = world::idle_ask(&self.source.asks, language, &sources) {
            return Err(does_not_fit(&format!("a reason is given for {idle}, which no source imports")));
        }
        self.write_world(language, &sources)?;
        match std::fs::remove_file(&built) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(AuthorError::file(&built)(error)),
            _ => {}
        }
        let made = tool.status().map_err(AuthorError::file(Path::new(tool.get_program())))?;
        if !made.success() || !built.is_file() {
            // Without a reason it is not in the world, and the tool knows of no such import.
            return Err(match world::silent_import(&self.source.asks, language, &sources) {
                Some(silent) => {
                    does_not_fit(&format!("a source imports {silent}, and no reason is given; add `{silent} = \"…\"`"))
                }
                None => AuthorError::NotCompiled,
            });
        }
        self.finish(&built, PackageFacts::default())
    }

    /// The texts of its own sources.
    fn sources(&self, language: Language) -> Result<Vec<String>, AuthorError> {
        foreign::sources(&self.folder, language)?.iter().map(|path| read(path)).collect()
    }

    /// The project's interfaces with a world of its own beside them.
    fn write_world(&self, language: Language, sources: &[String]) -> Result<(), AuthorError> {
        let capabilities = world::capabilities(self.source.asks.keys(), language, sources);
        let folder = self.folder.join(foreign::INTERFACES);
        for name in ["types.wit", "capabilities.wit", "roles.wit"] {
            sdk::write(&folder.join(name), &read(&self.folder.join("bulkhead/wit").join(name))?)?;
        }
        let roles = self.source.roles.iter().cloned().collect();
        sdk::write(&folder.join("project.wit"), &world::world(&roles, &capabilities))
    }

    /// Makes the adapter of a component, or of a core module, that another tool has built.
    ///
    /// # Errors
    /// As [`Project::build`].
    pub fn build_of(&self, component: &Path) -> Result<PathBuf, AuthorError> {
        self.finish(component, PackageFacts::default())
    }

    fn finish(&self, compiled: &Path, facts: PackageFacts) -> Result<PathBuf, AuthorError> {
        let manifest: Manifest = self.source.clone().manifest(facts).map_err(AuthorError::BadProject)?;
        let schema = self.schema()?;
        let compiled = std::fs::read(compiled).map_err(AuthorError::file(compiled))?;
        let adapter = encode(&compiled, schema.as_deref(), Some(&manifest))?;
        let path = self.adapter();
        let folder = path.parent().unwrap_or(&self.folder);
        std::fs::create_dir_all(folder).map_err(AuthorError::file(folder))?;
        // A gateway may be watching the folder: it sees the old file or the new one.
        let unfinished = path.with_extension("wasm.tmp");
        std::fs::write(&unfinished, adapter).map_err(AuthorError::file(&unfinished))?;
        std::fs::rename(&unfinished, &path).map_err(AuthorError::file(&path))?;
        Ok(path)
    }

    fn schema(&self) -> Result<Option<String>, AuthorError> {
        let path = self.folder.join("settings.schema.json");
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(AuthorError::file(&path)(error)),
        }
    }

    fn package(&self) -> Result<Package, AuthorError> {
        let mut cargo = Command::new("cargo");
        cargo.args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(&self.folder).stdin(Stdio::null());
        let output = cargo.output().map_err(|_| AuthorError::NoToolchain)?;
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            return Err(AuthorError::BadProject(format!("cargo cannot read Cargo.toml: {}", said.trim_end())));
        }
        let metadata: Json = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let here = self.folder.join("Cargo.toml");
        let packages = metadata["packages"].as_array().into_iter().flatten();
        let mut own = packages.filter(|one| one["manifest_path"].as_str().is_some_and(|path| same(path, &here)));
        let package = own.next().ok_or_else(|| AuthorError::BadProject("Cargo.toml has no [package]".into()))?;
        let targets = package["targets"].as_array().into_iter().flatten();
        let mut libraries =
            targets.filter(|one| one["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|k| k == "cdylib")));
        let library = libraries.next().and_then(|library| library["name"].as_str()).ok_or_else(|| {
            AuthorError::BadProject("Cargo.toml: expected [lib] with crate-type = [\"cdylib\", \"rlib\"]".into())
        })?;
        Ok(Package { facts: PackageFacts::of_cargo(package), library: library.replace('-', "_") })
    }
}

fn read(path: &Path) -> Result<String, AuthorError> {
    std::fs::read_to_string(path).map_err(AuthorError::file(path))
}

/// What is wrong with `[asks]`, in the words in which the manifest says it of a component.
fn does_not_fit(cause: &str) -> AuthorError {
    AuthorError::BadProject(format!("adapter.toml does not fit the sources: asks: {cause}"))
}

/// Whether two paths lead to the same file, whatever links are on the way.
fn same(one: &str, other: &Path) -> bool {
    Path::new(one) == other
        || std::fs::canonicalize(one).ok().is_some_and(|one| std::fs::canonicalize(other).ok() == Some(one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_id_left_in_dist_is_found() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("dist")).unwrap();
        std::fs::write(folder.path().join("adapter.toml"), "id = \"acme/scale\"\nauthor = \"x\"\nroles = [\"sink\"]\n")
            .unwrap();
        for file in ["scale.wasm", "scale.wasm.minisig", "weigher.wasm", "weigher.wasm.minisig", "notes.txt"] {
            std::fs::write(folder.path().join("dist").join(file), "").unwrap();
        }
        let project = Project::open(folder.path()).unwrap();
        assert_eq!(project.earlier_builds().unwrap(), [folder.path().join("dist/weigher.wasm")]);
    }
}
