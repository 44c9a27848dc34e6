//! `build-adapters`: compiles the guests and makes adapters of them, in target/adapters.

use crate::guest_toolchain::{GuestToolchain, TARGET};
use crate::{process, repository};
use anyhow::{Context, Result, bail};
use bulkhead_bundle::{Manifest, ManifestSource, PackageFacts};
use clap::Args;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What to build, and where to.
#[derive(Args)]
#[command(after_help = "Example: cargo xtask build-adapters --adapter modbus-registers")]
pub(crate) struct Options {
    /// Builds this adapter only; can be given several times.
    #[arg(long = "adapter", value_name = "NAME")]
    adapters: Vec<String>,
    /// The folder the adapters are written to.
    #[arg(long, value_name = "FOLDER", default_value = "target/adapters")]
    out: PathBuf,
}

/// A package of the guests' workspace that is an adapter.
#[derive(Debug, PartialEq, Eq)]
struct Guest {
    /// The package's name, which is the adapter's.
    name: String,
    /// The name of its library, which is the core module's.
    library: String,
    /// Its folder.
    folder: PathBuf,
    /// What its package says of it.
    facts: PackageFacts,
    /// Whether it is built without being named: an adapter for users, not one that only measures.
    is_shipped: bool,
}

/// The command.
pub(crate) fn run(options: &Options) -> Result<()> {
    let out = repository::root().join(&options.out);
    process::step("build adapters", || build(&options.adapters, &out))
}

/// Builds all adapters into a folder, for the commands that need them.
pub(crate) fn build_all(out: &Path) -> Result<()> {
    build(&[], out)
}

/// Builds one that is not shipped.
pub(crate) fn build_one(name: &str, out: &Path) -> Result<()> {
    build(&[name.to_owned()], out)
}

fn build(names: &[String], out: &Path) -> Result<()> {
    let guests = chosen(find_guests(&repository::metadata(&repository::guests())?)?, names)?;
    let toolchain = GuestToolchain::find()?;
    fs::create_dir_all(out).with_context(|| format!("{} cannot be made", out.display()))?;
    let mut table = Vec::new();
    for guest in &guests {
        compile(guest, &toolchain)?;
        table.push((guest.name.clone(), make_component(guest, out)?));
    }
    print_table(&table, out);
    Ok(())
}

/// The packages whose library is a `cdylib`.
fn find_guests(metadata: &Value) -> Result<Vec<Guest>> {
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let mut guests: Vec<Guest> = packages.iter().filter_map(guest).collect();
    guests.sort_by(|a, b| a.name.cmp(&b.name));
    if guests.is_empty() {
        bail!("no package of guest-adapters/ has a library of crate type cdylib");
    }
    Ok(guests)
}

fn guest(package: &Value) -> Option<Guest> {
    let is_cdylib =
        |target: &&Value| target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|k| k == "cdylib"));
    let target = package["targets"].as_array()?.iter().find(is_cdylib)?;
    Some(Guest {
        name: package["name"].as_str()?.to_owned(),
        library: target["name"].as_str()?.replace('-', "_"),
        folder: Path::new(package["manifest_path"].as_str()?).parent()?.to_path_buf(),
        facts: PackageFacts::of_cargo(package),
        is_shipped: package["metadata"]["bulkhead"]["shipped"].as_bool().unwrap_or(true),
    })
}

/// Those asked for, or all that are shipped; a name that is none of them is an error.
fn chosen(guests: Vec<Guest>, names: &[String]) -> Result<Vec<Guest>> {
    if let Some(unknown) = names.iter().find(|name| !guests.iter().any(|guest| guest.name == **name)) {
        let known: Vec<&str> = guests.iter().map(|guest| guest.name.as_str()).collect();
        bail!("there is no adapter `{unknown}`; there are: {}", known.join(", "));
    }
    let is_chosen = |guest: &Guest| if names.is_empty() { guest.is_shipped } else { names.contains(&guest.name) };
    Ok(guests.into_iter().filter(is_chosen).collect())
}

/// Compiles one guest. The crate type is given by hand: a library that is also built as `rlib`, which its unit tests
/// need, gets no link-time optimisation from cargo.
fn compile(guest: &Guest, toolchain: &GuestToolchain) -> Result<()> {
    let mut cargo = toolchain.cargo(&repository::guests());
    cargo.args(["rustc", "--release", "--lib", "--crate-type", "cdylib", "--package", &guest.name]);
    cargo.args(toolchain.target_arguments());
    process::run(&mut cargo).with_context(|| format!("adapter `{}` does not compile", guest.name))
}

