//! `cargo xtask hostile`: puts hostile adapters into a gateway and prints what it made of them.

use anyhow::Result;
use bulkhead_tests::hostile::{GROUPS, Row, run, table};
use clap::Parser;
use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

/// Polls of the neighbours that each case is watched for at least, unless others are asked for.
const POLLS: usize = 400;

/// Puts hostile adapters into a gateway and prints what it made of them.
#[derive(Parser)]
struct Options {
    /// Prints the rows as JSON on standard output.
    #[arg(long)]
    json: bool,
    /// Polls of the neighbours that each case is watched for at least.
    #[arg(long, default_value_t = POLLS, value_name = "COUNT")]
    polls: usize,
    /// Only the cases whose name contains this.
    #[arg(long, default_value = "", value_name = "TEXT")]
    only: String,
    /// The groups; none: all.
    #[arg(value_name = "GROUP")]
    groups: Vec<u8>,
}

fn main() -> Result<ExitCode> {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut rows: Vec<Row> = Vec::new();
    for (group, about) in GROUPS.iter().filter(|(group, _)| options.groups.is_empty() || options.groups.contains(group))
    {
        let began = Instant::now();
        say(&format!("{group}: {about} …"));
        rows.extend(runtime.block_on(run(*group, options.polls, &options.only))?);
        say(&format!("{group}: took {:.0} s", began.elapsed().as_secs_f64()));
    }
    let mut out = std::io::stdout().lock();
    match options.json {
        true => writeln!(out, "{}", serde_json::to_string_pretty(&rows)?)?,
        false => write!(out, "{}", table(&rows))?,
    }
    let all_kept = rows.iter().all(Row::is_kept);
    Ok(if all_kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Writes one line of progress to standard error.
fn say(line: &str) {
    // Whoever closed standard error wants no progress.
    _ = writeln!(std::io::stderr(), "{line}");
}
