//! Virtual environments under target/ with pinned packages, made once and made anew when the pins change: that of the tests,
//! and others.

use crate::{debian, process, repository};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the virtual environment is.
pub(crate) fn folder() -> PathBuf {
    repository::target().join("venv")
}

/// Makes the virtual environment of the tests unless it is there with the same pins.
pub(crate) fn ensure() -> Result<PathBuf> {
    ensure_in(&folder(), &[repository::root().join("xtask/test-requirements.txt")], "import pymodbus")?;
    Ok(folder())
}

/// Makes a virtual environment with the packages of requirement files unless it is there with the same pins. `probe` is what
/// its interpreter must be able to run.
pub(crate) fn ensure_in(folder: &Path, requirements: &[PathBuf], probe: &str) -> Result<()> {
    let read = |path: &PathBuf| fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()));
    let pins = requirements.iter().map(read).collect::<Result<String>>()?;
    let stamp = folder.join("installed-requirements.txt");
    if is_current(folder, &stamp, &pins, probe) {
        return Ok(());
    }
    let python = process::find_program("python3").context("missing: python3 (Debian: python3, python3-venv)")?;
    require_venv_module(&python)?;
    process::run(Command::new(&python).args(["-m", "venv", "--clear"]).arg(folder))?;
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    pip.args(requirements.iter().flat_map(|path| [Path::new("--requirement"), path]));
    process::run(&mut pip).context("PyPI packages cannot be installed; a network or a mirror is needed")?;
    fs::write(&stamp, pins).with_context(|| format!("{} cannot be written", stamp.display()))
}

/// Whether the environment was finished with today's pins and its interpreter still runs.
fn is_current(folder: &Path, stamp: &Path, pins: &str, probe: &str) -> bool {
    fs::read_to_string(stamp).is_ok_and(|installed| installed == pins)
        && process::output_of(Command::new(folder.join("bin/python")).args(["-c", probe])).is_some()
}

/// Debian packs the module `venv` apart from Python.
fn require_venv_module(python: &Path) -> Result<()> {
    let has_venv = || process::output_of(Command::new(python).args(["-c", "import venv, ensurepip"])).is_some();
    if has_venv() {
        return Ok(());
    }
    if !debian::is_debian() {
        bail!("missing: Python's module venv ({} has none)", python.display());
    }
    debian::install(&["python3-venv"])?;
    if has_venv() { Ok(()) } else { bail!("{} has no module venv, even with python3-venv installed", python.display()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_requirement_is_pinned() {
        let requirements = include_str!("../test-requirements.txt");
        let lines = requirements.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        for line in lines {
            assert!(line.contains("=="), "{line} is not pinned");
        }
    }

    #[test]
    fn an_environment_with_other_pins_is_not_current() {
        let folder = tempfile::tempdir().unwrap();
        let stamp = folder.path().join("stamp");
        fs::write(&stamp, "pymodbus==1.0.0\n").unwrap();
        assert!(!is_current(folder.path(), &stamp, "pymodbus==2.0.0\n", "pass"));
    }
}
