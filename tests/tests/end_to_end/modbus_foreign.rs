//! Modbus against software that others wrote: pymodbus as the device, over TCP and over a serial line by socat, and mbpoll
//! as an independent look at its registers.

use anyhow::{Context, Result, ensure};
use bulkhead_tests::{Connection, Gateway, Pymodbus, SerialPair, Site, mbpoll_registers};
use serde_json::json;

/// A connection that reads everything the pymodbus server holds; `{transport}` is its kind and address.
const POINTS: &str = r#"
points = [
  { name = "f32", table = "holding-register", address = 100, type = "f32", unit = "°C" },
  { name = "i32", table = "holding-register", address = 102, type = "i32" },
  { name = "u32", table = "holding-register", address = 104, type = "u32" },
  { name = "f64", table = "holding-register", address = 106, type = "f64" },
  { name = "i64", table = "holding-register", address = 110, type = "i64" },
  { name = "u64", table = "holding-register", address = 114, type = "u64" },
  { name = "i16", table = "holding-register", address = 118, type = "i16" },
  { name = "u16", table = "holding-register", address = 119, type = "u16" },
  { name = "name", table = "holding-register", address = 120, type = "string", length = 4 },
  { name = "setpoint", table = "holding-register", address = 200, type = "i16", scale = 0.1, writable = { min = 5, max = 90 } },
  { name = "curve", table = "holding-register", address = 202, type = "f32", word_order = "CDAB", writable = true },
  { name = "locked", table = "holding-register", address = 210, writable = true },
  { name = "pump", table = "coil", address = 1, writable = true },
  { name = "coil_0", table = "coil", address = 0 },
  { name = "input_1", table = "discrete-input", address = 1 },
  { name = "level", table = "input-register", address = 0 },
]
"#;

/// What pymodbus encodes, as the gateway must show it.
fn expected() -> Vec<(&'static str, serde_json::Value)> {
    vec![
        ("f32", json!(61.5)),
        ("i32", json!(-123_456)),
        ("u32", json!(3_000_000_000_u32)),
        ("f64", json!(-2.25)),
        ("i64", json!(-9_007_199_254_740_993_i64)),
        ("u64", json!(9_007_199_254_740_995_i64)),
        ("i16", json!(-1234)),
        ("u16", json!(54_321)),
        ("name", json!("PUMP-7 A")),
        ("setpoint", json!(0.0)),
        ("pump", json!(false)),
        ("coil_0", json!(true)),
        ("input_1", json!(true)),
        ("level", json!(4711)),
    ]
}

fn boiler(transport: &str) -> String {
    let allowed = r#"allow_write = ["holding-register:200-203", "coil:1"]"#;
    format!(
        "[connections.boiler]\nadapter = \"modbus-registers\"\npoll_interval_ms = 200\n\n\
         [connections.boiler.transports.device]\n{transport}\ntimeout_ms = 5000\n{allowed}\n\n[connections.boiler.settings]\n{POINTS}"
    )
}

fn over_tcp(device: &Pymodbus) -> String {
    boiler(&format!("kind = \"modbus-tcp\"\naddress = \"{}\"", device.address()))
}

/// Waits until every expected value was read, each Good.
async fn everything_is_read(gateway: &Gateway) -> Result<()> {
    for (point, value) in expected() {
        let name = format!("boiler/{point}");
        let reading = gateway.reading(&name, |reading| reading.is_of(&name)).await?;
        ensure!(reading.is_good() && reading.value == value, "{point}: expected {value}, read {reading:?}");
    }
    Ok(())
}

#[tokio::test]
async fn every_type_of_a_pymodbus_server_is_read_over_tcp() -> Result<()> {
    let device = Pymodbus::tcp().await?;
    let gateway = Gateway::start(&over_tcp(&device)).await?;
    everything_is_read(&gateway).await?;
    // The same registers as another master sees them.
    let seen = async |kind, address| {
        Ok::<_, anyhow::Error>(mbpoll_registers(device.port(), 1, kind, address, 1).await?[0].clone())
    };
    ensure!(seen("4:float", 100).await? == "61.5");
    ensure!(seen("4:int", 102).await? == "-123456");
    ensure!(seen("4", 118).await?.contains("(-1234)"));
    ensure!(seen("3", 0).await? == "4711");
    gateway.terminate().await?;
    Ok(())
}

