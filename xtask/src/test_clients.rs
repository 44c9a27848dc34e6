//! `test-clients`: installs other people's OData clients below target/, in pinned versions, and runs them against a gateway and
//! the example server. What each does stands in docs/clients.md. It is no part of `test`: it fetches several hundred MB.

use crate::{build_adapters, node, process, python, repository};
use anyhow::{Context, Result, bail};
use clap::Args;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The requests that are replayed from files, which need nothing installed.
const RECORDED: &str = "recorded";
/// What the programs of several clients share; a copy goes beside each.
const SHARED: [&str; 2] = ["report.ts", "report.py"];

/// Which clients.
#[derive(Args)]
#[command(after_help = "Example: cargo xtask test-clients sap-cloud-sdk recorded")]
pub(crate) struct Options {
    /// The clients, named as their folders in tests/clients; none: all.
    #[arg(value_name = "CLIENT")]
    clients: Vec<String>,
}

/// The command. It fails when a check does.
pub(crate) fn run(options: &Options) -> Result<()> {
    let sources = repository::root().join("tests/clients");
    let known = clients(&sources)?;
    for asked in &options.clients {
        if asked != RECORDED && !known.contains(asked) {
            bail!("there is no client `{asked}`; there are {} and {RECORDED}", known.join(", "));
        }
    }
    let wanted = |name: &String| options.clients.is_empty() || options.clients.contains(name);
    let folder = repository::target().join("clients");
    process::step("install the clients", || {
        known.iter().filter(|name| wanted(name)).try_for_each(|name| install(&sources, &folder, name))
    })?;
    let adapters = repository::adapters();
    process::step("build adapters", || build_adapters::build_all(&adapters))?;
    process::step("build the gateway and the example server", build)?;
    let debug = repository::host_target()?.join("debug");
    let mut clients = Command::new(debug.join("bulkhead-clients"));
    process::forget_outer_cargo(&mut clients);
    clients.current_dir(repository::root());
    clients.env("BULKHEAD_ADAPTERS", adapters).env("BULKHEAD_GATEWAY", debug.join("bulkhead"));
    clients.arg("--folder").arg(folder).arg("--shop").arg(debug.join("examples/odata-memory"));
    process::run(clients.args(&options.clients))
}

/// The names of the clients: those folders that say what they need.
fn clients(sources: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(sources).with_context(|| format!("{} cannot be read", sources.display()))? {
        let entry = entry?;
        if ["package.json", "requirements.txt"].iter().any(|needs| entry.path().join(needs).is_file()) {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Puts a client's program and packages into its folder below target/.
fn install(sources: &Path, folder: &Path, name: &str) -> Result<()> {
    let (source, folder) = (sources.join(name), folder.join(name));
    if let Ok(notice) = fs::read_to_string(source.join("NOTICE.txt")) {
        process::say(notice.trim_end());
    }
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    copy_files(&source, &folder)?;
    for shared in SHARED {
        let from = sources.join(shared);
        fs::copy(&from, folder.join(shared)).with_context(|| format!("{} cannot be copied", from.display()))?;
    }
    let package: PathBuf = source.join("package.json");
    if package.is_file() {
        return node::ensure_in(&folder, &package);
    }
    python::ensure_in(&folder.join("venv"), &[source.join("requirements.txt")], "import sys")
}

fn copy_files(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("{} cannot be read", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir_all(&target)?;
            copy_files(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target).with_context(|| format!("{} cannot be written", target.display()))?;
        }
    }
    Ok(())
}

fn build() -> Result<()> {
    let cargo = || process::host_cargo(&repository::root());
    process::run(cargo().args(["build", "--package", "bulkhead-odata", "--example", "odata-memory"]))?;
    let mut gateway = cargo();
    gateway.args(["build", "--package", "bulkhead", "--package", "bulkhead-tests"]);
    process::run(gateway.args(["--bin", "bulkhead", "--bin", "bulkhead-clients"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_client_says_what_it_needs_in_exact_versions() {
        let sources = repository::root().join("tests/clients");
        let names = clients(&sources).unwrap();
        assert!(names.len() >= 2, "{names:?}");
        for name in names {
            let folder = sources.join(&name);
            if let Ok(text) = fs::read_to_string(folder.join("package.json")) {
                let package: serde_json::Value = serde_json::from_str(&text).unwrap();
                for (dependency, version) in package["dependencies"].as_object().unwrap() {
                    let version = version.as_str().unwrap();
                    assert!(version.chars().all(|c| c.is_ascii_digit() || c == '.'), "{name}: {dependency} {version}");
                }
            }
            if let Ok(text) = fs::read_to_string(folder.join("requirements.txt")) {
                let pins = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
                assert!(pins.into_iter().all(|line| line.contains("==")), "{name}: {text}");
            }
        }
    }
}
