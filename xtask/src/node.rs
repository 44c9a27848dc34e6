//! Folders under target/ with packages of npm in pinned versions, made once and made anew when the pins change.

use crate::{debian, process, repository};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the packages of the tests are.
pub(crate) fn folder() -> PathBuf {
    repository::target().join("node")
}

/// Installs the packages of the tests unless they are there with the same pins.
pub(crate) fn ensure() -> Result<PathBuf> {
    ensure_in(&folder(), &repository::root().join("xtask/test-packages.json"))?;
    Ok(folder())
}

/// Installs what a package file names, in exact versions, into a folder, unless that is done.
pub(crate) fn ensure_in(folder: &Path, package: &Path) -> Result<()> {
    require_npm()?;
    let wanted = fs::read_to_string(package).with_context(|| format!("{} cannot be read", package.display()))?;
    let stamp = folder.join("installed-package.json");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    fs::write(folder.join("package.json"), &wanted)?;
    let mut npm = Command::new("npm");
    process::forget_outer_cargo(&mut npm);
    npm.current_dir(folder).args(["install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"]);
    process::run(&mut npm).context("npm's packages cannot be installed; a network or a mirror is needed")?;
    fs::write(&stamp, wanted).with_context(|| format!("{} cannot be written", stamp.display()))
}

fn require_npm() -> Result<()> {
    if process::find_program("npm").is_some() && process::find_program("node").is_some() {
        return Ok(());
    }
    match debian::is_debian() {
        true => debian::install(&["nodejs", "npm"]),
        false => bail!("missing: npm and Node.js 18 or later. Install them with this system's package manager"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_is_pinned() {
        let package: serde_json::Value = serde_json::from_str(include_str!("../test-packages.json")).unwrap();
        for (name, version) in package["dependencies"].as_object().unwrap() {
            let version = version.as_str().unwrap();
            assert!(version.starts_with(|c: char| c.is_ascii_digit()), "{name}: {version} is not pinned");
        }
    }

    #[test]
    fn what_is_installed_with_the_same_pins_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let package = folder.path().join("wanted.json");
        fs::write(&package, "{ no package at all").unwrap();
        fs::copy(&package, folder.path().join("installed-package.json")).unwrap();
        assert!(ensure_in(folder.path(), &package).is_ok());
        assert!(!folder.path().join("node_modules").exists());
    }
}
