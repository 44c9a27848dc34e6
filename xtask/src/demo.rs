//! `demo`: builds adapters and gateway, then becomes `bulkhead demo`, which runs the gateway on simulated devices.

use crate::{build_adapters, process, repository};
use anyhow::Result;
use clap::Args;
use std::process::Command;

/// How to run the demo.
#[derive(Args)]
#[command(after_help = "Example: cargo xtask demo --once 100")]
pub(crate) struct Options {
    /// Ends with exit code 0 after this many readings were accepted upstream, and with 1 when that takes too long.
    #[arg(long, value_name = "READINGS")]
    once: Option<u64>,
    /// Builds the gateway in release mode.
    #[arg(long)]
    release: bool,
}

/// The command. Returns only when something failed: the gateway's exit code is then its own.
pub(crate) fn run(options: &Options) -> Result<()> {
    let adapters = repository::adapters();
    process::step("build adapters", || build_adapters::build_all(&adapters))?;
    process::step("build the gateway", || {
        let mut cargo = process::host_cargo(&repository::root());
        cargo.args(["build", "--package", "bulkhead"]);
        cargo.args(options.release.then_some("--release"));
        process::run(&mut cargo)
    })?;
    let profile = if options.release { "release" } else { "debug" };
    let mut gateway = Command::new(repository::host_target()?.join(profile).join("bulkhead"));
    process::forget_outer_cargo(&mut gateway);
    gateway.current_dir(repository::root());
    gateway.args(["demo", "--config", "gateway-config/examples/demo.toml", "--adapters"]).arg(adapters);
    if let Some(readings) = options.once {
        gateway.args(["--once", &readings.to_string()]);
    }
    Err(process::become_program(&mut gateway))
}
