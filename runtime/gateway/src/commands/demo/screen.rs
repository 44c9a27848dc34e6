//! What the demo shows: where to look, and the latest values as a table.

use super::devices::Devices;
use crate::commands::poll::time;
use crate::commands::run::RunningGateway;
use crate::console;
use bulkhead_model::Value;
use std::time::Duration;

/// The addresses to open.
pub(super) fn addresses(gateway: &RunningGateway, devices: &Devices) -> String {
    let base = format!("http://{}", gateway.address);
    let mut lines = vec!["Simulated:".to_owned()];
    lines.extend(devices.descriptions.iter().map(|line| format!("  {line}")));
    lines.push("Open:".to_owned());
    let pages = [
        ("/", "overview"),
        ("/api/v1/connections", "connections as JSON"),
        ("/odata/v4/LatestReadings", "latest values by OData"),
        ("/odata/v4/Readings?$filter=Connection%20eq%20'boiler'&$orderby=Seq%20desc&$top=10", "history by OData"),
        ("/metrics", "metrics for Prometheus"),
    ];
    lines.extend(pages.iter().map(|(path, what)| format!("  {base}{path}  {what}")));
    lines.join("\n")
}

/// The latest reading of every point.
pub(super) fn table(gateway: &RunningGateway) -> String {
    let log = gateway.engine.log();
    let catalogue = log.catalogue();
    let mut rows: Vec<[String; 6]> = log
        .latest_all()
        .into_iter()
        .filter_map(|row| {
            let point = catalogue.by_id(row.reading.point)?;
            Some([
                point.connection.to_string(),
                point.info.name.clone(),
                row.reading.value.as_ref().map(shown).unwrap_or_default(),
                point.info.unit.clone().unwrap_or_default(),
                row.reading.status.to_string(),
                time(row.reading.time),
            ])
        })
        .collect();
    rows.sort();
    console::table(["connection", "point", "value", "unit", "status", "time"], rows)
}

/// A value as short as a table wants it.
fn shown(value: &Value) -> String {
    match value {
        Value::Real(number) => format!("{number:.3}"),
        other => other.to_string(),
    }
}

/// What stands in the way, for people.
pub(super) fn troubles(gateway: &RunningGateway) -> String {
    let connections = gateway.engine.connections();
    let routes = gateway.engine.routes();
    let of_connections = connections.iter().filter_map(|connection| {
        let last = connection.last_fault.as_ref().map(|fault| format!("{}: {}", fault.code, fault.message));
        let reason = connection.phase.reason().map(str::to_owned).or(last)?;
        Some(format!("\n  connection {}: {reason}", connection.name))
    });
    let of_routes =
        routes.iter().filter_map(|route| Some(format!("\n  route {}: {}", route.name, route.phase.reason()?)));
    of_connections.chain(of_routes).collect()
}

/// Draws the table again and again until `end`: in place on a terminal, once in ten beats elsewhere.
pub(super) async fn show_until(
    end: impl Future<Output = ()>,
    beat: Duration,
    gateway: &RunningGateway,
    devices: &Devices,
) {
    tokio::pin!(end);
    let is_terminal = console::stdout_is_terminal();
    let mut beats = 0u32;
    loop {
        tokio::select! {
            () = &mut end => return,
            () = tokio::time::sleep(beat) => {}
        }
        beats += 1;
        let accepted = devices.upstream.stats().accepted;
        let summary = format!("{accepted} readings accepted upstream; Ctrl-C ends the demo{}", troubles(gateway));
        if is_terminal {
            console::say_on_cleared_screen(&format!(
                "{}\n\n{}\n\n{summary}",
                addresses(gateway, devices),
                table(gateway)
            ));
        } else if beats % 10 == 1 {
            console::say_lines(&format!("{}\n{summary}\n", table(gateway)));
        }
    }
}
