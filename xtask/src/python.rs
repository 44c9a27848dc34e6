//! The Python folder of the tests: a virtual environment under target/ with pinned packages, made once and made anew
//! when the pins change.

use crate::{debian, process, repository};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The pinned packages; the file itself is what pip reads.
const REQUIREMENTS: &str = include_str!("../test-requirements.txt");

/// Where the virtual environment is.
pub(crate) fn folder() -> PathBuf {
    repository::target().join("venv")
}

/// Makes the virtual environment unless it is there with the same pins.
pub(crate) fn ensure() -> Result<PathBuf> {
    let folder = folder();
    let stamp = folder.join("installed-requirements.txt");
    if is_current(&folder, &stamp) {
        return Ok(folder);
    }
    let python = process::find_program("python3").context("missing: python3 (Debian: python3, python3-venv)")?;
    require_venv_module(&python)?;
    process::run(Command::new(&python).args(["-m", "venv", "--clear"]).arg(&folder))?;
    let requirements = repository::root().join("xtask/test-requirements.txt");
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]).arg(&requirements);
    process::run(&mut pip)
        .context("PyPI packages of the tests cannot be installed; a network or a mirror is needed")?;
    fs::write(&stamp, REQUIREMENTS).with_context(|| format!("{} cannot be written", stamp.display()))?;
    Ok(folder)
}

/// Whether the environment was finished with today's pins and its interpreter still runs.
fn is_current(folder: &Path, stamp: &Path) -> bool {
    fs::read_to_string(stamp).is_ok_and(|installed| installed == REQUIREMENTS)
        && process::output_of(Command::new(folder.join("bin/python")).args(["-c", "import pymodbus"])).is_some()
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
        let lines = REQUIREMENTS.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        for line in lines {
            assert!(line.contains("=="), "{line} is not pinned");
        }
    }

    #[test]
    fn an_environment_with_other_pins_is_not_current() {
        let folder = tempfile::tempdir().unwrap();
        let stamp = folder.path().join("stamp");
        fs::write(&stamp, "pymodbus==1.0.0\n").unwrap();
        assert!(!is_current(folder.path(), &stamp));
    }
}
