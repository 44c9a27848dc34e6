//! What the gateway asks a Modbus device: merged, bounded, each group at its own pace, writes between reads.

use anyhow::{Context, Result, ensure};
use bulkhead_simulators::modbus::{Bank, BankLayout, Device, Fault, Table};
use bulkhead_tests::{Gateway, within};
use serde_json::json;
use std::time::Duration;

fn connection(device: &Device, head: &str, transport: &str, points: &str) -> String {
    let address = device.address();
    format!(
        "[connections.plc]\nadapter = \"modbus-registers\"\n{head}\n\n[connections.plc.transports.device]\n\
         kind = \"modbus-tcp\"\naddress = \"{address}\"\ntimeout_ms = 10000\n{transport}\n\n[connections.plc.settings]\npoints = [\n{points}]\n"
    )
}

fn points(table: &str, addresses: impl Iterator<Item = u16>) -> String {
    addresses
        .map(|address| format!("{{ name = \"{table}-{address}\", table = \"{table}\", address = {address} }},\n"))
        .collect()
}

/// One poll of everything; an interval of a day leaves it at that.
const ONCE: &str = "poll_interval_ms = 86400000";

async fn requests_of_one_poll(transport: &str, points: &str) -> Result<u64> {
    let bank = Bank::new(BankLayout::uniform(5000));
    let device = Device::builder().unit(1, bank).start().await?;
    let gateway = Gateway::start(&connection(&device, ONCE, transport, points)).await?;
    let declared = points.lines().count() as u64;
    gateway.connection("plc", "one poll", |plc| plc.counters["readings"] == declared).await?;
    let requests = device.counters().requests();
    gateway.terminate().await?;
    Ok(requests)
}

#[tokio::test]
async fn neighbours_are_read_together_up_to_what_the_standard_allows() -> Result<()> {
    let many = points("holding-register", 0..250) + &points("coil", 0..4000);
    // 250 registers in requests of 125, 4000 bits in requests of 2000.
    ensure!(requests_of_one_poll("", &many).await? == 4);
    Ok(())
}

#[tokio::test]
async fn a_small_gap_is_read_over_and_a_large_one_is_not() -> Result<()> {
    let scattered = points("holding-register", [0, 9, 100, 110].into_iter());
    // Eight unused registers lie between 0 and 9, nine between 100 and 110.
    ensure!(requests_of_one_poll("", &scattered).await? == 3);
    ensure!(requests_of_one_poll("gap_fill_registers = 0", &scattered).await? == 4);
    ensure!(requests_of_one_poll("max_read_registers = 5", &points("holding-register", 0..20)).await? == 4);
    Ok(())
}

#[tokio::test]
async fn each_group_has_its_own_pace_and_reads_only_its_own() -> Result<()> {
    let bank = Bank::new(BankLayout::uniform(50));
    bank.count_reads(Table::HoldingRegister);
    let device = Device::builder().unit(1, bank.clone()).start().await?;
    let groups = "\n[connections.plc.poll_groups.fast]\ninterval_ms = 20\n\n[connections.plc.poll_groups.daily]\ninterval_ms = 86400000";
    let points = r#"
  { name = "fast", table = "holding-register", address = 9, group = "fast" },
  { name = "daily", table = "holding-register", address = 10, group = "daily" },
  { name = "minutely", table = "holding-register", address = 11 },
"#;
    let gateway =
        Gateway::start(&connection(&device, &format!("poll_interval_ms = 60000{groups}"), "", points)).await?;
    gateway.connection("plc", "twenty polls", |plc| plc.counters["polls"] >= 20).await?;
    let reads = bank.reads(Table::HoldingRegister);
    ensure!(reads[9] >= 17 && reads[10] == 1 && reads[11] == 1, "{:?}", &reads[8..13]);
    ensure!(reads[8] == 0 && reads[12] == 0, "registers nobody asked for were read: {:?}", &reads[8..13]);
    gateway.terminate().await?;
    Ok(())
}

#[tokio::test]
async fn a_write_goes_between_two_requests_of_a_poll() -> Result<()> {
    let bank = Bank::new(BankLayout::uniform(2000));
    let device = Device::builder().unit(1, bank.clone()).start().await?;
    // Forty requests a poll, each of them slow: more than four seconds.
    device.faults().always(Fault::Delay(Duration::from_millis(100)));
    let slow = points("holding-register", (0..1600).step_by(40));
    let setpoint =
        "{ name = \"setpoint\", table = \"holding-register\", address = 1900, writable = true, group = \"rare\" },\n";
    let groups = format!("{ONCE}\n\n[connections.plc.poll_groups.rare]\ninterval_ms = 86400000");
    let config = connection(&device, &groups, "allow_write = [\"holding-register:1900\"]", &(slow + setpoint));
    let gateway = Gateway::start(&config).await?;
    let counters = device.counters();
    // In the middle of the long poll, whichever group came first.
    within("the poll to be on its way", counters.wait_until(|counters| counters.requests() >= 5)).await?;
    let before = counters.requests();
    let value = json!(77);
    let write = gateway.api.write("plc", "setpoint", &value);
    let arrived = async {
        within("the write", bank.wait_for(Table::HoldingRegister, 1900, 1, |words| words == [77])).await??;
        anyhow::Ok(counters.requests())
    };
    let (written, arrived) = tokio::join!(write, arrived);
    let waited = arrived? - before;
    ensure!(waited <= 5, "the write waited for {waited} requests");
    let written = written?.map_err(|refusal| anyhow::anyhow!("{refusal:?}"))?;
    ensure!(written.read_back.context("nothing was read back")?["value"] == value);
    gateway.terminate().await?;
    Ok(())
}