/// Makes the component of a compiled guest unless it is there and newer than what it is made of. Returns its size.
fn make_component(guest: &Guest, out: &Path) -> Result<u64> {
    let core = repository::guests_target().join(TARGET).join("release").join(format!("{}.wasm", guest.library));
    let schema = guest.folder.join("settings.schema.json");
    let adapter = out.join(format!("{}.wasm", guest.name));
    let [source, package] = ["adapter.toml", "Cargo.toml"].map(|name| guest.folder.join(name));
    // The folder's own time changes when one of its files is removed or renamed.
    if !is_current(&adapter, &[&core, &schema, &source, &package, &guest.folder]) {
        let schema_text = read_schema(&schema)?;
        let manifest = read_manifest(&source, &guest.facts)?;
        let module = fs::read(&core).with_context(|| format!("{} cannot be read", core.display()))?;
        let component = bulkhead_author::encode(&module, schema_text.as_deref(), manifest.as_ref())
            .with_context(|| format!("adapter `{}` cannot be made a component", guest.name))?;
        write_whole(&adapter, &component)?;
    }
    Ok(fs::metadata(&adapter)?.len())
}

/// The schema of an adapter's settings; none where it has no such file.
fn read_schema(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            process::say(&format!("    warning: {} is missing: the adapter's settings go unchecked", path.display()));
            Ok(None)
        }
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
    }
}

/// What an adapter says about itself; none where it has no such file.
fn read_manifest(path: &Path, facts: &PackageFacts) -> Result<Option<Manifest>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            process::say(&format!("    warning: {} is missing: the adapter says nothing of itself", path.display()));
            return Ok(None);
        }
        Err(error) => return Err(error).with_context(|| format!("{} cannot be read", path.display())),
    };
    let manifest = ManifestSource::parse(&text).and_then(|source| source.manifest(facts.clone()));
    manifest.map(Some).map_err(anyhow::Error::msg).with_context(|| format!("{} is wrong", path.display()))
}

/// Whether a file is there and at least as new as each of its sources that are there.
fn is_current(made: &Path, sources: &[&Path]) -> bool {
    let changed = |path: &Path| -> Option<SystemTime> { fs::metadata(path).ok()?.modified().ok() };
    let Some(made) = changed(made) else { return false };
    sources.iter().filter_map(|source| changed(source)).all(|source| source <= made)
}

/// Writes a file so that a gateway that watches the folder never sees half of it.
fn write_whole(path: &Path, content: &[u8]) -> Result<()> {
    let unfinished = path.with_extension("wasm.tmp");
    fs::write(&unfinished, content).with_context(|| format!("{} cannot be written", unfinished.display()))?;
    fs::rename(&unfinished, path).with_context(|| format!("{} cannot be written", path.display()))
}

fn print_table(table: &[(String, u64)], out: &Path) {
    let width = table.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    process::say(&format!("    adapters in {}:", out.display()));
    for (name, bytes) in table {
        process::say(&format!("    {name:width$}  {:>6} KB", bytes.div_ceil(1000)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::time::Duration;

    fn workspace() -> Value {
        let package = |name: &str, kinds: &[&str]| {
            let metadata = match name {
                "decode-bench" => json!({ "bulkhead": { "shipped": false } }),
                _ => json!(null),
            };
            json!({ "name": name, "manifest_path": format!("/w/{name}/Cargo.toml"), "metadata": metadata,
                    "targets": [{ "name": name.replace('-', "_"), "kind": kinds }] })
        };
        json!({ "packages": [package("serial-text", &["cdylib", "rlib"]), package("sdk", &["lib"]),
                             package("http-json", &["cdylib"]), package("decode-bench", &["cdylib"])] })
    }

    #[test]
    fn guests_are_the_packages_with_a_cdylib() {
        let guests = find_guests(&workspace()).unwrap();
        let names: Vec<_> = guests.iter().map(|guest| (guest.name.as_str(), guest.library.as_str())).collect();
        assert_eq!(
            names,
            [("decode-bench", "decode_bench"), ("http-json", "http_json"), ("serial-text", "serial_text")]
        );
        assert_eq!(guests[2].folder, Path::new("/w/serial-text"));
        assert!(find_guests(&json!({ "packages": [] })).is_err());
    }

    #[test]
    fn an_unknown_adapter_is_an_error_that_names_the_known_ones() {
        let guests = || find_guests(&workspace()).unwrap();
        let error = chosen(guests(), &["serial-txt".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("serial-txt") && error.contains("serial-text"), "{error}");
        assert_eq!(chosen(guests(), &["serial-text".to_owned()]).unwrap().len(), 1);
        assert_eq!(chosen(guests(), &["decode-bench".to_owned()]).unwrap().len(), 1);
        let shipped: Vec<_> = chosen(guests(), &[]).unwrap().into_iter().map(|guest| guest.name).collect();
        assert_eq!(shipped, ["http-json", "serial-text"]);
    }

    #[test]
    fn an_adapter_older_than_a_source_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let [made, source] = ["made", "source"].map(|name| folder.path().join(name));
        fs::write(&source, "").unwrap();
        assert!(!is_current(&made, &[&source]), "not there");
        fs::write(&made, "").unwrap();
        assert!(is_current(&made, &[&source]));
        let later = SystemTime::now() + Duration::from_secs(10);
        fs::File::open(&source).unwrap().set_modified(later).unwrap();
        assert!(!is_current(&made, &[&source]), "the source is newer");
    }
}
