//! `soak`: builds adapters, the gateway and the program that brings faults about in release mode, and runs it, and the
//! tests of other crates that bring faults about, with the full numbers of trials.

use crate::soak_faults::{By, FAULTS, Fault};
use crate::{build_adapters, process, python, repository};
use anyhow::{Result, bail, ensure};
use clap::Args;
use std::io::Write;
use std::process::{Command, Stdio};

/// The word for all faults.
const ALL: &str = "all";

/// Which faults, and how often.
#[derive(Args)]
#[command(after_help = "Example: cargo xtask soak --trials 20 kill broker")]
pub(crate) struct Options {
    /// Prints the rows of `bulkhead-soak` as JSON on standard output; the other tests' tables go to standard error.
    #[arg(long)]
    json: bool,
    /// Trials of each fault, instead of the full form's.
    #[arg(long, value_name = "COUNT")]
    trials: Option<u64>,
    /// The faults, or `all`; none: lists them.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

/// The command. It fails when a fault cost more than it may.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.names.is_empty() {
        return list();
    }
    let chosen = choose(&options.names)?;
    if chosen.iter().any(|fault| needs_gateway(fault)) {
        build()?;
    }
    let (own, others): (Vec<&Fault>, Vec<&Fault>) = chosen.into_iter().partition(|fault| fault.by == By::Soak);
    let mut failed = Vec::new();
    if !own.is_empty() && process::run(&mut soak(&own, options)?).is_err() {
        failed.push("bulkhead-soak");
    }
    for fault in others {
        process::say(&format!("==> {}: {}", fault.name, fault.about));
        if process::run(&mut test(fault, options)?).is_err() {
            failed.push(fault.name);
        }
    }
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

/// What the soak program and tests with a gateway need.
fn build() -> Result<()> {
    let adapters = repository::adapters();
    process::step("build adapters", || build_adapters::build_all(&adapters))?;
    process::step("build the gateway and the soak program in release mode", || {
        let mut cargo = process::host_cargo(&repository::root());
        cargo.args(["build", "--release", "--package", "bulkhead", "--package", "bulkhead-tests"]);
        process::run(cargo.args(["--bin", "bulkhead", "--bin", "bulkhead-soak"]))
    })
}

/// Whether a fault is brought about with a running gateway, not with the log alone.
fn needs_gateway(fault: &Fault) -> bool {
    !matches!(fault.by, By::Test { package: "bulkhead-log", .. })
}

fn list() -> Result<()> {
    let mut out = std::io::stdout().lock();
    for Fault { name, about, full, .. } in FAULTS {
        writeln!(out, "{name:<14} {about} ({full})")?;
    }
    Ok(writeln!(out, "{ALL:<14} everything")?)
}

fn choose(names: &[String]) -> Result<Vec<&'static Fault>> {
    if names.iter().any(|name| name == ALL) {
        return Ok(FAULTS.iter().collect());
    }
    let unknown = names.iter().find(|name| FAULTS.iter().all(|fault| fault.name != **name));
    if let Some(unknown) = unknown {
        bail!("no fault is named {unknown}: `cargo xtask soak` lists them");
    }
    Ok(FAULTS.iter().filter(|fault| names.iter().any(|name| name == fault.name)).collect())
}

/// The soak program on some faults.
fn soak(faults: &[&Fault], options: &Options) -> Result<Command> {
    let mut soak = Command::new(repository::host_target()?.join("release/bulkhead-soak"));
    process::forget_outer_cargo(&mut soak);
    soak.args(options.json.then_some("--json"));
    if let Some(trials) = options.trials {
        soak.args(["--trials", &trials.to_string()]);
    }
    soak.args(faults.iter().map(|fault| fault.name));
    environment(&mut soak)?;
    Ok(soak)
}

/// The test that brings a fault about.
fn test(fault: &Fault, options: &Options) -> Result<Command> {
    let By::Test { package, target, filter } = fault.by else { bail!("{} is no test", fault.name) };
    let mut cargo = process::host_cargo(&repository::root());
    cargo.args(["test", "--package", package, "--test", target, "--", "--nocapture", "--test-threads", "1"]);
    cargo.args((!filter.is_empty()).then_some(filter));
    cargo.env("BULKHEAD_SOAK_TRIALS", options.trials.unwrap_or(fault.full).to_string());
    environment(&mut cargo)?;
    if options.json {
        cargo.stdout(Stdio::from(std::io::stderr()));
    }
    Ok(cargo)
}

/// What both find in their environment: the gateway as it is released, and what tests need.
fn environment(command: &mut Command) -> Result<()> {
    command.current_dir(repository::root());
    command.env("BULKHEAD_ADAPTERS", repository::adapters()).env("BULKHEAD_VENV", python::folder());
    command.env("BULKHEAD_GATEWAY", repository::host_target()?.join("release/bulkhead"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_faults_of_the_log_alone_need_no_gateway() {
        let without: Vec<&str> = FAULTS.iter().filter(|fault| !needs_gateway(fault)).map(|fault| fault.name).collect();
        assert_eq!(without, ["power-cut", "corruption", "io-errors", "full-disk"]);
    }

    #[test]
    fn faults_are_chosen_by_name_or_all() {
        assert_eq!(choose(&["all".into()]).unwrap().len(), FAULTS.len());
        let two = choose(&["syncs".into(), "kill".into()]).unwrap();
        assert_eq!(two.iter().map(|fault| fault.name).collect::<Vec<_>>(), ["kill", "syncs"]);
        assert!(choose(&["kil".into()]).unwrap_err().to_string().contains("kil"));
    }
}
