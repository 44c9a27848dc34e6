//! The whole adapter on a scripted device: polls, refusals, writes, `check`, and its settings.
#![allow(clippy::unwrap_used, reason = "a test that fails is what it is for")]

use bulkhead_sdk::modbus::Table::{Coil, HoldingRegister, InputRegister};
use bulkhead_sdk::testing::{self, Host, Running, Seen};
use bulkhead_sdk::{Fault, Kind, Status, Value};
use modbus_registers::ModbusRegisters;
use modbus_registers::settings::Settings;
use serde_json::{Value as Json, json};

fn boiler() -> Json {
    json!({
        "read_modify_write": true,
        "points": [
            {"name": "flow_temp", "table": "holding-register", "address": 100, "type": "f32", "unit": "°C"},
            {"name": "pump", "table": "coil", "address": 3, "writable": true},
            {"name": "setpoint", "table": "holding-register", "address": 110, "type": "i16", "scale": 0.1,
             "writable": {"min": 5, "max": 90}},
            {"name": "alarm", "table": "holding-register", "address": 111, "bit": 2, "writable": true},
            {"name": "warning", "table": "holding-register", "address": 111, "bit": 3},
            {"name": "hours", "table": "input-register", "address": 7, "type": "u32", "group": "slow"},
        ],
    })
}

fn start(settings: Json) -> (Host, Running<ModbusRegisters>) {
    let host = Host::install();
    host.set_registers(HoldingRegister, 100, &[0x4276, 0]);
    host.set_registers(HoldingRegister, 110, &[615, 0b0100]);
    host.set_registers(InputRegister, 7, &[1, 2]);
    host.set_registers(Coil, 3, &[1]);
    (host, testing::start(settings).unwrap())
}

fn value(readings: &[Seen], name: &str) -> (Option<Value>, Status) {
    let reading = readings.iter().find(|reading| reading.name == name).unwrap();
    (reading.value.clone(), reading.status)
}

#[test]
fn a_group_is_read_in_one_call_in_the_order_of_addresses() {
    let (host, mut boiler) = start(boiler());
    let readings = boiler.poll("default").unwrap();
    assert_eq!(readings.len(), 5);
    assert_eq!(value(&readings, "flow_temp"), (Some(Value::Real(61.5)), Status::GOOD));
    assert_eq!(value(&readings, "pump"), (Some(Value::Boolean(true)), Status::GOOD));
    assert_eq!(value(&readings, "setpoint"), (Some(Value::Real(61.5)), Status::GOOD));
    assert_eq!(value(&readings, "alarm"), (Some(Value::Boolean(true)), Status::GOOD));
    assert_eq!(value(&readings, "warning"), (Some(Value::Boolean(false)), Status::GOOD));
    let reads = host.modbus_reads();
    let spans: Vec<_> = reads[0].iter().map(|span| (span.table, span.address, span.count)).collect();
    assert_eq!(
        spans,
        [(Coil, 3, 1), (HoldingRegister, 100, 2), (HoldingRegister, 110, 1), (HoldingRegister, 111, 1)],
        "both bits share the span of their register"
    );
    assert_eq!(value(&boiler.poll("slow").unwrap(), "hours"), (Some(Value::Integer(65_538)), Status::GOOD));
    assert_eq!(boiler.poll("nobody's").unwrap(), []);
    assert_eq!(host.declare_calls(), 1, "points are declared once, at start");
}

#[test]
fn points_are_declared_with_kind_unit_group_and_limits() {
    let (host, _boiler) = start(boiler());
    let points = host.points();
    let of = |name: &str| points.iter().find(|point| point.name == name).unwrap();
    assert_eq!((of("flow_temp").kind, of("flow_temp").unit.as_deref()), (Kind::Real, Some("°C")));
    assert_eq!((of("hours").kind, of("hours").group.as_deref()), (Kind::Integer, Some("slow")));
    assert_eq!(of("setpoint").write.map(|limits| (limits.min, limits.max)), Some((Some(5.0), Some(90.0))));
    assert_eq!(of("flow_temp").write, None);
}

#[test]
fn a_refused_register_is_bad_alone_and_reported_once() {
    let (host, mut boiler) = start(boiler());
    host.fail_register(HoldingRegister, 110, Fault::reject("illegal-data-address", "exception 2"));
    for _ in 0..3 {
        let readings = boiler.poll("default").unwrap();
        assert_eq!(value(&readings, "setpoint"), (None, Status::BAD_NODE_ID_UNKNOWN));
        assert_eq!(value(&readings, "flow_temp"), (Some(Value::Real(61.5)), Status::GOOD));
        assert_eq!(value(&readings, "warning"), (Some(Value::Boolean(false)), Status::GOOD));
    }
    let reports = host.reports();
    assert_eq!(reports.len(), 1);
    assert_eq!((reports[0].0.as_deref(), reports[0].1.code.as_str()), (Some("setpoint"), "illegal-data-address"));
}

#[test]
fn faults_of_spans_become_the_status_they_mean() {
    for (code, status) in [
        ("timeout", Status::BAD_TIMEOUT),
        ("not-connected", Status::BAD_NOT_CONNECTED),
        ("not-granted", Status::BAD_CONFIGURATION_ERROR),
        ("device-failure", Status::BAD_DEVICE_FAILURE),
        ("something-new", Status::BAD_COMMUNICATION_ERROR),
    ] {
        let (host, mut boiler) = start(boiler());
        host.fail_register(Coil, 3, Fault::retry(code, "because"));
        assert_eq!(value(&boiler.poll("default").unwrap(), "pump"), (None, status), "{code}");
    }
}

