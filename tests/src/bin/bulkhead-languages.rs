//! `cargo xtask test-languages`: what the energy meter of `guest-adapters/examples` costs in each language, measured in the
//! sandbox against a meter that answers at once, and printed as a table.

use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use bulkhead_engine::SystemClock;
use bulkhead_model::{PointId, PointInfo, Reading, Value};
use bulkhead_sandbox::capability::{
    Capabilities, Catalogue, Change, Declared, Fault, Journal, Level, Modbus, Span, Words,
};
use bulkhead_sandbox::{Guest, Limits, PointTable, Sandbox, SandboxConfig};
use clap::Parser;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Time over which a call is repeated, in parts of which the best counts: others run on the machine as well.
const PART: Duration = Duration::from_millis(100);
const PARTS: u32 = 10;
/// Starts of which the best counts.
const STARTS: u32 = 5;
/// Readings of the group `default`.
const READINGS: usize = 11;

/// Measures adapters that all do the same.
#[derive(Parser)]
struct Options {
    /// A language and its component: `Rust=target/languages/rust/energy-meter.wasm`.
    #[arg(required = true, value_name = "LANGUAGE=FILE")]
    components: Vec<String>,
}

/// What an adapter costs.
struct Cost {
    language: String,
    component_bytes: u64,
    compiling: Duration,
    start: Duration,
    poll: Duration,
    write: Duration,
    memory_bytes: u64,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "| language | component | compiling it, once | start | a poll of {READINGS} readings | a write | memory |"
    )?;
    writeln!(out, "| --- | ---: | ---: | ---: | ---: | ---: | ---: |")?;
    for component in &options.components {
        let (language, path) = component.split_once('=').context("expected LANGUAGE=FILE")?;
        let cost =
            runtime.block_on(measure(language, Path::new(path))).with_context(|| format!("{path}: measuring"))?;
        writeln!(out, "{}", cost.row())?;
    }
    Ok(())
}

impl Cost {
    fn row(&self) -> String {
        let micros = |time: Duration| format!("{:.1} µs", time.as_nanos() as f64 / 1000.0);
        format!(
            "| {} | {} KB | {:.2} s | {:.1} ms | {} | {} | {} KiB |",
            self.language,
            self.component_bytes.div_ceil(1000),
            self.compiling.as_secs_f64(),
            self.start.as_micros() as f64 / 1000.0,
            micros(self.poll),
            micros(self.write),
            self.memory_bytes >> 10,
        )
    }
}

async fn measure(language: &str, path: &Path) -> Result<Cost> {
    let scratch = tempfile::tempdir()?;
    let cache = scratch.path().join("compiled");
    let component_bytes = std::fs::metadata(path).context("cannot be read")?.len();
    let compiling = {
        let sandbox = sandbox(&cache)?;
        let begin = Instant::now();
        sandbox.load("energy-meter", path)?;
        begin.elapsed()
    };
    let mut start = Duration::MAX;
    for _ in 0..STARTS {
        // A sandbox of its own, as after a start of the gateway: the compiled code is read anew.
        let sandbox = sandbox(&cache)?;
        let begin = Instant::now();
        let mut guest = guest(&sandbox, path)?.0;
        guest.start().await?;
        start = start.min(begin.elapsed());
    }
    let sandbox = sandbox(&cache)?;
    let (mut guest, points) = guest(&sandbox, path)?;
    check(&guest.poll("default").await?)?;
    let polled = async |guest: &mut Guest| Ok(guest.poll("default").await.map(drop)?);
    let poll = best(polled, &mut guest).await?;
    let (limit, _) = points.find("demand_limit").context("it has no point demand_limit")?;
    let written = async |guest: &mut Guest| Ok(guest.write(limit, Value::Real(87.5)).await?);
    let write = best(written, &mut guest).await?;
    let memory_bytes = guest.counters().memory_peak_bytes;
    Ok(Cost { language: language.to_owned(), component_bytes, compiling, start, poll, write, memory_bytes })
}

/// The best part's time of a call.
async fn best(call: impl AsyncFn(&mut Guest) -> Result<()>, guest: &mut Guest) -> Result<Duration> {
    let mut best = Duration::MAX;
    for _ in 0..PARTS {
        let (begin, mut calls) = (Instant::now(), 0);
        while begin.elapsed() < PART {
            call(guest).await?;
            calls += 1;
        }
        best = best.min(begin.elapsed() / calls);
    }
    Ok(best)
}

fn check(readings: &[Reading]) -> Result<()> {
    ensure!(readings.len() == READINGS, "{} readings came, expected {READINGS}", readings.len());
    ensure!(readings.iter().all(|reading| reading.status.is_good()), "not all readings are good: {readings:?}");
    Ok(())
}

fn sandbox(cache: &Path) -> Result<Sandbox> {
    let cache_dir: Option<PathBuf> = Some(cache.to_owned());
    Ok(SandboxConfig { cache_dir, ..SandboxConfig::default() }.build()?)
}

fn guest(sandbox: &Sandbox, path: &Path) -> Result<(Guest, Arc<PointTable>)> {
    let adapter = sandbox.load("energy-meter", path)?;
    let meter = Arc::new(Meter::default());
    let capabilities = Capabilities {
        catalogue: meter.clone(),
        journal: meter.clone(),
        clock: Arc::new(SystemClock::default()),
        state: None,
        modbus: BTreeMap::from([("device".to_owned(), meter as Arc<dyn Modbus>)]),
        serial: BTreeMap::new(),
        tcp: BTreeMap::new(),
        mqtt: BTreeMap::new(),
        http: BTreeMap::new(),
        tap: bulkhead_sandbox::tap::Tap::default(),
    };
    let points = Arc::new(PointTable::default());
    let limits = Limits { requests_per_s: u32::MAX, ..Limits::default() };
    Ok((Guest::new(adapter, capabilities, points.clone(), limits, "{\"ct_ratio\":40}".into())?, points))
}

/// A meter that answers at once: everything is zero, and nothing is wrong.
#[derive(Default)]
struct Meter {
    points: AtomicU32,
}

#[async_trait]
impl Catalogue for Meter {
    async fn declare(&self, points: Vec<PointInfo>) -> Result<Vec<Declared>, Fault> {
        let number = || PointId(self.points.fetch_add(1, Ordering::Relaxed));
        Ok(points.into_iter().map(|info| Declared { id: number(), info: info.into() }).collect())
    }
}

impl Journal for Meter {
    fn write(&self, _: Level, _: &str) {}
    fn report(&self, _: Option<&str>, _: &Fault) {}
}

#[async_trait]
impl Modbus for Meter {
    async fn read(&self, spans: Vec<Span>) -> Result<Words, Fault> {
        let words = spans.iter().map(|span| usize::from(span.count)).sum();
        Ok(Words { words: vec![0; words], faults: Vec::new() })
    }

    async fn write(&self, changes: Vec<Change>) -> Vec<Result<(), Fault>> {
        changes.iter().map(|_| Ok(())).collect()
    }
}
