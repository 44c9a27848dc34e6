//! Debian packages: which are missing, and installing them where we may.

use crate::process;
use anyhow::{Result, bail};
use std::process::Command;

/// Whether this system has apt.
pub(crate) fn is_debian() -> bool {
    process::find_program("apt-get").is_some() && process::find_program("dpkg-query").is_some()
}

/// The packages among `wanted` that are not installed.
pub(crate) fn missing<'a>(wanted: &[&'a str]) -> Vec<&'a str> {
    wanted.iter().copied().filter(|package| !is_installed(package)).collect()
}

fn is_installed(package: &str) -> bool {
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat=${db:Status-Status}", package]);
    process::output_of(&mut query).as_deref() == Some("installed")
}

/// The command that installs packages, as one types it.
pub(crate) fn install_command(packages: &[&str]) -> String {
    format!("sudo apt-get update && sudo apt-get install -y --no-install-recommends {}", packages.join(" "))
}

/// Installs packages if we are root; otherwise an error with the exact command.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    if !is_root() {
        bail!("missing: {}. Install with:\n    {}", packages.join(", "), install_command(packages));
    }
    process::run(apt_get().arg("update"))?;
    process::run(apt_get().args(["install", "-y", "--no-install-recommends"]).args(packages))
}

/// apt-get, quiet and without questions. Without its message of each package's progress a log stays readable.
fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.args(["-q", "-o", "Dpkg::Use-Pty=0"]).env("DEBIAN_FRONTEND", "noninteractive");
    process::forget_outer_cargo(&mut command);
    command
}

fn is_root() -> bool {
    process::output_of(Command::new("id").arg("-u")).as_deref() == Some("0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_install_command_names_each_package() {
        let command = install_command(&["socat", "mbpoll"]);
        assert!(command.ends_with("--no-install-recommends socat mbpoll"), "{command}");
    }

    #[test]
    fn a_package_that_does_not_exist_is_missing() {
        assert_eq!(missing(&["no-such-package-anywhere"]), ["no-such-package-anywhere"]);
    }
}
