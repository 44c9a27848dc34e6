//! `bulkhead connections`: how the connections of the running gateway do, as a table; of one everything.

use super::client::{ANSWER_MAX, GatewayClient};
use super::load_config;
use crate::cli::ConnectionsArguments;
use crate::exit::Exit;
use crate::{console, journal};
use bulkhead_model::printable;
use reqwest::Method;
use serde_json::Value as Json;
use std::fmt::Write as _;

pub(crate) async fn connections(arguments: &ConnectionsArguments) -> Result<(), Exit> {
    journal::start_quiet();
    let config = load_config(&arguments.config.config)?;
    let running = GatewayClient::new(&config, ANSWER_MAX)?;
    let mut path = vec!["api", "v1", "connections"];
    path.extend(arguments.connection.as_deref());
    let answer = running.must_answer(running.request(Method::GET, &path)?).await?.done()?;
    let shown = if arguments.connection.is_some() { &answer } else { &answer["connections"] };
    if arguments.json {
        console::say_json(shown)?;
        return Ok(());
    }
    match shown.as_array() {
        None => console::say_lines(&whole(shown)),
        Some(connections) => {
            let header =
                ["connection", "adapter", "state", "calls", "time", "core", "memory", "peak", "faults", "restarts"];
            console::say_lines(&console::table(header, connections.iter().map(row)));
        }
    }
    Ok(())
}

/// A member as it is shown, on one line.
fn text(json: &Json, member: &str) -> String {
    of_text(&json[member]).unwrap_or_default()
}

fn of_text(json: &Json) -> Option<String> {
    json.as_str().map(printable)
}

fn number(json: &Json) -> u64 {
    json.as_u64().unwrap_or_default()
}

fn row(connection: &Json) -> [String; 10] {
    let (usage, counters) = (&connection["usage"], &connection["counters"]);
    let faults: u64 = connection["faults"].as_object().into_iter().flatten().map(|(_, count)| number(count)).sum();
    [
        text(connection, "name"),
        text(connection, "adapter"),
        text(connection, "state"),
        number(&counters["calls"]).to_string(),
        time(number(&usage["computed_us"])),
        share(usage["cpu_share"].as_f64().unwrap_or_default()),
        size(number(&usage["memory_bytes"])),
        size(number(&usage["memory_peak_bytes"])),
        faults.to_string(),
        restarts(counters).to_string(),
    ]
}

/// Instances that were lost, each of which was built anew when it was needed.
fn restarts(counters: &Json) -> u64 {
    number(&counters["traps"]) + number(&counters["timeouts"])
}

/// Everything that is known of one connection.
fn whole(connection: &Json) -> String {
    let (usage, counters) = (&connection["usage"], &connection["counters"]);
    let mut shown = format!("{}: {}", text(connection, "name"), text(connection, "state"));
    if let Some(reason) = of_text(&connection["reason"]) {
        _ = write!(shown, ", {reason}");
    }
    _ = write!(shown, "\nadapter {}, {} points", text(connection, "adapter"), number(&connection["points"]));
    for transport in connection["transports"].as_array().into_iter().flatten() {
        let reason = of_text(&transport["reason"]).map(|reason| format!(": {reason}")).unwrap_or_default();
        let (role, target, state) = (text(transport, "role"), text(transport, "target"), text(transport, "state"));
        _ = write!(shown, "\n{role}: {target}, {state}{reason}");
    }
    _ = write!(
        shown,
        "\n\ncalls {}, computed {}, longest {}, {} of a core\nmemory {}, at most {}\nrestarts {} ({} crashes, {} out of time)",
        number(&counters["calls"]),
        time(number(&usage["computed_us"])),
        time(number(&usage["longest_call_us"])),
        share(usage["cpu_share"].as_f64().unwrap_or_default()),
        size(number(&usage["memory_bytes"])),
        size(number(&usage["memory_peak_bytes"])),
        restarts(counters),
        number(&counters["traps"]),
        number(&counters["timeouts"]),
    );
    for (title, counts) in [("faults by code", &connection["faults"]), ("counters", counters)] {
        let counts = counts.as_object().into_iter().flatten().filter(|(_, count)| number(count) > 0);
        let rows: Vec<[String; 2]> = counts.map(|(name, count)| [name.clone(), count.to_string()]).collect();
        if !rows.is_empty() {
            _ = write!(shown, "\n\n{}", console::table([title, "count"], rows));
        }
    }
    let fault = &connection["last_fault"];
    if !fault.is_null() {
        let point = of_text(&fault["point"]).map(|point| format!(" of {point}")).unwrap_or_default();
        let (time, code, message) = (text(fault, "time"), text(fault, "code"), text(fault, "message"));
        _ = write!(shown, "\n\nlast fault{point}, {time}: {code}: {message}");
    }
    let crash = &usage["last_crash"];
    if !crash.is_null() {
        let (time, code, message) = (text(crash, "time"), text(crash, "code"), text(crash, "message"));
        _ = write!(shown, "\n\nlast crash, {time}: {code}: {message}");
        for (depth, function) in crash["backtrace"].as_array().into_iter().flatten().enumerate() {
            _ = write!(shown, "\n  {depth:2}  {}", of_text(function).unwrap_or_default());
        }
    }
    shown
}

