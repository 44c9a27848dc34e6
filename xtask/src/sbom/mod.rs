//! `sbom`: the bill of materials of the gateway's binary, in CycloneDX's JSON: every crate that is linked into it or takes part
//! in its build, with licence, package URL and hash. Made from what cargo resolves and from Cargo.lock, so the same commit gives
//! the same bill.

mod bill;
mod licences;

use crate::{process, repository};
use anyhow::{Context, Result, ensure};
use bill::{Bill, Component, Scope};
use clap::Args;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The package whose binary is shipped.
const SHIPPED: &str = "bulkhead";

/// For which binary, and where to.
#[derive(Args)]
#[command(after_help = "Example: cargo xtask sbom --target aarch64-unknown-linux-gnu -o bulkhead.cdx.json")]
pub(crate) struct Options {
    /// The target that the binary is built for; by default this machine's.
    #[arg(long, value_name = "TRIPLE")]
    target: Option<String>,
    /// The file to write; by default target/sbom/bulkhead.cdx.json.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// The command.
pub(crate) fn run(options: &Options) -> Result<()> {
    let target = options.target.clone().map_or_else(repository::host_triple, Ok)?;
    let file = options.output.clone().unwrap_or_else(|| repository::target().join("sbom/bulkhead.cdx.json"));
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    }
    let bill = of(&target)?;
    let refused = not_allowed(&bill)?;
    ensure!(refused.is_empty(), "licences that deny.toml does not allow: {}", refused.join(", "));
    let text = serde_json::to_string_pretty(&bill.to_json())? + "\n";
    std::fs::write(&file, text).with_context(|| format!("{} cannot be written", file.display()))?;
    let linked = bill.components.iter().filter(|one| one.scope == Scope::Linked).count();
    process::say(&format!(
        "{}: {} components for {target}, {linked} of them linked into the binary",
        file.display(),
        bill.components.len()
    ));
    Ok(())
}

/// The bill of the binary for a target.
pub(crate) fn of(target: &str) -> Result<Bill> {
    let metadata = json_of(cargo(&["metadata", "--format-version", "1", "--locked"]))?;
    let hashes = hashes(&std::fs::read_to_string(repository::root().join("Cargo.lock"))?)?;
    let linked = tree(target, "normal,no-proc-macro")?;
    let all = tree(target, "normal,build")?;
    let packages = metadata["packages"].as_array().context("cargo metadata names no packages")?;
    let mut refs: HashMap<&str, String> = HashMap::new();
    let mut components = Vec::new();
    for package in packages {
        let key = key_of(package)?;
        if all.contains(&key) {
            let scope = if linked.contains(&key) { Scope::Linked } else { Scope::Build };
            let component = Component::of_package(package, scope, hashes.get(&key).cloned());
            refs.insert(package["id"].as_str().unwrap_or_default(), component.reference.clone());
            if package["name"] == "libsqlite3-sys" {
                components.push(sqlite(package, &component.reference)?);
            }
            if package["name"] == "utoipa-swagger-ui-vendored" {
                components.push(swagger_ui(package, &component.reference)?);
            }
            components.push(component);
        }
    }
    ensure!(refs.len() == all.len(), "cargo's tree and its metadata name different packages");
    let mut edges = edges(&metadata, &refs);
    for component in components.iter().filter(|component| component.part_of.is_some()) {
        edges.entry(component.part_of.clone().unwrap_or_default()).or_default().insert(component.reference.clone());
    }
    let shipped = components.iter().position(|one| one.name == SHIPPED && one.is_ours);
    let shipped = components.remove(shipped.with_context(|| format!("there is no package {SHIPPED}"))?);
    components.sort_by(|a, b| a.reference.cmp(&b.reference));
    Ok(Bill { target: target.to_owned(), made: moment_of_commit()?, shipped, components, edges })
}

/// The components whose licence `deny.toml` does not allow.
fn not_allowed(bill: &Bill) -> Result<Vec<String>> {
    let allowed = licences::allowed(&std::fs::read_to_string(repository::root().join("deny.toml"))?)?;
    let is_refused = |one: &&Component| !licences::is_satisfied(one.licence.as_deref().unwrap_or_default(), &allowed);
    let shown = |one: &Component| format!("{} ({})", one.reference, one.licence.as_deref().unwrap_or("none"));
    Ok(bill.components.iter().chain([&bill.shipped]).filter(is_refused).map(shown).collect())
}

