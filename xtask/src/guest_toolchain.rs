//! Finding a compiler with the standard library of the guests' target. Three ways, in order: the active toolchain has it;
//! rustup fetches it; Debian's packages build it from source. Which one was taken is said.

use crate::{debian, process, repository};
use anyhow::{Context, Result, bail};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The target of the guests.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// What Debian 12 needs: a compiler, its cargo, the matching library source, and a linker.
const DEBIAN_PACKAGES: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "lld-22"];

/// Where Debian puts its compiler; by its full path, because a rustup proxy usually comes first in `PATH`.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
/// Debian's cargo.
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
/// Debian's linker; it links WebAssembly when it is called `rust-lld`.
const DEBIAN_LLD: &str = "/usr/bin/lld-22";

/// How long rustup may take to fetch the target: about 20 MB.
const RUSTUP_TIMEOUT: Duration = Duration::from_secs(180);

/// How long a failed fetch is remembered, so that a machine without a network does not wait for it at each build.
const RUSTUP_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// A way to build guests.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum GuestToolchain {
    /// The active toolchain, which has the target.
    Active,
    /// Debian's compiler, which builds the library from source, with this linker.
    Debian {
        /// A rust-lld.
        linker: PathBuf,
    },
}

impl GuestToolchain {
    /// The first way that works here, announced.
    pub(crate) fn find() -> Result<Self> {
        if active_toolchain_has_target() {
            process::say(&format!("    toolchain: the active one, which has {TARGET} (way 1)"));
            return Ok(Self::Active);
        }
        if rustup_fetches_target()? {
            process::say(&format!("    toolchain: the active one, for which rustup fetched {TARGET} (way 2)"));
            return Ok(Self::Active);
        }
        let toolchain = debian_toolchain().with_context(no_way)?;
        process::say("    toolchain: Debian's rustc-web, with the standard library built from source (way 3)");
        Ok(toolchain)
    }

    /// A cargo for the guests in `folder`; the caller adds the subcommand and calls [`GuestToolchain::finish`].
    pub(crate) fn cargo(&self, folder: &Path) -> Command {
        let mut command = Command::new(match self {
            Self::Active => "cargo",
            Self::Debian { .. } => DEBIAN_CARGO,
        });
        process::clean_environment(&mut command);
        command.current_dir(folder).env("CARGO_TARGET_DIR", repository::guests_target());
        match self {
            Self::Active => pass_on_toolchain(&mut command),
            Self::Debian { linker } => {
                command.env("RUSTC_BOOTSTRAP", "1").env("RUSTC", DEBIAN_RUSTC);
                command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
            }
        }
        command
    }

    /// The arguments that choose the target, after the subcommand.
    pub(crate) fn target_arguments(&self) -> Vec<&'static str> {
        match self {
            Self::Active => vec!["--target", TARGET],
            Self::Debian { .. } => vec!["--target", TARGET, "-Zbuild-std=std,panic_abort"],
        }
    }
}

/// `cargo +name xtask` reaches us as this variable: the guests are to be built by the same toolchain.
fn pass_on_toolchain(command: &mut Command) {
    if let Some(toolchain) = std::env::var_os("RUSTUP_TOOLCHAIN") {
        command.env("RUSTUP_TOOLCHAIN", toolchain);
    }
}

/// Way 1.
fn active_toolchain_has_target() -> bool {
    let mut rustc = Command::new("rustc");
    rustc.args(["--print", "target-libdir", "--target", TARGET]).current_dir(repository::root());
    // The folder alone can be left over from a removed target: only a library in it counts.
    process::output_of(&mut rustc).is_some_and(|folder| holds_library(Path::new(&folder)))
}

fn holds_library(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libstd-"))
}

