//! `bench`: builds adapters, the gateway and the measuring program in release mode, then becomes the latter.

use crate::{build_adapters, process, repository};
use anyhow::Result;
use clap::Args;
use std::process::Command;

/// The package of guests that measures decoding, and its program without a sandbox.
const DECODING: &str = "decode-bench";
const DECODING_NATIVE: &str = "decode-bench-native";

/// What to measure.
#[derive(Args)]
#[command(after_help = "Example: cargo xtask bench --json modbus")]
pub(crate) struct Options {
    /// Prints the results as JSON on standard output.
    #[arg(long)]
    json: bool,
    /// Measures only these; all where none is named.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

/// The command. Returns only when something failed.
pub(crate) fn run(options: &Options) -> Result<()> {
    let adapters = repository::adapters();
    process::step("build adapters", || build_adapters::build_all(&adapters))?;
    let decoding = repository::host_target()?.join("bench");
    process::step("build what measures decoding, with and without a sandbox", || {
        build_adapters::build_one(DECODING, &decoding)?;
        let mut cargo = process::host_cargo(&repository::guests());
        cargo.args(["build", "--release", "--package", DECODING, "--bin", DECODING_NATIVE]);
        process::run(cargo.arg("--target-dir").arg(&decoding))
    })?;
    process::step("build the gateway and the measurements in release mode", || {
        let mut cargo = process::host_cargo(&repository::root());
        cargo.args(["build", "--release", "--package", "bulkhead", "--package", "bulkhead-tests"]);
        cargo.args(["--package", "bulkhead-log", "--example", "log_bench"]);
        process::run(cargo.args(["--bin", "bulkhead", "--bin", "bulkhead-bench"]))
    })?;
    let built = repository::host_target()?.join("release");
    let mut bench = Command::new(built.join("bulkhead-bench"));
    process::forget_outer_cargo(&mut bench);
    bench.current_dir(repository::root());
    bench.args(options.json.then_some("--json")).args(&options.names);
    bench.env("BULKHEAD_DECODING", &decoding);
    bench.env("BULKHEAD_ADAPTERS", adapters).env("BULKHEAD_GATEWAY", built.join("bulkhead"));
    Err(process::become_program(&mut bench))
}
