//! What the log costs, in numbers, beside bare rusqlite doing the same: one case a run, so that a case's memory and the
//! bytes it has the device write are its own. `cargo xtask bench log` runs them all and knows their targets.
//!
//! `cargo run --release -p bulkhead-log --example log_bench -- <case> <folder> [size]`
//!
//! Each figure is a line: its name, the value, the unit and, where there is one, the same by hand, separated by tabs.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it is for")]

mod append;
mod bytes;
mod data;
mod process;
mod read;

use std::error::Error;
use std::path::{Path, PathBuf};

/// What a case may fail with.
type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// A case: its name, what runs it in a folder at a size, and its usual size.
type Case = (&'static str, fn(&Path, usize) -> Outcome, usize);

const CASES: &[Case] = &[
    ("append-1", |folder, rows| append::beside_bare(folder, rows, 1), 20_000),
    ("append-100", |folder, rows| append::beside_bare(folder, rows, 100), 1_000_000),
    ("append-10000", |folder, rows| append::beside_bare(folder, rows, 10_000), 3_000_000),
    ("flat-rows", append::flat_over_rows, 20_000_000),
    ("flat-points", append::flat_over_points, 2_000_000),
    ("while-sealing", append::while_sealing, 20),
    ("memory", append::peak_memory, 3_000_000),
    ("point-day", read::point_day, 100_000_000),
    ("by-seq", read::by_seq, 3_000_000),
    ("bytes-random", |folder, rows| bytes::per_reading(folder, rows, data::Values::Random), 1_000_000),
    ("bytes-registers", |folder, rows| bytes::per_reading(folder, rows, data::Values::Registers), 1_000_000),
    ("written", bytes::written_a_day, 60),
];

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, folder, size @ ..] = arguments.as_slice() else {
        eprintln!("log_bench <case> <folder> [size]; the cases are");
        CASES.iter().for_each(|(name, _, size)| eprintln!("  {name} (size {size})"));
        std::process::exit(2);
    };
    let case = CASES.iter().find(|(known, ..)| known == name).ok_or_else(|| format!("there is no case {name}"))?;
    let size = size.first().map_or(Ok(case.2), |size| size.parse())?;
    case.1(&PathBuf::from(folder), size)
}

/// Prints a figure, beside the same by hand where that was measured.
fn figure(name: &str, value: f64, unit: &str, by_hand: Option<f64>) {
    let by_hand = by_hand.map_or_else(String::new, |by_hand| format!("\t{by_hand}"));
    println!("{name}\t{value}\t{unit}{by_hand}");
}

/// The middle one.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
