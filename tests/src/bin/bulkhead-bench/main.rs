//! What the architecture costs, in numbers: the gateway beside the bare libraries doing the same work by hand.
//!
//! Run it with `cargo xtask bench`, which builds the adapters and the gateway first. docs/benchmarks.md says what each
//! figure means, how it is measured and what its target is. Nothing here is a test: a busy machine makes every number
//! worse, and only the ratios inside one run compare.

mod ages;
mod calls;
mod crowd;
mod figure;
mod footprint;
mod gateway_process;
mod hand_log;
mod hand_modbus;
mod hand_mqtt;
mod in_process;
mod instantly;
mod log;
mod modbus;
mod mosquitto;
mod mqtt;
mod odata;
mod place;
mod rounds;
mod steady;
mod tax;

use anyhow::{Result, bail};
use clap::Parser;
use figure::Figure;
use place::Place;
use std::process::ExitCode;

/// Measures the gateway.
#[derive(Parser)]
#[command(name = "bulkhead-bench", after_help = "Example: bulkhead-bench --json modbus-1 mqtt-qos1")]
struct Options {
    /// Prints the figures as a JSON array on standard output.
    #[arg(long)]
    json: bool,
    /// Runs of each kind behind a ratio; the median counts.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=99))]
    rounds: u16,
    /// Measures only those whose names begin with one of these; all where none is named.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

/// One measurement: what it is called, and what it gives.
type Measurement = (&'static str, fn(&Place) -> Result<Vec<Figure>>);

const MEASUREMENTS: &[Measurement] = &[
    ("modbus-1", |place| modbus::measure(place, 1)),
    ("modbus-32", |place| modbus::measure(place, 32)),
    ("mqtt-qos0", |place| mqtt::measure(place, bulkhead_simulators::mqtt::QoS::AtMostOnce)),
    ("mqtt-qos1", |place| mqtt::measure(place, bulkhead_simulators::mqtt::QoS::AtLeastOnce)),
    ("mosquitto-qos1", mosquitto::measure),
    ("steady-100k", steady::measure),
    ("age-100k", ages::measure),
    ("footprint", footprint::measure),
    ("calls", calls::measure),
    ("odata", odata::measure),
    ("tax", tax::measure),
    ("crowd", crowd::measure),
    ("log-append-1", |place| log::measure(place, "append-1")),
    ("log-append-100", |place| log::measure(place, "append-100")),
    ("log-append-10000", |place| log::measure(place, "append-10000")),
    ("log-flat-rows", |place| log::measure(place, "flat-rows")),
    ("log-flat-points", |place| log::measure(place, "flat-points")),
    ("log-while-sealing", |place| log::measure(place, "while-sealing")),
    ("log-memory", |place| log::measure(place, "memory")),
    ("log-point-day", |place| log::measure(place, "point-day")),
    ("log-by-seq", |place| log::measure(place, "by-seq")),
    ("log-bytes-random", |place| log::measure(place, "bytes-random")),
    ("log-bytes-registers", |place| log::measure(place, "bytes-registers")),
    ("log-written", |place| log::measure(place, "written")),
];

fn main() -> ExitCode {
    bulkhead_sandbox::memory::keep_little();
    // A second call would only mean that it is installed already.
    _ = rustls::crypto::ring::default_provider().install_default();
    match run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            figure::say(&format!("bulkhead-bench: {error:#}"));
            ExitCode::from(2)
        }
    }
}

/// Measures what was asked for. True: every figure that has a target meets it.
fn run(options: &Options) -> Result<bool> {
    let wanted =
        |name: &str| options.names.is_empty() || options.names.iter().any(|wanted| name.starts_with(wanted.as_str()));
    let chosen: Vec<&Measurement> = MEASUREMENTS.iter().filter(|(name, _)| wanted(name)).collect();
    if chosen.is_empty() {
        let known: Vec<&str> = MEASUREMENTS.iter().map(|(name, _)| *name).collect();
        bail!("nothing has such a name; there are {}", known.join(", "));
    }
    let place = Place::find(options.rounds)?;
    let mut figures = Vec::new();
    for (name, measure) in chosen {
        figure::say(&format!("measuring {name} …"));
        match measure(&place) {
            Ok(measured) => {
                measured.iter().for_each(|figure| figure::say(&format!("  {}", figure.line())));
                figures.extend(measured);
            }
            Err(error) => {
                figure::say(&format!("  {name} could not be measured: {error:#}"));
                figures.push(Figure::failed(name));
            }
        }
    }
    match options.json {
        true => figure::print_json(&figures)?,
        false => figure::print_table(&figures)?,
    }
    Ok(figures.iter().all(|figure| figure.ok != Some(false)))
}
