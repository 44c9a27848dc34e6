//! A compiler with the standard library of the guests' target, on an author's machine: the active toolchain, the active
//! toolchain once rustup has fetched the target, or Debian's packages, which build it from source. The repository's own
//! xtask knows the same three ways, and installs besides.

use crate::error::AuthorError;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The target of the guests.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_LLD: &str = "/usr/bin/lld-22";
const DEBIAN_SOURCES: &str = "/usr/lib/rustlib/src/rust/library";

/// What would make a guest something else than its author wrote: flags and targets meant for the host.
const HOST_ONLY: [&str; 6] = [
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_TARGET_DIR",
    "RUSTC_WRAPPER",
];

/// Cargo for a guest in a folder, with the arguments that choose the target behind the subcommand `rustc`.
pub(crate) fn cargo_rustc(folder: &Path, target_dir: &Path) -> Result<Command, AuthorError> {
    if active_has_target(folder) || rustup_fetches_target(folder) {
        let mut cargo = Command::new("cargo");
        prepare(&mut cargo, folder, target_dir, &[]);
        return Ok(cargo);
    }
    let linker = debian_linker(target_dir).ok_or(AuthorError::NoToolchain)?;
    let mut cargo = Command::new(DEBIAN_CARGO);
    cargo.env("RUSTC_BOOTSTRAP", "1").env("RUSTC", DEBIAN_RUSTC);
    cargo.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
    prepare(&mut cargo, folder, target_dir, &["-Zbuild-std=std,panic_abort"]);
    Ok(cargo)
}

fn prepare(cargo: &mut Command, folder: &Path, target_dir: &Path, more: &[&str]) {
    for variable in HOST_ONLY {
        cargo.env_remove(variable);
    }
    cargo.current_dir(folder).arg("rustc").args(["--release", "--lib", "--crate-type", "cdylib", "--target", TARGET]);
    cargo.args(more).arg("--target-dir").arg(target_dir);
}

fn active_has_target(folder: &Path) -> bool {
    let mut rustc = Command::new("rustc");
    let asked = rustc.args(["--print", "target-libdir", "--target", TARGET]).current_dir(folder);
    let Ok(output) = asked.stdin(Stdio::null()).stderr(Stdio::null()).output() else { return false };
    let library = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    // The folder alone can be left over from a removed target: only a library in it counts.
    let mut files = std::fs::read_dir(library).into_iter().flatten().flatten();
    output.status.success() && files.any(|file| file.file_name().to_string_lossy().starts_with("libstd-"))
}

fn rustup_fetches_target(folder: &Path) -> bool {
    let mut rustup = Command::new("rustup");
    rustup.args(["target", "add", TARGET]).current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null());
    rustup.status().is_ok_and(|status| status.success()) && active_has_target(folder)
}

/// Debian's linker under the name by which rustc knows it.
fn debian_linker(target_dir: &Path) -> Option<PathBuf> {
    let needed = [DEBIAN_RUSTC, DEBIAN_CARGO, DEBIAN_LLD, DEBIAN_SOURCES];
    if !needed.iter().all(|path| Path::new(path).exists()) {
        return None;
    }
    let linker = target_dir.join("bin/rust-lld");
    if !linker.exists() {
        std::fs::create_dir_all(linker.parent()?).ok()?;
        std::os::unix::fs::symlink(DEBIAN_LLD, &linker).ok()?;
    }
    Some(linker)
}
