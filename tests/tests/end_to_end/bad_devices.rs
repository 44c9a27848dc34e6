//! Devices that are absent, refuse or answer nonsense: what is Bad is said once, with the reason; everything else runs on.

use anyhow::{Context, Result, ensure};
use bulkhead_simulators::Pty;
use bulkhead_simulators::modbus::{
    Bank, BankLayout, DEFAULT_SILENT_INTERVAL, Device, Fault, FaultRule, RtuDevice, Table, exception,
};
use bulkhead_tests::{Gateway, Reading, Site, within};
use serde_json::json;
use std::time::Duration;

/// A connection that reads holding registers, one point each, named by their addresses.
fn connection(name: &str, transport: &str, registers: &[u16]) -> String {
    let points: String = registers
        .iter()
        .map(|address| format!("  {{ name = \"r{address}\", table = \"holding-register\", address = {address} }},\n"))
        .collect();
    format!(
        "[connections.{name}]\nadapter = \"modbus-registers\"\npoll_interval_ms = 50\nheartbeat_s = 1\n\n\
         [connections.{name}.transports.device]\n{transport}\n\n\
         [connections.{name}.settings]\npoints = [\n{points}]\n\n"
    )
}

/// Waits for the device generously, because the machine may be busy.
fn tcp(device: &Device) -> String {
    tcp_within(device, 2000)
}

fn tcp_within(device: &Device, timeout_ms: u32) -> String {
    format!(
        "kind = \"modbus-tcp\"\naddress = \"{}\"\ntimeout_ms = {timeout_ms}\n\
         reconnect = {{ first_ms = 20, max_ms = 50 }}",
        device.address()
    )
}

/// A bank in which each register holds ten times its address plus one, so that a shifted value shows.
fn numbered_bank(layout: BankLayout) -> Result<Bank> {
    let bank = Bank::new(layout);
    for address in 0..100 {
        // Addresses outside the layout stay what they are: absent.
        _ = bank.set(Table::HoldingRegister, address, &[value_of(address)]);
    }
    Ok(bank)
}

fn value_of(address: u16) -> u16 {
    address * 10 + 1
}

async fn numbered_device() -> Result<Device> {
    let bank = numbered_bank(BankLayout::uniform(100))?;
    Ok(Device::builder().unit(1, bank).start().await?)
}

/// Fails if a reading with a value has another than its register holds, or a Bad one has any.
fn nothing_is_invented(readings: &[Reading]) -> Result<()> {
    for reading in readings {
        let address: u16 = reading.point.trim_start_matches('r').parse()?;
        let right = if reading.is_good() { json!(value_of(address)) } else { json!(null) };
        ensure!(reading.value == right, "expected {right}: {reading:?}");
    }
    Ok(())
}

#[tokio::test]
async fn an_absent_device_is_told_once_and_each_heartbeat_until_it_comes() -> Result<()> {
    let mut absent = numbered_device().await?;
    let present = numbered_device().await?;
    absent.stop().await;
    let config = connection("boiler", &tcp(&absent), &[1, 2]) + &connection("pump", &tcp(&present), &[3]);
    let gateway = Gateway::start(&config).await?;

    let mut events = gateway.events().await?;
    let first = events.until("the outage of boiler/r1", |reading| reading.is_of("boiler/r1")).await?;
    ensure!(first.status_name == "BadNotConnected" && first.value.is_null(), "{first:?}");
    let again = events.until("the outage's heartbeat", |reading| reading.is_of("boiler/r1")).await?;
    ensure!(again.status_name == first.status_name, "{again:?}");
    let between = moment(&again.time)?.duration_since(moment(&first.time)?);
    ensure!(between.as_millis() >= 900, "one a cycle, not one a heartbeat: {first:?} {again:?}");
    let polls = gateway.api.connection("boiler").await?.counters["polls"];
    ensure!(polls >= 4, "the device was polled only {polls} times");

    let boiler = gateway.connection("boiler", "the reason", |boiler| boiler.transports[0].state == "down").await?;
    let reason = boiler.transports[0].reason.clone().context("the transport says no reason")?;
    ensure!(reason.contains(&absent.address().to_string()), "{reason}");
    gateway.journal.wait_for_texts(&["WARN", "boiler", &absent.address().to_string(), "refused"]).await?;
    ensure!(gateway.api.connection("pump").await?.faults.is_empty(), "the other connection suffered");
    gateway.connection("boiler", "forty polls", |boiler| boiler.counters["polls"] >= 40).await?;
    let said = gateway.journal.all().iter().filter(|line| line.contains("code=\"not-connected\"")).count();
    ensure!(said == 1, "{said} lines for one outage{}", gateway.situation());

    absent.restart().await?;
    let back =
        events.until("boiler/r1 to come back", |reading| reading.is_of("boiler/r1") && reading.is_good()).await?;
    let readings = gateway.api.readings().await?;
    nothing_is_invented(&readings)?;
    let later =
        readings.iter().find(|reading| reading.connection == "boiler" && reading.seq > back.seq && !reading.is_good());
    ensure!(later.is_none_or(|reading| reading.point == "r2"), "Bad after it came back: {later:?}");
    ensure!(readings.iter().all(|reading| reading.connection != "pump" || reading.is_good()));
    gateway.terminate().await?;
    Ok(())
}

