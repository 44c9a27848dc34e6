//! `test`: installs or checks what the tests need, then runs every check and every test, cheapest first, and stops at
//! the first that fails. The test runner's own summary comes last.

use crate::{build_adapters, debian, node, process, python, repository, test_languages, tidy};
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// What to run.
#[derive(Args)]
#[command(after_help = "Example: cargo xtask test --only clippy")]
pub(crate) struct Options {
    /// Runs one step only.
    #[arg(long, value_name = "STEP")]
    only: Option<Step>,
}

/// The steps, in their order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Step {
    /// Other programs that tests talk to: brokers, clients, simulators.
    Needs,
    /// rustfmt, both workspaces.
    Format,
    /// The rules of the house.
    Tidy,
    /// The adapters, which tests run.
    Adapters,
    /// clippy with warnings denied, both workspaces.
    Clippy,
    /// That the fuzz targets compile.
    Fuzz,
    /// Tests of the guests, on the host.
    Guests,
    /// Examples in the documentation of the host workspace.
    Doctests,
    /// Adapters of two versions of the interfaces in one gateway.
    Versions,
    /// The same adapter in four languages, built and tested.
    Languages,
    /// Tests of the host workspace.
    Tests,
}

/// Debian packages that tests need, each with a program that shows it is there.
const DEBIAN_NEEDS: [(&str, &str); 10] = [
    ("mosquitto", "mosquitto"),
    ("mosquitto-clients", "mosquitto_pub"),
    ("socat", "socat"),
    ("mbpoll", "mbpoll"),
    ("strace", "strace"),
    ("openssl", "openssl"),
    ("systemd", "systemd-analyze"),
    ("faketime", "faketime"),
    ("slowhttptest", "slowhttptest"),
    ("docker-registry", "docker-registry"),
];

/// The command.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut times = Vec::new();
    for step in Step::value_variants().iter().filter(|step| options.only.is_none_or(|only| only == **step)) {
        if *step == Step::Tests {
            // Before the last step, so that the runner's summary is what one sees at the end.
            print_times(&times);
        }
        let begin = Instant::now();
        process::say(&format!("==> {}", heading(*step)));
        if let Err(error) = step.run() {
            print_times(&times);
            return Err(error.context(format!("step `{}` failed", name(*step))));
        }
        times.push((*step, begin.elapsed()));
        if *step != Step::Tests {
            process::say(&format!("    done: {} ({})", heading(*step), process::elapsed(begin.elapsed())));
        }
    }
    Ok(())
}

impl Step {
    fn run(self) -> Result<()> {
        match self {
            Step::Needs => needs(),
            Step::Format => format(),
            Step::Tidy => tidy::check(),
            Step::Adapters => build_adapters::build_all(&repository::adapters()),
            Step::Clippy => clippy(),
            Step::Fuzz => fuzz(),
            Step::Guests => guests(),
            Step::Doctests => doctests(),
            Step::Versions => versions(),
            Step::Languages => languages(),
            Step::Tests => tests(),
        }
    }
}

fn heading(step: Step) -> String {
    let value = step.to_possible_value().expect("no step is hidden");
    let what = value.get_help().map(ToString::to_string).unwrap_or_default();
    format!("{}: {what}", value.get_name())
}

fn name(step: Step) -> String {
    step.to_possible_value().expect("no step is hidden").get_name().to_owned()
}

fn print_times(times: &[(Step, Duration)]) {
    let all: Vec<_> = times.iter().map(|(step, time)| format!("{} {}", name(*step), process::elapsed(*time))).collect();
    if !all.is_empty() {
        let total = times.iter().map(|(_, time)| *time).sum();
        process::say(&format!("    so far: {} (all: {})", all.join(", "), process::elapsed(total)));
    }
}

/// Other people's programs. Those from Debian are installed where we are root; those of PyPI and npm never touch the system.
fn needs() -> Result<()> {
    let missing: Vec<&str> =
        DEBIAN_NEEDS.iter().filter(|(_, program)| process::find_program(program).is_none()).map(|(p, _)| *p).collect();
    if !missing.is_empty() {
        if !debian::is_debian() {
            bail!("missing: {}. Install them with this system's package manager", missing.join(", "));
        }
        debian::install(&missing)?;
    }
    let venv = python::ensure()?;
    process::say(&format!("    Python packages of the tests: {}", venv.display()));
    let node = node::ensure()?;
    process::say(&format!("    npm's packages of the tests: {}", node.display()));
    Ok(())
}

fn format() -> Result<()> {
    in_both_workspaces(|cargo| process::run(cargo.args(["fmt", "--all", "--check"])))
        .context("run `cargo fmt --all`, in the root and in guest-adapters/")
}

