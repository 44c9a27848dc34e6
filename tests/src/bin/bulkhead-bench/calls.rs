//! What a call into a guest costs, and a reading on its way out of one and into one.

use crate::figure::Figure;
use crate::hand_modbus::now_ns;
use crate::instantly::{guest, guest_seen};
use crate::place::{Place, subject};
use anyhow::{Result, anyhow, ensure};
use bulkhead_sandbox::tap::{Kinds, Tap};
use bulkhead_sandbox::{CodeKind, Guest, wit};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Readings of a large call.
const READINGS: u32 = 1_000;
/// Time over which each kind of call is repeated.
const TIME: Duration = Duration::from_millis(500);

/// What a call that does nothing may cost.
const EMPTY_MAX_NS: f64 = 1_000.0;

/// The figures.
pub(crate) fn measure(place: &Place) -> Result<Vec<Figure>> {
    subject()?.block_on(async {
        // A listener that gets no frames does nothing.
        let topics = json!({ "topics": [{ "filter": "#", "points": [{ "path": "value" }] }] });
        let mut listener = adapter(place, "mqtt-json", &topics)?;
        let empty = time!(listener.receive("broker", &[]));
        let tap = Tap::default();
        let seen = place.adapters.join("mqtt-json.wasm");
        let mut seen = guest_seen(place, &seen, CodeKind::Native, &topics, tap.clone())?;
        let mut looking_on = tap.listen(Kinds::ALL);
        let reader = tokio::spawn(async move {
            loop {
                _ = looking_on.next().await;
            }
        });
        let empty_seen = time!(seen.receive("broker", &[]));
        reader.abort();
        let one = time_of_polls(place, 1).await?;
        let many = time_of_polls(place, READINGS).await?;
        let one_in = time_of_deliveries(place, 1).await?;
        let many_in = time_of_deliveries(place, READINGS).await?;
        let each = |one: f64, many: f64| (many - one) / f64::from(READINGS - 1);
        Ok(vec![
            Figure::of("calls-empty", empty, "ns").at_most(EMPTY_MAX_NS),
            Figure::of("calls-empty-while-tapped", empty_seen, "ns"),
            Figure::of("calls-reading-out", each(one, many), "ns/reading"),
            Figure::of("calls-reading-in", each(one_in, many_in), "ns/reading"),
        ])
    })
}

/// Nanoseconds of a call, repeated for [`TIME`]; every call must work.
macro_rules! time {
    ($call:expr) => {{
        $call.await.map_err(|error| anyhow!("the guest's call failed: {error}"))?;
        let (start, mut calls) = (Instant::now(), 0_u32);
        while start.elapsed() < TIME {
            $call.await.map_err(|error| anyhow!("the guest's call failed: {error}"))?;
            calls += 1;
        }
        start.elapsed().as_nanos() as f64 / f64::from(calls)
    }};
}
use time;

/// One poll of so many registers, whose device answers at once: decoding included.
async fn time_of_polls(place: &Place, registers: u32) -> Result<f64> {
    let points: Vec<Value> = (0..registers)
        .map(|register| json!({ "name": format!("r{register}"), "table": "holding-register", "address": register }))
        .collect();
    let mut guest = adapter(place, "modbus-registers", &json!({ "points": points }))?;
    let readings = guest.poll("default").await.map_err(|error| anyhow!("the poll failed: {error}"))?;
    ensure!(readings.len() == registers as usize && readings.iter().all(|reading| reading.status.is_good()));
    Ok(time!(guest.poll("default")))
}

/// One delivery of so many readings to a server that answers at once, with a body that does not look at them.
async fn time_of_deliveries(place: &Place, readings: u32) -> Result<f64> {
    let mut guest = adapter(place, "http-json", &json!({ "body": "{}" }))?;
    let point = wit::BatchPoint {
        connection: "boiler".into(),
        name: "flow_temp".into(),
        kind: wit::Kind::Real,
        unit: None,
        description: None,
    };
    let entry = |seq: u32| wit::Entry {
        seq: seq.into(),
        reading: wit::Reading {
            point: 0,
            time: Some(now_ns()),
            status: 0,
            value: Some(wit::Value::Real(f64::from(seq))),
        },
    };
    let (key, route) = ("key".to_owned(), "route".to_owned());
    let batch = wit::Batch { key, route, points: vec![point], entries: (0..readings).map(entry).collect() };
    let outcome = guest.deliver(&batch).await.map_err(|error| anyhow!("the delivery failed: {error}"))?;
    ensure!(outcome.accepted == readings, "{} of {readings} readings were accepted", outcome.accepted);
    Ok(time!(guest.deliver(&batch)))
}

fn adapter(place: &Place, name: &str, settings: &Value) -> Result<Guest> {
    guest(place, &place.adapters.join(format!("{name}.wasm")), CodeKind::Native, settings)
}