fn moment(time: &str) -> Result<jiff::Timestamp> {
    Ok(time.parse()?)
}

#[tokio::test]
async fn a_refused_register_inside_a_merged_read_is_bad_alone() -> Result<()> {
    let bank = numbered_bank(BankLayout::uniform(100).holding([0..10, 11..20]))?;
    let device = Device::builder().unit(1, bank).start().await?;
    let gateway = Gateway::start(&connection("boiler", &tcp(&device), &[7, 8, 9, 10, 11, 12])).await?;
    let bad = gateway.reading("the refused register", |reading| reading.is_of("boiler/r10")).await?;
    ensure!(bad.status_name == "BadNodeIdUnknown", "{bad:?}");
    let mut events = gateway.events().await?;
    for _ in 0..10 {
        events.until("the last neighbour", |reading| reading.is_of("boiler/r12")).await?;
    }
    let readings = gateway.api.readings().await?;
    nothing_is_invented(&readings)?;
    for neighbour in ["r7", "r8", "r9", "r11", "r12"] {
        let of_it: Vec<&Reading> = readings.iter().filter(|reading| reading.point == neighbour).collect();
        ensure!(of_it.len() >= 10, "{neighbour} was lost: {} readings", of_it.len());
        ensure!(of_it.iter().all(|reading| reading.is_good()), "{neighbour} is Bad: {of_it:?}");
    }
    let fault = gateway.api.connection("boiler").await?.last_fault.context("no fault was kept")?;
    ensure!(fault.point.as_deref() == Some("r10") && fault.code == "illegal-data-address", "{fault:?}");
    gateway.journal.wait_for_texts(&["boiler", "r10", "holding-register 10"]).await?;
    gateway.terminate().await?;
    Ok(())
}

/// As long as the fault lets a test wait.
fn timeout_ms(fault: Fault) -> u32 {
    match fault {
        Fault::Late(_) => 200,
        Fault::Garbage | Fault::WrongTransaction => 500,
        _ => 2000,
    }
}

/// One fault in the middle of many polls: the points are Bad with this status, then Good again, with their own values.
async fn survives(fault: Fault, times: u32, statuses: &[&str]) -> Result<()> {
    let device = numbered_device().await?;
    // Two requests a poll, equally long: an answer that is taken for the other one's shows.
    let transport = format!("{}\ngap_fill_registers = 0", tcp_within(&device, timeout_ms(fault)));
    let config =
        connection("boiler", &transport, &[1, 50]) + &connection("pump", &tcp(&numbered_device().await?), &[3]);
    let gateway = Gateway::start(&config).await?;
    let mut events = gateway.events().await?;
    events.until("a first value", |reading| reading.is_of("boiler/r1") && reading.is_good()).await?;
    device.faults().next(fault, times);
    let bad =
        events.until("the fault's status", |reading| reading.connection == "boiler" && !reading.is_good()).await?;
    ensure!(statuses.contains(&bad.status_name.as_str()), "{bad:?}");
    for point in ["boiler/r1", "boiler/r50"] {
        events.until("a value afterwards", |reading| reading.is_of(point) && reading.is_good()).await?;
    }
    let polls = gateway.api.connection("boiler").await?.counters["polls"];
    gateway.connection("boiler", "ten polls more", |boiler| boiler.counters["polls"] >= polls + 10).await?;
    nothing_is_invented(&gateway.api.readings().await?)?;
    let boiler = gateway.api.connection("boiler").await?;
    let last = boiler.last_fault.context("no fault was kept")?;
    ensure!(!last.message.is_empty() && boiler.state == "running", "{last:?} {}", boiler.state);
    gateway.journal.wait_for_texts(&["boiler", last.code.as_str()]).await?;
    gateway.terminate().await?;
    Ok(())
}

#[tokio::test]
async fn a_torn_frame_shifts_nothing() -> Result<()> {
    survives(Fault::Torn, 2, &["BadCommunicationError", "BadNotConnected"]).await
}

#[tokio::test]
async fn a_late_answer_shifts_nothing() -> Result<()> {
    survives(Fault::Late(Duration::from_millis(300)), 3, &["BadTimeout"]).await
}

#[tokio::test]
async fn bytes_that_are_no_frame_shift_nothing() -> Result<()> {
    survives(Fault::Garbage, 2, &["BadCommunicationError", "BadDecodingError", "BadNotConnected", "BadTimeout"]).await
}

#[tokio::test]
async fn an_answer_to_a_question_nobody_asked_shifts_nothing() -> Result<()> {
    survives(Fault::WrongTransaction, 2, &["BadCommunicationError", "BadDecodingError", "BadTimeout"]).await
}