fn clippy() -> Result<()> {
    in_both_workspaces(|cargo| {
        process::run(cargo.args(["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]))
    })
}

/// The fuzz targets are a workspace of their own, which nothing else builds.
fn fuzz() -> Result<()> {
    let root = repository::root();
    process::run(cargo_of(&root.join("tests/fuzz")).arg("check").arg("--target-dir").arg(root.join("target/fuzz")))
}

/// The guests' unit tests and the examples of the SDK's documentation.
fn guests() -> Result<()> {
    let guests = repository::guests();
    process::run(cargo_of(&guests).args(["test", "--workspace", "--doc"]))?;
    run_tests(&guests, &[])
}

/// nextest does not run examples in documentation: cargo does.
fn doctests() -> Result<()> {
    process::run(with_test_environment(&mut cargo_of(&repository::root()))?.args(["test", "--workspace", "--doc"]))
}

/// The sandbox with the draft of the next interfaces, and a gateway built with it; the step after it builds the gateway anew.
fn versions() -> Result<()> {
    let root = repository::root();
    let of = |words: &[&str]| {
        let mut cargo = cargo_of(&root);
        cargo.args(words).args(["--features", "wit-next"]);
        cargo
    };
    process::run(&mut of(&["test", "--package", "bulkhead-sandbox", "--lib"]))?;
    process::run(&mut of(&["build", "--package", "bulkhead"]))?;
    let mut tests = of(&["test", "--package", "bulkhead-tests", "--test", "two_versions"]);
    process::run(with_test_environment(&mut tests)?)
}

/// With the programs of the tests, which are built here if this step comes first.
fn languages() -> Result<()> {
    build_for_tests()?;
    test_languages::check(&repository::host_target()?.join("debug"))
}

/// The gateway's binary is built with the tests, with the same features, so that tests can start it.
fn build_for_tests() -> Result<()> {
    process::run(cargo_of(&repository::root()).args(["build", "--workspace", "--lib", "--bins", "--tests"]))
}

fn tests() -> Result<()> {
    build_for_tests()?;
    run_tests(&repository::root(), &["--lib", "--bins", "--tests"])
}

/// All tests of a workspace but its documentation, with nextest where it is installed.
fn run_tests(workspace: &Path, targets: &[&str]) -> Result<()> {
    let mut cargo = cargo_of(workspace);
    let targets = if targets.is_empty() { &["--lib", "--bins", "--tests"] } else { targets };
    if has_nextest() {
        cargo.args(["nextest", "run", "--workspace", "--no-fail-fast"]).args(targets);
        let is_guests = workspace == repository::guests();
        let config = if is_guests { "xtask/nextest-guests.toml" } else { "xtask/nextest.toml" };
        cargo.arg("--config-file").arg(repository::root().join(config));
    } else {
        process::say("    cargo-nextest is not installed: using cargo test");
        cargo.args(["test", "--workspace", "--no-fail-fast"]).args(targets);
    }
    process::run(with_test_environment(&mut cargo)?)
}

fn has_nextest() -> bool {
    process::output_of(Command::new("cargo").args(["nextest", "--version"]).current_dir(repository::root())).is_some()
}

fn in_both_workspaces(work: impl Fn(&mut Command) -> Result<()>) -> Result<()> {
    for workspace in [repository::root(), repository::guests()] {
        work(&mut cargo_of(&workspace))?;
    }
    Ok(())
}

/// Cargo for a workspace. The guests on the host share the folder of the guests as WebAssembly: it holds one folder a
/// target, and the two kinds of build never run at once.
fn cargo_of(workspace: &Path) -> Command {
    let mut cargo = process::host_cargo(workspace);
    if workspace == repository::guests() {
        cargo.env("CARGO_TARGET_DIR", repository::guests_target());
    }
    cargo
}

/// What tests find in their environment: the adapters, the Python folder, the gateway's binary, and material that lies
/// beside the checkout where there is some.
fn with_test_environment(cargo: &mut Command) -> Result<&mut Command> {
    cargo.env("BULKHEAD_ADAPTERS", repository::adapters()).env("BULKHEAD_VENV", python::folder());
    cargo.env("BULKHEAD_NODE", node::folder());
    cargo.env("BULKHEAD_GATEWAY", repository::host_target()?.join("debug/bulkhead"));
    if std::env::var_os("CI").is_some() {
        // CI judges a change, not the dice: its property tests and faults make the same choices each time. A developer's run
        // makes others.
        for seed in
            ["PROPTEST_RNG_SEED", "BULKHEAD_SOAK_SEED"].into_iter().filter(|seed| std::env::var_os(seed).is_none())
        {
            cargo.env(seed, "1");
        }
    }
    match repository::root().join("../shared").canonicalize() {
        Ok(shared) => {
            cargo.env("BULKHEAD_SHARED", shared);
        }
        Err(_) => process::say("    BULKHEAD_SHARED is not set: there is no folder ../shared beside the checkout"),
    }
    Ok(cargo)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(cargo: &Command, name: &str) -> Option<String> {
        let (_, value) = cargo.get_envs().find(|(key, _)| *key == name)?;
        Some(value?.to_string_lossy().into_owned())
    }

    #[test]
    fn the_tests_come_last_and_each_step_says_what_it_is() {
        assert_eq!(Step::value_variants().last(), Some(&Step::Tests));
        for step in Step::value_variants() {
            assert!(heading(*step).len() > name(*step).len() + 5, "{}", heading(*step));
        }
    }

    #[test]
    fn guests_have_their_own_target_folder() {
        let guests = variable(&cargo_of(&repository::guests()), "CARGO_TARGET_DIR").unwrap();
        assert!(guests.ends_with("target/guests"), "{guests}");
    }

    #[test]
    fn tests_find_adapters_and_python() {
        let mut cargo = Command::new("cargo");
        with_test_environment(&mut cargo).unwrap();
        let adapters = variable(&cargo, "BULKHEAD_ADAPTERS").unwrap();
        assert!(Path::new(&adapters).is_absolute() && adapters.ends_with("target/adapters"), "{adapters}");
        assert!(variable(&cargo, "BULKHEAD_VENV").unwrap().ends_with("target/venv"));
        assert!(variable(&cargo, "BULKHEAD_NODE").unwrap().ends_with("target/node"));
        assert!(variable(&cargo, "BULKHEAD_GATEWAY").unwrap().ends_with("debug/bulkhead"));
    }
}