fn time(us: u64) -> String {
    match us {
        0..1000 => format!("{us} µs"),
        1000..1_000_000 => format!("{}.{} ms", us / 1000, us % 1000 / 100),
        _ => format!("{}.{} s", us / 1_000_000, us % 1_000_000 / 100_000),
    }
}

fn share(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", bytes / 1024),
        _ => format!("{}.{} MiB", bytes >> 20, ((bytes & 0xf_ffff) * 10) >> 20),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn connection() -> Json {
        json!({
            "name": "press", "adapter": "acme", "state": "waiting", "reason": "the adapter crashed", "points": 2,
            "transports": [{ "role": "device", "target": "tcp 127.0.0.1:4001", "state": "up", "reason": null }],
            "counters": { "calls": 12, "traps": 2, "timeouts": 1, "polls": 0 },
            "usage": {
                "computed_us": 1_500_000, "longest_call_us": 2_500, "cpu_share": 0.125, "memory_bytes": 1_310_720,
                "memory_peak_bytes": 2048,
                "last_crash": { "time": "T", "code": "trap", "message": "unreachable", "backtrace": ["poll", "export"] },
            },
            "faults": { "trap": 2, "deadline": 1 },
            "last_fault": { "time": "T", "point": null, "code": "trap", "message": "the adapter crashed" },
        })
    }

    #[test]
    fn a_row_says_what_a_connection_costs_and_how_often_it_fell() {
        let expected =
            ["press", "acme", "waiting", "12", "1.5 s", "12.5 %", "1.2 MiB", "2 KiB", "3", "3"].map(str::to_owned);
        assert_eq!(row(&connection()), expected);
    }

    #[test]
    fn a_text_of_a_device_makes_no_line_of_its_own() {
        let mut forged = connection();
        forged["last_fault"]["message"] = json!("no\nrestarts 0");
        forged["reason"] = json!("no\nadapter good");
        forged["usage"]["last_crash"]["backtrace"] = json!(["poll\nrestarts 0", "export"]);
        assert_eq!(whole(&forged).lines().count(), whole(&connection()).lines().count());
    }

    #[test]
    fn one_connection_is_told_whole_with_its_last_crash() {
        let expected = "press: waiting, the adapter crashed\nadapter acme, 2 points\ndevice: tcp 127.0.0.1:4001, up\n\n\
            calls 12, computed 1.5 s, longest 2.5 ms, 12.5 % of a core\nmemory 1.2 MiB, at most 2 KiB\n\
            restarts 3 (2 crashes, 1 out of time)\n\n\
            faults by code  count\ndeadline        1\ntrap            2\n\n\
            counters  count\ncalls     12\ntimeouts  1\ntraps     2\n\n\
            last fault, T: trap: the adapter crashed\n\n\
            last crash, T: trap: unreachable\n   0  poll\n   1  export";
        assert_eq!(whole(&connection()), expected);
    }
}
