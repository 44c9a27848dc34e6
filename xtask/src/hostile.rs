//! `hostile`: builds adapters, the gateway and the program that puts hostile adapters into it in release mode, and runs it.

use crate::{build_adapters, process, repository};
use anyhow::Result;
use clap::Args;
use std::process::Command;

/// Which groups of cases.
#[derive(Args)]
#[command(after_help = "Example: cargo xtask hostile 1 6")]
pub(crate) struct Options {
    /// Prints the rows as JSON on standard output.
    #[arg(long)]
    json: bool,
    /// Only the cases whose name contains this.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// The groups of docs/specs/hostile-adapters.md; none: all.
    #[arg(value_name = "GROUP")]
    groups: Vec<u8>,
}

/// The command. It fails when a promise is broken.
pub(crate) fn run(options: &Options) -> Result<()> {
    let adapters = repository::adapters();
    process::step("build adapters", || build_adapters::build_all(&adapters))?;
    process::step("build the gateway and its hostile guests in release mode", || {
        let mut cargo = process::host_cargo(&repository::root());
        cargo.args(["build", "--release", "--package", "bulkhead", "--package", "bulkhead-tests"]);
        process::run(cargo.args(["--bin", "bulkhead", "--bin", "bulkhead-hostile"]))
    })?;
    let release = repository::host_target()?.join("release");
    let mut hostile = Command::new(release.join("bulkhead-hostile"));
    process::forget_outer_cargo(&mut hostile);
    hostile.current_dir(repository::root());
    hostile.env("BULKHEAD_ADAPTERS", adapters).env("BULKHEAD_GATEWAY", release.join("bulkhead"));
    hostile.args(options.json.then_some("--json"));
    if let Some(only) = &options.only {
        hostile.args(["--only", only]);
    }
    process::run(hostile.args(options.groups.iter().map(u8::to_string)))
}