#[tokio::test]
async fn what_the_gateway_writes_is_read_back_and_seen_by_mbpoll() -> Result<()> {
    let device = Pymodbus::tcp().await?;
    let gateway = Gateway::start(&over_tcp(&device)).await?;
    let port = device.port();

    let written = gateway
        .api
        .write("boiler", "setpoint", &json!(62.5))
        .await?
        .map_err(|refusal| anyhow::anyhow!("the write was refused: {refusal:?}; {}", gateway.situation()))?;
    ensure!(written.written == json!(62.5), "{written:?}");
    let back = written.read_back.context("nothing was read back")?;
    ensure!(back["value"] == json!(62.5) && back["status_name"] == "Good", "{back}");
    ensure!(mbpoll_registers(port, 1, "4", 200, 1).await? == ["625"]);

    let output = gateway.command(["write", "boiler", "setpoint", "70.5"]).await?.expect_code(0)?;
    ensure!(output.stdout.trim() == "boiler/setpoint: wrote 70.5, read back 70.5 (Good)", "{output}");
    ensure!(!output.stderr.contains("writing directly"), "{output}");
    ensure!(mbpoll_registers(port, 1, "4", 200, 1).await? == ["705"]);

    gateway.command(["write", "boiler", "curve", "--", "-1.5"]).await?.expect_code(0)?;
    // -1.5 is 0xBFC00000, the low word first.
    ensure!(mbpoll_registers(port, 1, "4:hex", 202, 2).await? == ["0x0000", "0xBFC0"]);

    let output = gateway.command(["write", "boiler", "pump", "on", "--json"]).await?.expect_code(0)?;
    let answer = output.json()?;
    ensure!(answer["written"] == json!(true) && answer["read_back"]["value"] == json!(true), "{answer}");
    ensure!(mbpoll_registers(port, 1, "0", 1, 1).await? == ["1"]);
    gateway.terminate().await?;
    Ok(())
}

#[tokio::test]
async fn without_a_running_gateway_a_write_goes_to_the_device_directly() -> Result<()> {
    let device = Pymodbus::tcp().await?;
    let site = Site::new(&over_tcp(&device))?;
    let output = site.command(["write", "boiler", "setpoint", "33.3"]).await?.expect_code(0)?;
    ensure!(output.stdout.trim() == "boiler/setpoint: wrote 33.3, read back 33.3 (Good)", "{output}");
    ensure!(output.stderr.contains("writing directly"), "{output}");
    ensure!(mbpoll_registers(device.port(), 1, "4", 200, 1).await? == ["333"]);
    ensure!(!site.path("data/log").exists(), "the command left a log behind");
    Ok(())
}

#[tokio::test]
async fn writes_that_must_not_happen_are_refused_and_leave_the_device_alone() -> Result<()> {
    let device = Pymodbus::tcp().await?;
    let gateway = Gateway::start(&over_tcp(&device)).await?;
    let refused = async |point: &str, value: serde_json::Value| -> Result<(u16, String)> {
        match gateway.api.write("boiler", point, &value).await? {
            Ok(written) => anyhow::bail!("{point} took {value}: {written:?}"),
            Err(refusal) => Ok((refusal.status, refusal.detail)),
        }
    };
    let cases = [
        ("level", json!(5), 409, &["boiler/level", "read-only"][..]),
        ("setpoint", json!(90.1), 422, &["boiler/setpoint", "90.1", "from 5 to 90"]),
        ("setpoint", json!("warm"), 422, &["boiler/setpoint", "warm"]),
        ("setpiont", json!(50), 404, &["boiler", "setpiont", "did you mean `setpoint`?"]),
        // Writable by the adapter's settings, but the transport's allow_write does not cover it.
        ("locked", json!(1), 502, &["boiler", "210", "allow_write"]),
    ];
    for (point, value, status, texts) in cases {
        let (seen, detail) = refused(point, value.clone()).await?;
        ensure!(seen == status, "{point} = {value}: expected {status}, answered {seen}: {detail}");
        for text in texts {
            ensure!(detail.contains(text), "{point} = {value}: `{text}` is missing in: {detail}");
        }
    }
    let output = gateway.command(["write", "boiler", "setpoint", "4.9"]).await?.expect_code(1)?;
    ensure!(output.stderr.contains("boiler/setpoint") && output.stderr.contains("from 5 to 90"), "{output}");
    ensure!(mbpoll_registers(device.port(), 1, "4", 200, 1).await? == ["0"]);
    ensure!(mbpoll_registers(device.port(), 1, "4", 210, 1).await? == ["0"]);
    gateway.terminate().await?;
    Ok(())
}