/// Way 2. A failure is remembered for a day for this very compiler.
fn rustup_fetches_target() -> Result<bool> {
    if process::find_program("rustup").is_none() {
        return Ok(false);
    }
    let memory = repository::guests_target().join("rustup-could-not-fetch");
    let compiler = repository::active_compiler_version()?;
    if failed_lately(&memory, &compiler) {
        process::say(&format!("    rustup could not fetch {TARGET} lately; delete {} to try again", memory.display()));
        return Ok(false);
    }
    process::say(&format!("    asking rustup for {TARGET} (at most {})", process::elapsed(RUSTUP_TIMEOUT)));
    let mut rustup = Command::new("rustup");
    rustup.args(["target", "add", TARGET]).current_dir(repository::root()).env("RUST_BACKTRACE", "0");
    if process::succeeds_within(&mut rustup, RUSTUP_TIMEOUT) && active_toolchain_has_target() {
        return Ok(true);
    }
    fs::create_dir_all(repository::guests_target()).context("the guests' target folder cannot be made")?;
    fs::write(&memory, compiler).with_context(|| format!("{} cannot be written", memory.display()))?;
    Ok(false)
}

/// Whether the file remembers a failure of this compiler that is not too old.
fn failed_lately(memory: &Path, compiler: &str) -> bool {
    let age = fs::metadata(memory).and_then(|file| file.modified()).ok().and_then(|time| time.elapsed().ok());
    age.is_some_and(|age| age < RUSTUP_RETRY_AFTER) && fs::read_to_string(memory).is_ok_and(|text| text == compiler)
}

/// Way 3.
fn debian_toolchain() -> Result<GuestToolchain> {
    if !debian::is_debian() {
        bail!("this is no Debian system");
    }
    let missing = debian::missing(&DEBIAN_PACKAGES);
    if !missing.is_empty() {
        debian::install(&missing)?;
    }
    for file in [DEBIAN_RUSTC, DEBIAN_CARGO] {
        if !Path::new(file).is_file() {
            bail!("{file} is not there, although Debian's packages are installed");
        }
    }
    Ok(GuestToolchain::Debian { linker: rust_lld()? })
}

/// The active toolchain's own rust-lld, or Debian's lld under that name.
fn rust_lld() -> Result<PathBuf> {
    let root = process::output_of(Command::new("rustc").args(["--print", "sysroot"]).current_dir(repository::root()));
    if let (Some(root), Ok(host)) = (root, repository::host_triple()) {
        let linker = Path::new(&root).join("lib/rustlib").join(host).join("bin/rust-lld");
        if linker.is_file() {
            return Ok(linker);
        }
    }
    let linker = repository::guests_target().join("bin/rust-lld");
    if !linker.exists() {
        fs::create_dir_all(linker.with_file_name("")).context("a folder for the linker cannot be made")?;
        symlink(DEBIAN_LLD, &linker).with_context(|| format!("{} cannot be made", linker.display()))?;
    }
    Ok(linker)
}

/// What to do when no way works.
fn no_way() -> String {
    format!(
        "no compiler for {TARGET}. One of these three is needed:\n  \
         1. a toolchain that has the target already;\n  \
         2. rustup with a network: rustup target add {TARGET}\n  \
         3. Debian 12: {}\nThe last one failed",
        debian::install_command(&DEBIAN_PACKAGES)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_library_folder_is_not_the_target() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!holds_library(folder.path()));
        fs::write(folder.path().join("libstd-0123.rlib"), "").unwrap();
        assert!(holds_library(folder.path()));
    }

    #[test]
    fn a_failed_fetch_is_remembered_for_its_compiler_only() {
        let folder = tempfile::tempdir().unwrap();
        let memory = folder.path().join("failed");
        assert!(!failed_lately(&memory, "rustc 1"));
        fs::write(&memory, "rustc 1").unwrap();
        assert!(failed_lately(&memory, "rustc 1"));
        assert!(!failed_lately(&memory, "rustc 2"));
    }

    #[test]
    fn debian_builds_the_library_and_names_its_compiler() {
        let toolchain = GuestToolchain::Debian { linker: "/x/rust-lld".into() };
        assert!(toolchain.target_arguments().contains(&"-Zbuild-std=std,panic_abort"));
        let command = toolchain.cargo(Path::new("/"));
        let rustc = command.get_envs().find(|(name, _)| *name == "RUSTC").and_then(|(_, value)| value);
        assert_eq!(rustc.and_then(|value| value.to_str()), Some(DEBIAN_RUSTC));
    }

    #[test]
    fn the_last_message_names_all_three_ways() {
        let text = no_way();
        assert!(text.contains("rustup target add") && text.contains("rustc-web") && text.contains("already"), "{text}");
    }
}