#[test]
fn a_value_that_is_none_is_bad_and_comes_back() {
    let (host, mut boiler) = start(boiler());
    host.set_registers(HoldingRegister, 100, &[0x7FC0, 0]);
    assert_eq!(value(&boiler.poll("default").unwrap(), "flow_temp"), (None, Status::BAD_NO_DATA));
    host.set_registers(HoldingRegister, 100, &[0x4276, 0]);
    assert_eq!(value(&boiler.poll("default").unwrap(), "flow_temp"), (Some(Value::Real(61.5)), Status::GOOD));
    assert_eq!(host.reports(), [], "the status says it all");
}

#[test]
fn a_device_that_is_away_is_a_fault_of_the_whole_call() {
    let (host, mut boiler) = start(boiler());
    host.fail_modbus(Some(Fault::reconnect("not-connected", "connection refused")));
    assert_eq!(boiler.poll("default").unwrap_err().code, "not-connected");
    assert_eq!(boiler.check().unwrap_err().code, "not-connected");
    assert_eq!(boiler.write("pump", false).unwrap_err().message, "point `pump`: connection refused");
}

#[test]
fn a_device_that_answers_to_no_span_is_a_fault_and_one_that_refuses_them_is_bad() {
    let (host, mut boiler) = start(boiler());
    host.fail_register(InputRegister, 7, Fault::retry("timeout", "no answer within 1000 ms"));
    assert_eq!(boiler.poll("slow").unwrap_err().code, "timeout");
    host.fail_register(InputRegister, 7, Fault::reject("illegal-data-address", "exception 2"));
    assert_eq!(value(&boiler.poll("slow").unwrap(), "hours"), (None, Status::BAD_NODE_ID_UNKNOWN));
}

#[test]
fn writes_change_what_the_next_poll_reads() {
    let (host, mut boiler) = start(boiler());
    boiler.write("pump", false).unwrap();
    boiler.write("setpoint", 45.5).unwrap();
    assert_eq!(host.register(Coil, 3), Some(0));
    assert_eq!(host.register(HoldingRegister, 110), Some(455));
    let readings = boiler.poll("default").unwrap();
    assert_eq!(value(&readings, "setpoint").0, Some(Value::Real(45.5)));
    assert_eq!(value(&readings, "pump").0, Some(Value::Boolean(false)));
}

#[test]
fn writing_a_bit_keeps_the_others() {
    let (host, mut boiler) = start(boiler());
    host.set_registers(HoldingRegister, 111, &[0b1100_0000_0000_1101]);
    boiler.write("alarm", false).unwrap();
    assert_eq!(host.register(HoldingRegister, 111), Some(0b1100_0000_0000_1001));
    boiler.write("alarm", true).unwrap();
    assert_eq!(host.register(HoldingRegister, 111), Some(0b1100_0000_0000_1101));
}

#[test]
fn what_cannot_be_written_names_point_and_range() {
    let (_host, mut boiler) = start(boiler());
    let fault = boiler.write("setpoint", 4000.0).unwrap_err();
    assert_eq!(fault.code, "out-of-range");
    assert!(
        fault.message.starts_with("point `setpoint`: 4000 is 40000 in the device; -32768 to 32767 fit"),
        "{fault:?}"
    );
    assert_eq!(boiler.write("flow_temp", 1.0).unwrap_err().code, "not-writable");
}

#[test]
fn check_reads_one_point_of_each_table() {
    let (host, mut boiler) = start(boiler());
    let found = boiler.check().unwrap();
    assert_eq!(
        found,
        "the device answers: holding-register 100 (`flow_temp`) is 61.5; coil 3 (`pump`) is true; \
         input-register 7 (`hours`) is 65538"
    );
    host.fail_register(Coil, 3, Fault::reject("illegal-data-address", "no such coil"));
    let fault = boiler.check().unwrap_err();
    assert_eq!(fault.code, "illegal-data-address");
    assert!(fault.message.contains("is 61.5; coil 3 (`pump`) is refused: no such coil"), "{}", fault.message);
}

#[test]
fn a_list_adds_to_the_inline_points() {
    let mut settings = boiler();
    settings["points_csv"] = json!("name;table;address;type;scale\nlevel;input-register;7;u32;0,5\n");
    let (_host, mut boiler) = start(settings);
    assert_eq!(value(&boiler.poll("default").unwrap(), "level").0, Some(Value::Real(32_769.0)));
}

#[test]
fn settings_that_do_not_fit_name_the_field() {
    for (settings, part) in [
        (
            json!({"points": [{"name": "a", "table": "coils", "address": 1}]}),
            "settings.points[0].table: unknown variant",
        ),
        (json!({"points": [{"name": "a", "adress": 1}]}), "settings.points[0].adress: unknown field `adress`"),
        (json!({"points": [{"name": "a", "table": "coil", "address": 1, "writable": "x"}]}), "expected true, false or"),
        (json!({"points_csv": "name\n"}), "no points"),
    ] {
        let _host = Host::install();
        let fault = testing::start::<ModbusRegisters>(settings).unwrap_err();
        assert_eq!(fault.code, "bad-settings");
        assert!(fault.message.contains(part), "{} ≠ {part}", fault.message);
    }
}

#[test]
fn the_schema_is_the_committed_one() {
    testing::assert_schema::<Settings>("settings.schema.json");
}

#[test]
fn the_config_in_the_readme_works() {
    let mut settings = testing::settings_in("README.md", "boiler");
    let inline = settings["points"].as_array().unwrap().len();
    // The gateway hands over the text of the file that the config names.
    settings["points_csv"] = std::fs::read_to_string("example-points.csv").unwrap().into();
    let host = Host::install();
    testing::start::<ModbusRegisters>(settings).unwrap();
    assert_eq!(host.points().len(), inline + 3);
}