fn over_serial(line: &SerialPair, more: &str) -> String {
    let port = line.gateway();
    format!("kind = \"modbus-rtu\"\nport = \"{}\"\nbaud = 19200\n{more}", port.display())
}

#[tokio::test]
async fn every_type_of_a_pymodbus_server_is_read_and_written_over_a_serial_line() -> Result<()> {
    let line = SerialPair::start().await?;
    let _device = Pymodbus::rtu(&line.device()).await?;
    let gateway = Gateway::start(&boiler(&over_serial(&line, ""))).await?;
    everything_is_read(&gateway).await?;
    let output = gateway.command(["write", "boiler", "setpoint", "42"]).await?.expect_code(0)?;
    ensure!(output.stdout.contains("read back 42"), "{output}");
    gateway.terminate().await?;
    Ok(())
}

/// Timeouts of the silent unit that the test watches.
const SILENT_TIMEOUTS: u64 = 4;

#[tokio::test]
async fn a_silent_unit_on_a_shared_bus_costs_only_itself() -> Result<()> {
    let line = SerialPair::start().await?;
    let _device = Pymodbus::rtu(&line.device()).await?;
    let connection = |name: &str, unit: u8, timeout_ms: u32| {
        format!(
            "[connections.{name}]\nadapter = \"modbus-registers\"\npoll_interval_ms = 100\nheartbeat_s = 3600\n\n\
             [connections.{name}.transports.device]\n{}\n\n[connections.{name}.settings]\n\
             points = [{{ name = \"level\", table = \"input-register\", address = 0 }}]\n\n",
            over_serial(&line, &format!("unit_id = {unit}\ntimeout_ms = {timeout_ms}"))
        )
    };
    let config = connection("first", 1, 5000) + &connection("second", 2, 5000) + &connection("silent", 9, 300);
    let gateway = Gateway::start(&config).await?;
    let timeouts = |connection: &Connection| connection.transports[0].counters["timeouts_total"];
    let silent = gateway.connection("silent", "timeouts", |silent| timeouts(silent) >= SILENT_TIMEOUTS).await?;
    let asked = timeouts(&silent);
    for (name, level) in [("first", 4711), ("second", 4712)] {
        let connection = gateway.api.connection(name).await?;
        let readings = connection.counters["readings"];
        // The line is blocked for 300 ms a timeout, and between two timeouts the silent unit rests for longer and longer.
        ensure!(readings >= 2 * asked, "{name} has {readings} readings after {asked} timeouts: {connection:#?}");
        ensure!(timeouts(&connection) == 0 && connection.faults.is_empty(), "{name} suffered: {connection:#?}");
        let all = gateway.api.readings().await?;
        let wrong = all.iter().find(|reading| reading.connection == name && reading.value != json!(level));
        ensure!(wrong.is_none(), "{wrong:?}");
    }
    let outage = gateway.reading("the silent unit's outage", |reading| reading.is_of("silent/level")).await?;
    ensure!(outage.status_name == "BadTimeout" && outage.value.is_null(), "{outage:?}; {}", gateway.situation());
    gateway.journal.wait_for_texts(&["silent", "unit 9", "no answer within 300 ms"]).await?;
    gateway.terminate().await?;
    Ok(())
}
