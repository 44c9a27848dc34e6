//! Connections that share a serial bus: one of them begins anew beside the other, and all when the line changes.

use crate::plants::with_transport;
use anyhow::{Result, ensure};
use bulkhead_simulators::Pty;
use bulkhead_simulators::modbus::{Bank, BankLayout, DEFAULT_SILENT_INTERVAL, RtuDevice};
use bulkhead_tests::Gateway;

#[tokio::test]
async fn a_shared_bus_stays_open_for_those_who_stay_and_takes_another_speed_when_all_change() -> Result<()> {
    let pty = Pty::open()?;
    let bank = Bank::new(BankLayout::uniform(100));
    let _device = RtuDevice::serve(pty.master, [(1, bank.clone()), (2, bank)], DEFAULT_SILENT_INTERVAL);
    let transport = |unit: u8, baud: u32| {
        format!("kind = \"modbus-rtu\"\nport = \"{}\"\nunit_id = {unit}\nbaud = {baud}", pty.path.display())
    };
    let plant = |baud, interval_ms| {
        with_transport("boiler", &transport(1, baud), 30) + &with_transport("pump", &transport(2, baud), interval_ms)
    };
    let gateway = Gateway::start(&plant(9600, 30)).await?;
    let text = gateway.site().config()?;
    let polling = async |name: &str| {
        gateway.connection(name, "good polls", |one| one.counters["polls"] >= 3 && one.state == "running").await
    };
    polling("pump").await?;

    gateway.site().write_file("gateway.toml", &text.replace(&plant(9600, 30), &plant(9600, 40)))?;
    let output = gateway.command(["reload"]).await?.expect_code(0)?;
    ensure!(
        output.stdout.contains("restarted: connections.pump") && output.stdout.contains("kept: connections.boiler")
    );
    polling("pump").await?;

    gateway.site().write_file("gateway.toml", &text.replace(&plant(9600, 30), &plant(19200, 40)))?;
    let output = gateway.command(["reload"]).await?.expect_code(0)?;
    ensure!(!output.stdout.contains("did not start"), "{output}");
    for name in ["boiler", "pump"] {
        polling(name).await?;
    }
    let bad: Vec<_> = gateway.api.readings().await?.into_iter().filter(|reading| !reading.is_good()).collect();
    ensure!(bad.is_empty(), "no edit is an outage: {bad:?}");
    gateway.terminate().await?;
    Ok(())
}
