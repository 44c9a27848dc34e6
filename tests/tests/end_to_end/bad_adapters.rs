//! Adapters that are absent, damaged or not granted what they import: their connection says so, the rest runs on.

use anyhow::{Result, ensure};
use bulkhead_simulators::modbus::{Bank, BankLayout, Device};
use bulkhead_tests::{Site, adapters};
use std::path::Path;

/// Bytes in the middle of the damaged adapter that are overwritten.
const DAMAGED_BYTES: usize = 512;

fn connection(name: &str, adapter: &str, transport: &str) -> String {
    format!(
        "[connections.{name}]\nadapter = \"{adapter}\"\npoll_interval_ms = 50\n\n{transport}\n\n\
         [connections.{name}.settings]\npoints = [{{ name = \"level\", table = \"holding-register\", address = 1 }}]\n\n"
    )
}

fn tcp(name: &str, kind: &str, device: &Device) -> String {
    format!("[connections.{name}.transports.device]\nkind = \"{kind}\"\naddress = \"{}\"", device.address())
}

async fn device() -> Result<Device> {
    Ok(Device::builder().unit(1, Bank::new(BankLayout::uniform(10))).start().await?)
}

/// A site with adapters of its own, among them these files.
fn site_with(files: &[(&str, &[u8])], connections: &str) -> Result<Site> {
    let head = "[gateway]\ndata_dir = \"data\"\nadapters_dir = \"adapters\"\n\n[api]\nlisten = \"127.0.0.1:0\"\n\n\
                [health]\ninterval_s = 0\n\n";
    let site = Site::verbatim(&(head.to_owned() + connections))?;
    let folder = site.path("adapters");
    std::fs::create_dir(&folder)?;
    std::fs::copy(adapters()?.join("modbus-registers.wasm"), folder.join("modbus-registers.wasm"))?;
    for (name, content) in files {
        std::fs::write(folder.join(name), content)?;
    }
    Ok(site)
}

fn good_adapter() -> Result<Vec<u8>> {
    Ok(std::fs::read(Path::new(&adapters()?).join("modbus-registers.wasm"))?)
}

#[tokio::test]
async fn an_absent_component_is_named_with_a_near_one() -> Result<()> {
    let device = device().await?;
    let site = site_with(&[], &connection("boiler", "modbus-register", &tcp("boiler", "modbus-tcp", &device)))?;
    for command in [&["check"][..], &["run", "--listen", "127.0.0.1:0"]] {
        let output = site.command(command.iter().copied()).await?.expect_code(2)?;
        for text in ["connections.boiler.adapter", "modbus-register.wasm", "did you mean `modbus-registers`?"] {
            ensure!(output.stderr.contains(text), "`{text}` is missing: {output}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_file_that_is_no_component_is_refused_with_the_reason() -> Result<()> {
    let torn = &good_adapter()?[..100_000];
    // A core module, as a compiler makes it before it becomes a component.
    let module = b"\0asm\x01\0\0\0";
    let files = [("text.wasm", &b"not wasm"[..]), ("torn.wasm", torn), ("module.wasm", module)];
    let connections: String = ["text", "torn", "module"].map(|name| connection(name, name, "")).concat();
    let site = site_with(&files, &connections)?;
    let output = site.command(["check"]).await?.expect_code(2)?;
    for name in ["text", "torn", "module"] {
        ensure!(output.stderr.contains(&format!("connections.{name}.adapter")), "{name} is missing: {output}");
        ensure!(output.stderr.contains(&format!("{name}.wasm")), "{name}.wasm is missing: {output}");
    }
    Ok(())
}

#[tokio::test]
async fn a_damaged_component_costs_its_own_connection_only() -> Result<()> {
    let mut damaged = good_adapter()?;
    let middle = damaged.len() / 2;
    damaged[middle..middle + DAMAGED_BYTES].fill(0xff);
    let device = device().await?;
    let connections = connection("boiler", "damaged", &tcp("boiler", "modbus-tcp", &device))
        + &connection("pump", "modbus-registers", &tcp("pump", "modbus-tcp", &device));
    let gateway = site_with(&[("damaged.wasm", &damaged)], &connections)?.run().await?;
    let boiler = gateway.connection("boiler", "its failure", |boiler| boiler.state == "failed").await?;
    let reason = boiler.reason.unwrap_or_default();
    ensure!(reason.contains("boiler") && reason.contains("damaged"), "{reason}");
    gateway.journal.wait_for_texts(&["ERROR", "boiler", "damaged"]).await?;
    gateway.reading("the other connection", |reading| reading.is_of("pump/level") && reading.is_good()).await?;
    gateway.terminate().await?;
    Ok(())
}

#[tokio::test]
async fn check_knows_which_transport_an_adapter_needs() -> Result<()> {
    let device = device().await?;
    let connections = connection("bare", "modbus-registers", "")
        + &connection("boiler", "modbus-registers", &tcp("boiler", "tcp", &device));
    let output = Site::new(&connections)?.command(["check"]).await?.expect_code(2)?;
    for text in ["connections.bare: ", "connections.boiler.transports.device.kind: ", "modbus-registers", "modbus-rtu"]
    {
        ensure!(output.stderr.contains(text), "`{text}` is missing: {output}");
    }
    Ok(())
}

/// The adapter without what it says of itself, as one that was not made with the SDK: the same bytes, but the section's
/// name is another.
fn adapter_that_says_nothing() -> Result<Vec<u8>> {
    let mut bytes = good_adapter()?;
    let mut renamed = 0;
    for place in 0..bytes.len().saturating_sub(SECTION_NAMES.len()) {
        if bytes[place..].starts_with(SECTION_NAMES) {
            bytes[place] = b'x';
            renamed += 1;
        }
    }
    ensure!(renamed > 0, "the adapter has no section named {}", String::from_utf8_lossy(SECTION_NAMES));
    Ok(bytes)
}

/// What the names of such sections begin with.
const SECTION_NAMES: &[u8] = b"bulkhead:settings-schema";

#[tokio::test]
async fn an_import_without_a_grant_is_named_and_costs_its_own_connection_only() -> Result<()> {
    let device = device().await?;
    let connections = connection("bare", "mute", "")
        + &connection("boiler", "mute", &tcp("boiler", "tcp", &device))
        + &connection("pump", "modbus-registers", &tcp("pump", "modbus-tcp", &device));
    let gateway = site_with(&[("mute.wasm", &adapter_that_says_nothing()?)], &connections)?.run().await?;
    for name in ["bare", "boiler"] {
        let failed = gateway.connection(name, "its failure", |connection| connection.state == "failed").await?;
        let reason = failed.reason.unwrap_or_default();
        for text in [name, "mute", "bulkhead:adapter/modbus", "modbus-tcp or modbus-rtu"] {
            ensure!(reason.contains(text), "`{text}` is missing: {reason}");
        }
        gateway.journal.wait_for_texts(&["ERROR", name, "bulkhead:adapter/modbus"]).await?;
    }
    gateway.reading("the granted connection", |reading| reading.is_of("pump/level") && reading.is_good()).await?;
    let readings = gateway.api.readings().await?;
    ensure!(readings.iter().all(|reading| reading.connection == "pump"), "invented: {readings:?}");
    gateway.terminate().await?;
    Ok(())
}
