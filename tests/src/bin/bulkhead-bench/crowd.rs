//! Many connections: memory of one more that is idle, the start of 50 with 10 adapters, and 1,000 reloads of one.

use crate::figure::Figure;
use crate::gateway_process::GatewayProcess;
use crate::place::Place;
use anyhow::{Context, Result};
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

/// The adapter of all of them: it needs no transport.
const ADAPTER: &str = "webhook-json";
/// Idle connections of the smaller and of the larger gateway.
const FEW: usize = 10;
const MANY: usize = 110;
/// Connections that start, and the different adapters they have.
const STARTING: usize = 50;
const ADAPTERS: usize = 10;
/// Starts with a warm cache; the median counts.
const STARTS: usize = 5;
/// Reloads of a connection before its memory is first looked at, and after.
const RELOADS_BEFORE: usize = 50;
const RELOADS: usize = 1_000;
/// Time in which a gateway comes to rest.
const SETTLE: Duration = Duration::from_secs(3);
/// Longest wait for all connections to run.
const READY_MAX: Duration = Duration::from_secs(120);
/// What is allowed: memory of an idle connection, time of the start, growth over the reloads.
const IDLE_MAX_KB: f64 = 256.0;
const START_MAX_MS: f64 = 1_000.0;
const GROWTH_MAX_MB: f64 = 2.0;

/// The figures.
pub(crate) fn measure(place: &Place) -> Result<Vec<Figure>> {
    let (few, many) = (resident(place, FEW)?, resident(place, MANY)?);
    let idle_kb = (many - few) / (MANY - FEW) as f64 / 1e3;
    Ok(vec![
        Figure::of("crowd-idle-connection", idle_kb, "kB").at_most(IDLE_MAX_KB),
        Figure::of("crowd-start", start(place)?, "ms").at_most(START_MAX_MS),
        Figure::of("crowd-reloads", growth(place)?, "MB").at_most(GROWTH_MAX_MB),
    ])
}

/// Resident bytes of a gateway with so many connections, none of which does anything.
fn resident(place: &Place, connections: usize) -> Result<f64> {
    let dir = place.folder()?;
    let mut gateway = GatewayProcess::start(place, dir.path(), &config(&[ADAPTER.to_owned()], connections, 0))?;
    gateway.all_running(connections, READY_MAX)?;
    std::thread::sleep(SETTLE);
    let bytes = gateway.usage()?.resident_bytes as f64;
    gateway.stop()?;
    Ok(bytes)
}

/// Milliseconds from the start of the process until all connections run, with compiled adapters in the cache.
fn start(place: &Place) -> Result<f64> {
    let dir = place.folder()?;
    let folder = dir.path().join("adapters");
    let text = config(&different_adapters(place, &folder)?, STARTING, 0);
    // The first start compiles.
    let mut times = Vec::new();
    for _ in 0..=STARTS {
        let mut gateway = GatewayProcess::start_with(place, &folder, dir.path(), &text)?;
        times.push(gateway.all_running(STARTING, READY_MAX)?.as_secs_f64() * 1e3);
        gateway.stop()?;
    }
    let warm = times.get_mut(1..).context("there were no starts")?;
    warm.sort_by(f64::total_cmp);
    warm.get(STARTS / 2).copied().context("there were no starts")
}

/// Megabytes by which a gateway grew while one of its connections was reloaded again and again.
fn growth(place: &Place) -> Result<f64> {
    let dir = place.folder()?;
    let adapters = [ADAPTER.to_owned()];
    let mut gateway = GatewayProcess::start(place, dir.path(), &config(&adapters, FEW, 0))?;
    gateway.all_running(FEW, READY_MAX)?;
    let mut before = 0;
    for reload in 1..=RELOADS_BEFORE + RELOADS {
        gateway.reload(&config(&adapters, FEW, reload))?;
        if reload == RELOADS_BEFORE {
            before = gateway.usage()?.resident_bytes;
        }
    }
    gateway.all_running(FEW, READY_MAX)?;
    let after = gateway.usage()?.resident_bytes;
    gateway.stop()?;
    Ok((after as f64 - before as f64) / 1e6)
}

/// Puts adapters of different bytes into a folder, of which the gateway can share none: copies with a section of their own
/// at the end. Their names.
fn different_adapters(place: &Place, folder: &Path) -> Result<Vec<String>> {
    let original = std::fs::read(place.adapters.join(format!("{ADAPTER}.wasm")))?;
    std::fs::create_dir_all(folder)?;
    let copy = |letter: u8| {
        let name = format!("{ADAPTER}-{}", char::from(letter));
        let mut bytes = original.clone();
        // A custom section: its id, its length, its name's length, its name.
        bytes.extend([0, 2, 1, letter]);
        std::fs::write(folder.join(format!("{name}.wasm")), bytes)?;
        Ok(name)
    };
    (b'a'..).take(ADAPTERS).map(copy).collect()
}

/// Connections that take webhooks, in turn with one of the adapters; `change` is something in the settings of the first.
fn config(adapters: &[String], connections: usize, change: usize) -> String {
    let mut text = String::new();
    for index in 0..connections {
        let change = if index == 0 { change } else { 0 };
        let adapter = &adapters[index % adapters.len()];
        // Writing to a text does not fail.
        _ = write!(
            text,
            "[connections.hook{index}]\nadapter = \"{adapter}\"\n[[connections.hook{index}.settings.hooks]]\n\
             path = \"/in\"\npoints = [{{ path = \"value\", description = \"change {change}\" }}]\n"
        );
    }
    text
}
