//! What the gateway takes when little happens: memory at 1,000 readings a second with three adapters, time from its start
//! to the first committed reading, and the size of its binary.

use crate::figure::Figure;
use crate::gateway_process::GatewayProcess;
use crate::modbus::{self, Devices};
use crate::mqtt;
use crate::place::{Place, field};
use anyhow::{Result, ensure};
use bulkhead_simulators::mqtt::{Broker, BrokerConfig, Publisher, PublisherConfig};
use bulkhead_simulators::scale::{Scale, ScaleMode, Weight};
use std::path::Path;
use std::time::{Duration, Instant};

/// Time between two polls of the device, which gives 800 readings a second.
const POLL_INTERVAL_MS: u32 = 1_250;
/// Time between two messages, which gives 100 readings a second.
const MESSAGE_EVERY: Duration = Duration::from_millis(20);
/// Time between two lines of the scale, which gives 100 readings a second.
const LINE_EVERY: Duration = Duration::from_millis(10);
/// Time before memory is looked at.
const SETTLE: Duration = Duration::from_secs(20);
/// Longest wait for the first reading.
const START_MAX: Duration = Duration::from_secs(30);
/// Starts with a warm cache; the median counts.
const STARTS: usize = 5;
/// Resident memory allowed, in MB.
const RESIDENT_MAX_MB: f64 = 40.0;
/// Time allowed from the start to the first committed reading, in milliseconds.
const FIRST_MAX_MS: f64 = 300.0;
/// Size of the binary allowed, in MB.
const BINARY_MAX_MB: f64 = 30.0;

/// The figures.
pub(crate) fn measure(place: &Place) -> Result<Vec<Figure>> {
    let field = field()?;
    let devices = Devices::start(&field, 1)?;
    let broker = field.block_on(Broker::start(BrokerConfig::default()))?;
    let _publisher =
        field.block_on(async { Publisher::start(PublisherConfig::new(broker.address(), mqtt::TOPIC, MESSAGE_EVERY)) });
    let weight = Weight { kilograms: 61.5, is_stable: true };
    let scale = field.block_on(async { Scale::start(ScaleMode::Continuous(LINE_EVERY), weight) })?;
    let connections = modbus::config(&devices.addresses(), POLL_INTERVAL_MS)
        + &mqtt::config(broker.address(), 1)
        + &scale_config(scale.path());

    let dir = place.folder()?;
    let cold = memory(place, dir.path(), &connections)?;
    std::fs::remove_dir_all(dir.path().join("data/log"))?;
    let (rate, resident, anonymous) = memory(place, dir.path(), &connections)?;
    let mut firsts = Vec::new();
    for _ in 0..STARTS {
        // The compiled adapters stay, the log is new: what an earlier run left must not count.
        std::fs::remove_dir_all(dir.path().join("data/log"))?;
        let mut gateway = GatewayProcess::start(place, dir.path(), &connections)?;
        firsts.push(gateway.first_commit(START_MAX)?.as_secs_f64() * 1e3);
        gateway.stop()?;
    }
    firsts.sort_by(f64::total_cmp);
    let binary_bytes = std::fs::metadata(place.gateway()?)?.len();
    Ok(vec![
        Figure::of("footprint-rate", rate, "readings/s"),
        Figure::of("footprint-resident", resident, "MB").at_most(RESIDENT_MAX_MB),
        Figure::of("footprint-anonymous", anonymous, "MB"),
        Figure::of("footprint-resident-cold", cold.1, "MB").at_most(RESIDENT_MAX_MB),
        Figure::of("footprint-first-reading", firsts[STARTS / 2], "ms").at_most(FIRST_MAX_MS),
        Figure::of("footprint-binary", binary_bytes as f64 / 1e6, "MB").at_most(BINARY_MAX_MB),
    ])
}

/// Readings a second, and resident and anonymous memory in MB after a while.
fn memory(place: &Place, dir: &Path, connections: &str) -> Result<(f64, f64, f64)> {
    let mut gateway = GatewayProcess::start(place, dir, connections)?;
    gateway.first_commit(START_MAX)?;
    let start = Instant::now();
    std::thread::sleep(SETTLE);
    let (usage, elapsed) = (gateway.usage()?, start.elapsed());
    let rows = gateway.stop()?;
    let rate = rows as f64 / elapsed.as_secs_f64();
    ensure!(rate > 900.0, "only {rate:.0} readings a second were committed");
    Ok((rate, usage.resident_bytes as f64 / 1e6, usage.anonymous_bytes as f64 / 1e6))
}

fn scale_config(port: &Path) -> String {
    format!(
        r#"
[connections.scale]
adapter = "serial-text"

[connections.scale.transports.device]
kind = "serial"
port = "{}"
framing = {{ delimiter = "\r\n" }}

[[connections.scale.settings.patterns]]
regex = '^(?<flag>ST|US|OL),GS,(?<weight>[-+ 0-9.]+)kg$'
status = {{ capture = "flag", values = {{ ST = "Good", US = "Uncertain", OL = "BadOutOfRange" }} }}
points = [{{ name = "weight", unit = "kg" }}]
"#,
        port.display()
    )
}
