//! `cargo xtask soak`: brings faults about, as often as asked, and prints what they cost.

use anyhow::{Result, bail};
use bulkhead_tests::soak::{self, By, FAULTS, Fault, Outcome};
use clap::Parser;
use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

/// Brings faults about and prints what they cost.
#[derive(Parser)]
struct Options {
    /// Prints the rows as JSON on standard output.
    #[arg(long)]
    json: bool,
    /// Trials instead of the full form's.
    #[arg(long, value_name = "COUNT")]
    trials: Option<u64>,
    /// The faults.
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
}

fn main() -> Result<ExitCode> {
    let options = Options::parse();
    let faults = options.names.iter().map(|name| find(name)).collect::<Result<Vec<&Fault>>>()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let outcomes: Vec<Outcome> =
        faults.into_iter().flat_map(|fault| runtime.block_on(bring(fault, &options))).collect();
    let mut out = std::io::stdout().lock();
    match options.json {
        true => writeln!(out, "{}", serde_json::to_string_pretty(&outcomes)?)?,
        false => write!(out, "{}", soak::table(&outcomes))?,
    }
    let all_kept = outcomes.iter().all(Outcome::is_kept);
    Ok(if all_kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn find(name: &str) -> Result<&'static Fault> {
    let own = FAULTS.iter().filter(|fault| fault.by == By::Soak);
    let Some(fault) = own.clone().find(|fault| fault.name == name) else {
        let known: Vec<&str> = own.map(|fault| fault.name).collect();
        bail!("no fault is named {name}; there are {}", known.join(", "));
    };
    Ok(fault)
}

/// A fault's rows. That it could not be brought about is a row too, so that the others still run.
async fn bring(fault: &Fault, options: &Options) -> Vec<Outcome> {
    let trials = options.trials.unwrap_or(fault.full);
    let began = Instant::now();
    say(&format!("{}: {} ({trials} trials) …", fault.name, fault.about));
    let outcomes =
        soak::run(fault.name, trials).await.unwrap_or_else(|error| vec![Outcome::failed(fault.name, &error)]);
    say(&format!("{}: took {:.0} s", fault.name, began.elapsed().as_secs_f64()));
    outcomes
}

/// Writes one line of progress to standard error.
fn say(line: &str) {
    // Whoever closed standard error wants no progress.
    _ = writeln!(std::io::stderr(), "{line}");
}
