//! `bulkhead poll`: every point of a connection once, as a table or JSON. Nothing is stored.

use super::{load_config, open_probe};
use crate::cli::PollArguments;
use crate::exit::Exit;
use crate::{console, journal};
use bulkhead_engine::ProbeReading;
use bulkhead_model::{Timestamp, Value};
use std::time::Duration;

pub(crate) async fn poll(arguments: &PollArguments) -> Result<(), Exit> {
    let asked = &arguments.connection;
    let config = load_config(&asked.config.config)?;
    journal::start_quiet();
    let mut probe = open_probe(&config, &asked.connection).await?;
    let readings =
        console::while_waiting("waiting for readings", probe.poll_once(Duration::from_secs(arguments.listen_s))).await;
    let (_, last_fault) = probe.faults();
    probe.close().await;
    let readings = readings?;
    if asked.json {
        let rows: Vec<serde_json::Value> = readings.iter().map(as_json).collect();
        console::say_json(&rows)?;
    } else {
        let rows = readings.iter().map(as_row);
        console::say_lines(&console::table(["point", "value", "unit", "status", "time"], rows));
    }
    if readings.is_empty() {
        let waited = arguments.listen_s;
        let fault = last_fault.map(|fault| format!("; its last fault: {}: {}", fault.code, fault.message));
        let message = format!(
            "connection {} brought no reading within {waited} s{}",
            asked.connection,
            fault.unwrap_or_default()
        );
        return Err(Exit::failed(message));
    }
    if let Some(fault) = last_fault.filter(|_| readings.iter().any(|read| read.reading.status.is_bad())) {
        let point = fault.point.map(|point| format!(" (point {point})")).unwrap_or_default();
        return Err(Exit::failed(format!("{}{point}: {}", fault.code, fault.message)));
    }
    Ok(())
}

fn as_row(read: &ProbeReading) -> [String; 5] {
    [
        read.point.name.clone(),
        read.reading.value.as_ref().map(Value::to_string).unwrap_or_default(),
        read.point.unit.clone().unwrap_or_default(),
        read.reading.status.to_string(),
        time(read.reading.time),
    ]
}

fn as_json(read: &ProbeReading) -> serde_json::Value {
    serde_json::json!({
        "point": read.point.name,
        "value": read.reading.value.as_ref().map(json_value),
        "unit": read.point.unit,
        "status": read.reading.status.to_string(),
        "time": time(read.reading.time),
    })
}

/// A value as JSON: numbers and booleans as such, the rest as text.
pub(super) fn json_value(value: &Value) -> serde_json::Value {
    match value {
        Value::Boolean(value) => (*value).into(),
        Value::Integer(value) => (*value).into(),
        Value::Real(value) => (*value).into(),
        other => other.to_string().into(),
    }
}

/// A moment as RFC 3339 with milliseconds, UTC.
pub(super) fn time(time: Timestamp) -> String {
    match jiff::Timestamp::from_millisecond(time.as_millis()) {
        Ok(moment) => format!("{moment:.3}"),
        Err(_) => time.0.to_string(),
    }
}
