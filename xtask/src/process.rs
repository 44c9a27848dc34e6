//! Running other programs and saying so: what runs, how long it took, what failed. All of it goes to standard error, so
//! that standard output belongs to the program a command is about.
#![allow(clippy::print_stderr)]

use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How often a child with a time limit is looked at.
const LOOK_AT_CHILD_MS: u64 = 50;

/// Writes one line for the developer.
pub(crate) fn say(line: &str) {
    eprintln!("{line}");
}

/// Does one piece of work under a heading, and says how long it took.
pub(crate) fn step<T>(heading: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    say(&format!("==> {heading}"));
    let begin = Instant::now();
    let result = work();
    let outcome = if result.is_ok() { "done" } else { "FAILED" };
    say(&format!("    {outcome}: {heading} ({})", elapsed(begin.elapsed())));
    result
}

/// A length of time for people: `0.3 s`, `12.0 s`, `4 min 05 s`.
pub(crate) fn elapsed(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 60 {
        format!("{:.1} s", time.as_secs_f64())
    } else {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    }
}

/// Runs a program to its end with our own input and output; an exit other than 0 is an error that quotes the command.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = show(command);
    say(&format!("    $ {shown}"));
    let status = command.status().with_context(|| format!("`{shown}` cannot be started"))?;
    if !status.success() {
        bail!("`{shown}` failed ({status})");
    }
    Ok(())
}

/// Runs a program to its end or to a time limit; whether it succeeded in time. It is no error when it does not.
pub(crate) fn succeeds_within(command: &mut Command, limit: Duration) -> bool {
    say(&format!("    $ {}", show(command)));
    let Ok(mut child) = command.stdin(Stdio::null()).spawn() else { return false };
    let begin = Instant::now();
    while begin.elapsed() < limit {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) => std::thread::sleep(Duration::from_millis(LOOK_AT_CHILD_MS)),
            Err(_) => break,
        }
    }
    say(&format!("    given up after {}", elapsed(begin.elapsed())));
    // It may have ended by itself meanwhile; either way it is gone afterwards.
    let _ = child.kill();
    let _ = child.wait();
    false
}

/// What a program prints, trimmed, if it can be started and succeeds.
pub(crate) fn output_of(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Becomes another program, so that signals and its exit code are its own. Returns only when it cannot be started.
pub(crate) fn become_program(command: &mut Command) -> anyhow::Error {
    use std::os::unix::process::CommandExt;
    let shown = show(command);
    say(&format!("==> {shown}"));
    anyhow::Error::new(command.exec()).context(format!("`{shown}` cannot be started"))
}

/// The path of a program, looked up in `PATH` and in the folders of system programs, which are not in every user's path.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(system).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Cargo for the host workspace in `folder`: the developer's environment, without what the outer `cargo run` added.
pub(crate) fn host_cargo(folder: &Path) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(folder);
    forget_outer_cargo(&mut command);
    command
}

/// Takes out of a command's environment what cargo set for xtask itself: it would reach build scripts and tests.
pub(crate) fn forget_outer_cargo(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(set_by_outer_cargo) {
            command.env_remove(name);
        }
    }
}

/// Whether `cargo run` sets a variable for the program it runs. The folders it adds to the library path belong to
/// another compiler than the one that builds the guests.
fn set_by_outer_cargo(name: &str) -> bool {
    const NAMES: [&str; 5] = ["CARGO", "CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE", "OUT_DIR", "LD_LIBRARY_PATH"];
    const PREFIXES: [&str; 4] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_FEATURE_"];
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Gives a command an environment of only what a build of guests needs, so that nothing of the developer's shell or of
/// the outer cargo (`RUSTFLAGS`, `RUSTC`, `CARGO_ENCODED_RUSTFLAGS`, profiles) changes the guests or makes cargo build
/// their standard library anew.
pub(crate) fn clean_environment(command: &mut Command) {
    command.env_clear();
    command.envs(std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(kept_for_guests)));
}

/// Whether a variable may reach a build of guests: where things are, and how the network is reached.
fn kept_for_guests(name: &str) -> bool {
    const NAMES: [&str; 16] = [
        "HOME",
        "USER",
        "PATH",
        "TMPDIR",
        "LANG",
        "LC_ALL",
        "TERM",
        "CARGO_HOME",
        "RUSTUP_HOME",
        "RUSTUP_DIST_SERVER",
        "RUSTUP_UPDATE_ROOT",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "NO_COLOR",
        "CI",
        "CARGO_BUILD_JOBS",
    ];
    const PREFIXES: [&str; 5] = ["CARGO_NET_", "CARGO_HTTP_", "CARGO_REGISTRIES_", "CARGO_REGISTRY_", "CARGO_TERM_"];
    let proxy = name.to_ascii_lowercase().ends_with("_proxy");
    proxy || NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// A command as one would type it.
fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| quote(word.to_owned())).collect::<Vec<_>>().join(" ")
}

fn quote(word: OsString) -> String {
    let word = word.to_string_lossy().into_owned();
    let plain = |c: char| c.is_alphanumeric() || "-_=./,:+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word } else { format!("'{word}'") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elapsed_time_is_for_people() {
        assert_eq!(elapsed(Duration::from_millis(340)), "0.3 s");
        assert_eq!(elapsed(Duration::from_secs(245)), "4 min 05 s");
    }

    #[test]
    fn a_failing_program_is_an_error_that_quotes_it() {
        let error = run(Command::new("sh").args(["-c", "exit 3"])).unwrap_err().to_string();
        assert!(error.contains("sh -c 'exit 3'") && error.contains('3'), "{error}");
    }

    #[test]
    fn a_program_over_its_time_limit_is_stopped() {
        let begin = Instant::now();
        assert!(!succeeds_within(Command::new("sleep").arg("60"), Duration::from_millis(100)));
        assert!(begin.elapsed() < Duration::from_secs(30));
        assert!(succeeds_within(&mut Command::new("true"), Duration::from_secs(30)));
        assert!(!succeeds_within(&mut Command::new("no-such-program"), Duration::from_secs(30)));
    }

    #[test]
    fn what_the_outer_cargo_set_is_known() {
        for name in ["CARGO", "CARGO_PKG_NAME", "CARGO_MANIFEST_DIR", "LD_LIBRARY_PATH"] {
            assert!(set_by_outer_cargo(name), "{name}");
        }
        for name in ["CARGO_HOME", "CARGO_TARGET_DIR", "PATH", "RUSTFLAGS"] {
            assert!(!set_by_outer_cargo(name), "{name}");
        }
    }

    #[test]
    fn flags_of_the_host_do_not_reach_the_guests() {
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC", "RUSTC_WRAPPER", "CARGO_TARGET_DIR", "CARGO"] {
            assert!(!kept_for_guests(name), "{name}");
        }
        for name in ["HOME", "PATH", "https_proxy", "CARGO_HTTP_CAINFO", "CARGO_HOME"] {
            assert!(kept_for_guests(name), "{name}");
        }
    }
}
