//! The decoding without a sandbox: `decode-bench json|registers ROUNDS` prints the nanoseconds of a round and the sum of what
//! was read.

use bulkhead_sdk::prelude::*;
use bulkhead_sdk::testing::{self, Host};
use decode_bench::DecodeBench;
use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match measure(&arguments) {
        Ok(line) => writeln!(std::io::stdout(), "{line}").map_or(ExitCode::from(2), |()| ExitCode::SUCCESS),
        Err(error) => {
            // Whoever closed standard error wants no reason.
            _ = writeln!(std::io::stderr(), "decode-bench: {error}; usage: decode-bench json|registers ROUNDS");
            ExitCode::from(2)
        }
    }
}

fn measure(arguments: &[String]) -> Result<String, String> {
    let [subject, rounds] = arguments else { return Err("expected two arguments".to_owned()) };
    let rounds: u32 = rounds.parse().map_err(|error| format!("{rounds}: {error}"))?;
    let _host = Host::install();
    let settings = serde_json::json!({ "subject": subject, "rounds": rounds });
    let mut bench = testing::start::<DecodeBench>(settings).map_err(|fault| fault.message)?;
    // The first poll declares the points.
    bench.adapter.poll("default").map_err(|fault| fault.message)?;
    let start = Instant::now();
    let readings = bench.adapter.poll("default").map_err(|fault| fault.message)?;
    let nanoseconds = start.elapsed().as_nanos() as f64 / f64::from(rounds);
    match readings.first().and_then(|reading| reading.value.clone()) {
        Some(Value::Real(total)) => Ok(format!("{nanoseconds} {total}")),
        _ => Err("nothing was read".to_owned()),
    }
}
