//! Everything a developer runs, as `cargo xtask <command>`: building the guests, the demo, the tests, the measurements
//! and the rules of the house. One file a command; what several commands need stands beside them, named for what it
//! holds.

#![forbid(unsafe_code)]

mod audit;
mod bench;
mod build_adapters;
mod debian;
mod demo;
mod guest_toolchain;
mod hostile;
mod node;
mod process;
mod python;
mod repository;
mod sbom;
mod soak;
#[path = "../../tests/src/soak/faults.rs"]
mod soak_faults;
mod test;
mod test_clients;
mod test_languages;
mod tidy;
mod wit_docs;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// What a developer of Bulkhead runs.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Builds the adapters of guest-adapters/ as WebAssembly components.
    BuildAdapters(build_adapters::Options),
    /// Installs or checks what the tests need, then runs every check and every test.
    Test(test::Options),
    /// What continuous integration runs: the same as `test`.
    Ci(test::Options),
    /// Checks the rules of the house: import edges, library ownership, file headers, links, decisions, WIT comments.
    Tidy,
    /// Builds the same adapter in Rust, JavaScript, Python and C, tests each and says what each costs.
    TestLanguages(test_languages::Options),
    /// Installs other people's OData clients and runs them against the gateway; with names: only those.
    TestClients(test_clients::Options),
    /// Writes docs/wit.md from wit/ and the SDK's examples.
    WitDocs,
    /// Builds everything and runs the gateway on simulated devices.
    Demo(demo::Options),
    /// Builds in release mode and measures.
    Bench(bench::Options),
    /// Builds in release mode, puts hostile adapters into a gateway and says what became of it.
    Hostile(hostile::Options),
    /// Builds in release mode, brings faults about and says what they cost; without a name lists them.
    Soak(soak::Options),
    /// Writes the bill of materials of the gateway's binary, in CycloneDX's JSON.
    Sbom(sbom::Options),
    /// Holds the lock files against a copy of the RustSec advisory database.
    Audit(audit::Options),
}

fn main() -> ExitCode {
    let result = match CommandLine::parse().command {
        Command::BuildAdapters(options) => build_adapters::run(&options),
        Command::Test(options) | Command::Ci(options) => test::run(&options),
        Command::Tidy => tidy::run(),
        Command::TestLanguages(options) => test_languages::run(&options),
        Command::TestClients(options) => test_clients::run(&options),
        Command::WitDocs => wit_docs::run(),
        Command::Demo(options) => demo::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Hostile(options) => hostile::run(&options),
        Command::Soak(options) => soak::run(&options),
        Command::Sbom(options) => sbom::run(&options),
        Command::Audit(options) => audit::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            process::say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
