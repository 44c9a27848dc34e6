//! Where things are in the checkout, and what its two workspaces hold.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the checkout: the parent of xtask's own folder.
pub(crate) fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().expect("xtask is a folder of the checkout").to_path_buf()
}

/// The folder of everything the commands make that is not the host's own build: guests, adapters, the Python folder.
/// It stays the same when the host's target folder is moved by `CARGO_TARGET_DIR`.
pub(crate) fn target() -> PathBuf {
    root().join("target")
}

/// The workspace of the guests.
pub(crate) fn guests() -> PathBuf {
    root().join("guest-adapters")
}

/// The guests' target folder, apart from the host's: another compiler may build them.
pub(crate) fn guests_target() -> PathBuf {
    target().join("guests")
}

/// Where finished adapters go.
pub(crate) fn adapters() -> PathBuf {
    target().join("adapters")
}

/// What `cargo metadata` says about the workspace in `folder`, without its dependencies.
pub(crate) fn metadata(folder: &Path) -> Result<Value> {
    let output = crate::process::host_cargo(folder)
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .output()
        .context("cargo cannot be started")?;
    ensure!(
        output.status.success(),
        "cargo cannot read the workspace {}:\n{}",
        folder.display(),
        String::from_utf8_lossy(&output.stderr).trim_end()
    );
    serde_json::from_slice(&output.stdout).context("cargo metadata did not print JSON")
}

/// The host's target folder, which `CARGO_TARGET_DIR` may have moved.
pub(crate) fn host_target() -> Result<PathBuf> {
    let metadata = metadata(&root())?;
    let folder = metadata["target_directory"].as_str().context("cargo metadata names no target folder")?;
    Ok(PathBuf::from(folder))
}

/// The triple of the machine we run on, as the active compiler names it.
pub(crate) fn host_triple() -> Result<String> {
    let version = active_compiler_version()?;
    let line = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(line.context("`rustc -vV` names no host")?.to_owned())
}

/// What `rustc -vV` prints for the active toolchain.
pub(crate) fn active_compiler_version() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").current_dir(root()).output().context("rustc cannot be started")?;
    ensure!(output.status.success(), "`rustc -vV` failed:\n{}", String::from_utf8_lossy(&output.stderr).trim_end());
    String::from_utf8(output.stdout).context("`rustc -vV` did not print text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_holds_the_workspace() {
        assert!(root().join("Cargo.toml").is_file() && root().join("wit").is_dir());
    }
}
