//! Ten devices of 1,000 registers every 100 ms, 100,000 readings a second, all committed: is every register read fresh in
//! every cycle, as the devices count it, and what does the gateway's process use for it?

use crate::figure::Figure;
use crate::gateway_process::GatewayProcess;
use crate::modbus::{Devices, REGISTERS, config};
use crate::place::{Place, field};
use anyhow::{Result, ensure};
use std::time::{Duration, Instant};

/// Devices.
pub(crate) const DEVICES: usize = 10;
/// Time between two polls of a device.
pub(crate) const INTERVAL_MS: u32 = 100;
/// Longest wait for the first reading.
const START_MAX: Duration = Duration::from_secs(30);
/// Time before it is measured.
const WARM_UP: Duration = Duration::from_secs(8);
/// Time over which it is measured.
const TIME: Duration = Duration::from_secs(20);
/// Cores that may be used.
const CORES_MAX: f64 = 0.3;
/// Resident memory allowed, in MB.
const RESIDENT_MAX_MB: f64 = 50.0;

/// The figures.
pub(crate) fn measure(place: &Place) -> Result<Vec<Figure>> {
    let field = field()?;
    let devices = Devices::start(&field, DEVICES)?;
    let (dir, text) = (place.folder()?, config(&devices.addresses(), INTERVAL_MS));
    // The first start compiles the adapter.
    let mut gateway = GatewayProcess::start(place, dir.path(), &text)?;
    gateway.first_commit(START_MAX)?;
    std::thread::sleep(WARM_UP);
    let cold = gateway.usage()?;
    gateway.stop()?;
    std::fs::remove_dir_all(dir.path().join("data/log"))?;
    devices.count_reads();
    let mut gateway = GatewayProcess::start(place, dir.path(), &text)?;
    gateway.first_commit(START_MAX)?;
    std::thread::sleep(WARM_UP);
    let (reads_before, before) = (devices.reads(), gateway.usage()?);
    let start = Instant::now();
    std::thread::sleep(TIME);
    let (elapsed, reads_after, after) = (start.elapsed(), devices.reads(), gateway.usage()?);
    let rows = gateway.stop()?;

    let cycles = elapsed.as_millis() as f64 / f64::from(INTERVAL_MS);
    let fewest = reads_before.iter().zip(&reads_after).map(|(before, after)| after - before).min().unwrap_or(0);
    let read: u64 = devices.reads().iter().sum();
    // A poll that is under way when the gateway is told to end is not committed.
    let under_way_max = DEVICES as u64 * u64::from(REGISTERS);
    ensure!(rows <= read, "{rows} rows are in the log, and only {read} registers were read");
    let cores = (after.processor_s - before.processor_s) / (after.at - before.at).as_secs_f64();
    let mb = |bytes: u64| bytes as f64 / 1e6;
    Ok(vec![
        Figure::of("steady-100k-cycles", fewest as f64, "reads of the least read register")
            .at_least(cycles.floor() - 1.0),
        Figure::of("steady-100k-uncommitted", (read - rows) as f64, "registers").at_most(under_way_max as f64),
        Figure::of("steady-100k-processor", cores, "cores").at_most(CORES_MAX),
        Figure::of("steady-100k-resident", mb(after.resident_bytes), "MB").at_most(RESIDENT_MAX_MB),
        Figure::of("steady-100k-anonymous", mb(after.anonymous_bytes), "MB"),
        Figure::of("steady-100k-resident-cold", mb(cold.resident_bytes), "MB").at_most(RESIDENT_MAX_MB),
    ])
}
