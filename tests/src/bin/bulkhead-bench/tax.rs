//! What the sandbox costs where an adapter computes: the decoding of `mqtt-json` and `modbus-registers`, as a component and as
//! the same code compiled for this machine. Many rounds in one call: what a call itself costs is `calls`.

use crate::figure::Figure;
use crate::instantly::guest;
use crate::place::{Place, subject};
use crate::rounds::in_turn;
use anyhow::{Context, Result, anyhow, ensure};
use bulkhead_sandbox::{CodeKind, Guest};
use serde_json::json;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

/// The adapter that decodes, and the program with the same code.
const COMPONENT: &str = "decode-bench";
const NATIVE: &str = "release/decode-bench-native";
/// Rounds of decoding in a call, and of the interpreter, which takes many times as long: each a call of some 100 ms.
const ROUNDS: u32 = 2_000;
const ROUNDS_INTERPRETED: u32 = 100;

/// What is decoded, and the most that it may take in the sandbox, against 1 without.
const SUBJECTS: [(&str, f64); 2] = [("json", 1.6), ("registers", 1.3)];

/// The figures.
pub(crate) fn measure(place: &Place) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (name, tax_max) in SUBJECTS {
        let (native, compiled) = compare(place, name, CodeKind::Native, ROUNDS)?;
        let (native_again, interpreted) = compare(place, name, CodeKind::Pulley, ROUNDS_INTERPRETED)?;
        figures.push(
            Figure::of(format!("tax-{name}"), compiled / native, "× the time without a sandbox").at_most(tax_max),
        );
        figures.push(Figure::of(format!("tax-{name}-round"), compiled / 1e3, "µs"));
        let pulley =
            Figure::of(format!("tax-{name}-pulley"), interpreted / native_again, "× the time without a sandbox");
        figures.push(pulley);
    }
    Ok(figures)
}

/// Nanoseconds of a round without a sandbox and in one.
fn compare(place: &Place, subject_name: &str, code: CodeKind, rounds: u32) -> Result<(f64, f64)> {
    let decoding = place.decoding()?;
    let settings = json!({ "subject": subject_name, "rounds": rounds });
    let mut guest = guest(place, &decoding.join(format!("{COMPONENT}.wasm")), code, &settings)?;
    let (runtime, native) = (subject()?, decoding.join(NATIVE));
    let mut sums = (0.0, 0.0);
    // The first call builds the instance.
    runtime.block_on(round(&mut guest, rounds))?;
    let without = || {
        let (nanoseconds, sum) = native_round(&native, subject_name, rounds)?;
        sums.0 = sum;
        Ok(nanoseconds)
    };
    let within = || {
        let (nanoseconds, sum) = runtime.block_on(round(&mut guest, rounds))?;
        sums.1 = sum;
        Ok(nanoseconds)
    };
    let times = in_turn(place.rounds, "ns/round", without, within)?;
    ensure!(sums.0 == sums.1 && sums.0 != 0.0, "one side read {} and the other {}", sums.0, sums.1);
    Ok(times)
}

/// Nanoseconds of a round, and what was read.
async fn round(guest: &mut Guest, rounds: u32) -> Result<(f64, f64)> {
    let start = Instant::now();
    let readings = guest.poll("default").await.map_err(|error| anyhow!("the adapter's poll failed: {error}"))?;
    let nanoseconds = start.elapsed().as_nanos() as f64 / f64::from(rounds);
    match readings.first().and_then(|reading| reading.value.as_ref()) {
        Some(bulkhead_model::Value::Real(sum)) => Ok((nanoseconds, *sum)),
        other => Err(anyhow!("the adapter read {other:?}")),
    }
}

/// The same from the program.
fn native_round(program: &PathBuf, subject_name: &str, rounds: u32) -> Result<(f64, f64)> {
    let output = Command::new(program).args([subject_name, &rounds.to_string()]).output();
    let output = output.with_context(|| format!("{} does not run", program.display()))?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let line = String::from_utf8(output.stdout)?;
    let mut numbers = line.split_whitespace().map(str::parse::<f64>);
    let (nanoseconds, sum) = numbers.next().zip(numbers.next()).context("the program printed no numbers")?;
    Ok((nanoseconds?, sum?))
}