/// Name and version of each package in cargo's tree: only what the shipped package's own features bring.
fn tree(target: &str, edges: &str) -> Result<BTreeSet<(String, String)>> {
    let words = ["tree", "--locked", "--package", SHIPPED, "--target", target, "--edges", edges];
    let text = text_of(cargo(&words).args(["--prefix", "none", "--format", "{p}"]))?;
    let package = |line: &str| {
        let mut words = line.split(' ');
        let name = words.next()?.to_owned();
        Some((name, words.next()?.strip_prefix('v')?.to_owned()))
    };
    text.lines().map(|line| package(line).with_context(|| format!("cargo tree says {line:?}"))).collect()
}

fn key_of(package: &Value) -> Result<(String, String)> {
    let text = |key: &str| package[key].as_str().map(str::to_owned).with_context(|| format!("a package has no {key}"));
    Ok((text("name")?, text("version")?))
}

/// The SHA-256 of packages as Cargo.lock has them; ours have none.
fn hashes(lock: &str) -> Result<BTreeMap<(String, String), String>> {
    let lock: toml::Table = lock.parse().context("Cargo.lock cannot be read")?;
    let packages = lock.get("package").and_then(toml::Value::as_array).context("Cargo.lock names no packages")?;
    let hash = |package: &toml::Value| {
        let text = |key: &str| package.get(key).and_then(toml::Value::as_str).map(str::to_owned);
        Some(((text("name")?, text("version")?), text("checksum")?))
    };
    Ok(packages.iter().filter_map(hash).collect())
}

/// Which component needs which, of those that are listed.
fn edges(metadata: &Value, refs: &HashMap<&str, String>) -> BTreeMap<String, BTreeSet<String>> {
    let reference = |id: &Value| id.as_str().and_then(|id| refs.get(id)).cloned();
    let nodes = metadata["resolve"]["nodes"].as_array().into_iter().flatten();
    nodes
        .filter_map(|node| {
            let needs = node["deps"].as_array().into_iter().flatten().filter(|one| !is_for_tests(one));
            Some((reference(&node["id"])?, needs.filter_map(|one| reference(&one["pkg"])).collect()))
        })
        .collect()
}

fn is_for_tests(dependency: &Value) -> bool {
    dependency["dep_kinds"].as_array().is_some_and(|kinds| kinds.iter().all(|kind| kind["kind"] == "dev"))
}

/// SQLite, whose C sources `libsqlite3-sys` brings: what is known about SQLite is not filed under that crate.
fn sqlite(package: &Value, part_of: &str) -> Result<Component> {
    let manifest = Path::new(package["manifest_path"].as_str().unwrap_or_default());
    let header = manifest.with_file_name("sqlite3").join("sqlite3.h");
    let text = std::fs::read_to_string(&header).with_context(|| format!("{} cannot be read", header.display()))?;
    let version = text.lines().find_map(|line| line.strip_prefix("#define SQLITE_VERSION")?.split('"').nth(1));
    let version = version.with_context(|| format!("{} names no version", header.display()))?;
    Ok(Component::sqlite(version, part_of))
}

/// Swagger UI, whose archive `utoipa-swagger-ui-vendored` brings, named by its version.
fn swagger_ui(package: &Value, part_of: &str) -> Result<Component> {
    let manifest = Path::new(package["manifest_path"].as_str().unwrap_or_default());
    let folder = manifest.with_file_name("res");
    let files = std::fs::read_dir(&folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    let names = files.flatten().map(|file| file.file_name().to_string_lossy().into_owned());
    let version = names.filter_map(|name| Some(name.strip_prefix('v')?.strip_suffix(".zip")?.to_owned())).next();
    let version = version.with_context(|| format!("{} has no archive with a version", folder.display()))?;
    Ok(Component::swagger_ui(&version, part_of))
}

/// When the commit was made: a bill made again is the same.
fn moment_of_commit() -> Result<String> {
    let mut git = Command::new("git");
    let seconds = text_of(git.args(["log", "-1", "--format=%ct"]).current_dir(repository::root()))?;
    let seconds: i64 = seconds.trim().parse().context("git says no time")?;
    Ok(jiff::Timestamp::from_second(seconds)?.to_string())
}

fn cargo(words: &[&str]) -> Command {
    let mut cargo = process::host_cargo(&repository::root());
    cargo.args(words);
    cargo
}

fn text_of(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?} cannot be started"))?;
    ensure!(output.status.success(), "{command:?} failed:\n{}", String::from_utf8_lossy(&output.stderr).trim_end());
    Ok(String::from_utf8(output.stdout)?)
}

fn json_of(mut command: Command) -> Result<Value> {
    Ok(serde_json::from_str(&text_of(&mut command)?)?)
}

#[cfg(test)]
mod tests;