#[tokio::test]
async fn a_closed_connection_is_opened_again() -> Result<()> {
    survives(Fault::Close, 2, &["BadCommunicationError", "BadNotConnected"]).await
}

#[tokio::test]
async fn a_device_that_says_it_has_failed_is_told_from_one_that_is_silent() -> Result<()> {
    survives(Fault::Exception(exception::SERVER_DEVICE_FAILURE), 4, &["BadDeviceFailure"]).await
}

#[tokio::test]
async fn a_late_answer_on_a_serial_bus_shifts_nothing() -> Result<()> {
    let pty = Pty::open()?;
    let bank = numbered_bank(BankLayout::uniform(100))?;
    let device = RtuDevice::serve(pty.master, [(1, bank.clone()), (2, bank)], DEFAULT_SILENT_INTERVAL);
    let transport = |unit: u8| {
        let port = pty.path.display();
        format!("kind = \"modbus-rtu\"\nport = \"{port}\"\ntimeout_ms = 200\nunit_id = {unit}\ngap_fill_registers = 0")
    };
    let config = connection("boiler", &transport(1), &[1, 50]) + &connection("pump", &transport(2), &[3, 70]);
    let gateway = Gateway::start(&config).await?;
    let mut events = gateway.events().await?;
    for point in ["boiler/r50", "pump/r70"] {
        events.until("a first value", |reading| reading.is_of(point) && reading.is_good()).await?;
    }
    let late = Fault::Late(Duration::from_millis(250));
    device.faults().add(FaultRule { times: Some(4), unit: Some(1), ..late.into() });
    let bad = events.until("the timeout", |reading| reading.connection == "boiler" && !reading.is_good()).await?;
    ensure!(bad.status_name == "BadTimeout", "{bad:?}");
    for point in ["boiler/r1", "boiler/r50", "pump/r3", "pump/r70"] {
        events.until("a value afterwards", |reading| reading.is_of(point) && reading.is_good()).await?;
    }
    let polls = gateway.api.connection("pump").await?.counters["polls"];
    gateway.connection("pump", "ten polls more", |pump| pump.counters["polls"] >= polls + 10).await?;
    nothing_is_invented(&gateway.api.readings().await?)?;
    gateway.terminate().await?;
    Ok(())
}

#[tokio::test]
async fn a_serial_line_that_is_not_there_is_told_and_used_when_it_comes() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let port = folder.path().join("ttyUSB0");
    let transport = format!(
        "kind = \"modbus-rtu\"\nport = \"{}\"\ntimeout_ms = 300\nreconnect = {{ first_ms = 20, max_ms = 50 }}",
        port.display()
    );
    let gateway = Gateway::start(&connection("boiler", &transport, &[1, 50])).await?;
    let bad = gateway.reading("the outage", |reading| reading.is_of("boiler/r50")).await?;
    ensure!(bad.status_name == "BadNotConnected", "{bad:?}");
    gateway.journal.wait_for_texts(&["boiler", "ttyUSB0", "No such file"]).await?;

    let pty = Pty::open()?;
    let bank = numbered_bank(BankLayout::uniform(100))?;
    let _device = RtuDevice::serve(pty.master, [(1, bank)], DEFAULT_SILENT_INTERVAL);
    std::os::unix::fs::symlink(&pty.path, &port)?;
    gateway.reading("a value", |reading| reading.is_of("boiler/r50") && reading.is_good()).await?;
    nothing_is_invented(&gateway.api.readings().await?)?;
    gateway.terminate().await?;
    Ok(())
}

#[tokio::test]
async fn one_bus_has_one_speed() -> Result<()> {
    let pty = Pty::open()?;
    let bank = numbered_bank(BankLayout::uniform(100))?;
    let _device = RtuDevice::serve(pty.master, [(1, bank)], DEFAULT_SILENT_INTERVAL);
    let transport = |baud: u32| format!("kind = \"modbus-rtu\"\nport = \"{}\"\nbaud = {baud}", pty.path.display());
    let config = connection("boiler", &transport(9600), &[1]) + &connection("pump", &transport(19200), &[1]);
    let output = Site::new(&config)?.command(["check"]).await?.expect_code(2)?;
    for text in ["boiler", "pump", "9600", "19200"] {
        ensure!(output.stderr.contains(text), "`{text}` is missing: {output}");
    }
    Ok(())
}

#[tokio::test]
async fn a_silent_device_does_not_hold_up_the_end() -> Result<()> {
    let device = numbered_device().await?;
    device.faults().always(Fault::DropAnswer);
    let transport = format!("kind = \"modbus-tcp\"\naddress = \"{}\"\ntimeout_ms = 60000", device.address());
    let gateway = Gateway::start(&connection("boiler", &transport, &[1])).await?;
    within("a request on its way", device.counters().wait_until(|counters| counters.requests() >= 1)).await?;
    gateway.terminate().await?;
    Ok(())
}
