//! The command line: what each command prints, leaves behind and exits with.

use anyhow::{Context, Result, ensure};
use bulkhead_simulators::modbus::{Bank, BankLayout, Device, Fault, Table};
use bulkhead_simulators::scale::{Scale, ScaleMode, Weight};
use bulkhead_simulators::upstream::{Upstream, UpstreamConfig};
use bulkhead_tests::{Gateway, Site, adapters, gateway_binary, program, run_command, within};
use serde_json::json;
use std::path::Path;
use std::time::Duration;
use tokio::process::Command;

const COMMANDS: [&str; 17] = [
    "run",
    "check",
    "reload",
    "rollback",
    "test",
    "poll",
    "write",
    "dead-letters",
    "user",
    "key",
    "audit",
    "backup",
    "restore",
    "support-bundle",
    "demo",
    "completions",
    "man",
];

/// A device whose register 10 is 615 and whose address 60 and up do not exist.
async fn device() -> Result<Device> {
    let bank = Bank::new(BankLayout::uniform(60));
    bank.set(Table::HoldingRegister, 10, &[615])?;
    Ok(Device::builder().unit(1, bank).start().await?)
}

fn boiler(device: &Device, points: &str) -> String {
    let address = device.address();
    format!(
        "[connections.boiler]\nadapter = \"modbus-registers\"\npoll_interval_ms = 100\n\n\
         [connections.boiler.transports.device]\nkind = \"modbus-tcp\"\naddress = \"{address}\"\ntimeout_ms = 5000\n\
         reconnect = {{ first_ms = 20, max_ms = 50 }}\n\n[connections.boiler.settings]\npoints = [{points}]\n\n"
    )
}

const FLOW: &str = r#"{ name = "flow", table = "holding-register", address = 10, scale = 0.1, unit = "°C" }"#;
const ABSENT: &str = r#"{ name = "absent", table = "holding-register", address = 99 }"#;

/// Nine mistakes, with the key and the line of each.
const MISTAKES: [(&str, u64); 9] = [
    ("logging.levl", 5),
    ("connections.boiler.adapter", 8),
    ("connections.boiler.poll_interval_ms", 9),
    ("connections.boiler.transports.device.unit_id", 14),
    ("connections.pump.settings.points[0].table", 24),
    ("connections.pump.settings.points[1]", 25),
    ("connections.pump.settings.points[1].adress", 25),
    ("routes.up.select[0]", 29),
    ("routes.up.to", 30),
];

fn mistaken_config() -> Result<String> {
    Ok(format!(
        r#"[gateway]
adapters_dir = "{}"

[logging]
levl = "debug"

[connections.boiler]
adapter = "modbus-registerz"
poll_interval_ms = 5

[connections.boiler.transports.device]
kind = "modbus-tcp"
address = "127.0.0.1:1"
unit_id = 300

[connections.pump]
adapter = "modbus-registers"

[connections.pump.transports.device]
kind = "modbus-tcp"
address = "127.0.0.1:1"

[connections.pump.settings]
points = [{{ name = "a", table = "holding", address = 1 }},
  {{ name = "b", table = "coil", adress = 2 }},
]

[routes.up]
select = ["boilr/*"]
to = "erp"
"#,
        adapters()?.display()
    ))
}

#[tokio::test]
async fn check_shows_every_mistake_at_once() -> Result<()> {
    let site = Site::verbatim(&mistaken_config()?)?;
    let plain = site.command(["check"]).await?.expect_code(2)?;
    ensure!(plain.stdout.is_empty(), "{plain}");
    for (key, line) in MISTAKES {
        ensure!(plain.stderr.contains(&format!("{key}: ")), "{key} is missing: {plain}");
        ensure!(plain.stderr.contains(&format!("gateway.toml:{line}:")), "line {line} of {key} is missing: {plain}");
    }
    ensure!(plain.stderr.contains("did you mean `modbus-registers`?"), "{plain}");

    let found = site.command(["check", "--json"]).await?.expect_code(2)?.json()?;
    let diagnostics = found["diagnostics"].as_array().context("no list")?;
    let seen: Vec<(&str, u64)> = diagnostics
        .iter()
        .map(|diagnostic| (diagnostic["key"].as_str().unwrap_or_default(), diagnostic["line"].as_u64().unwrap_or(0)))
        .collect();
    ensure!(seen == MISTAKES, "{seen:?}");
    ensure!(!site.path("data/log").exists(), "checking left a log behind");
    Ok(())
}

#[tokio::test]
async fn a_right_config_has_no_diagnostics() -> Result<()> {
    let site = Site::new(&boiler(&device().await?, FLOW))?;
    let found = site.command(["check", "--json"]).await?.expect_code(0)?.json()?;
    ensure!(found["diagnostics"] == json!([]), "{found}");
    Ok(())
}

#[tokio::test]
async fn a_wrong_config_does_not_run() -> Result<()> {
    let site = Site::verbatim(&mistaken_config()?)?;
    let output = site.command(["run", "--listen", "127.0.0.1:0"]).await?.expect_code(2)?;
    ensure!(
        output.stderr.contains("connections.boiler.adapter") && !output.stderr.contains("its API is at"),
        "{output}"
    );
    ensure!(!site.path("data/log").exists(), "a log was made");
    Ok(())
}

#[tokio::test]
async fn check_opens_no_socket_and_no_device() -> Result<()> {
    let device = device().await?;
    let site = Site::new(&boiler(&device, FLOW))?;
    let trace = site.path("trace");
    let mut command = Command::new(program("strace")?);
    command.args(["-f", "-e", "trace=network", "-o"]).arg(&trace).arg(gateway_binary()?);
    command.args(["check", "-c"]).arg(site.path("gateway.toml")).kill_on_drop(true);
    let output = within("the traced check", command.output()).await??;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success() && said.contains("is right (connections: 1, routes: 0)"), "{output:?}");
    let calls = std::fs::read_to_string(&trace)?;
    ensure!(calls.contains("exited with 0"), "strace saw nothing: {calls}");
    let opened: Vec<&str> =
        calls.lines().filter(|line| line.contains("socket(") || line.contains("connect(")).collect();
    ensure!(opened.is_empty(), "{opened:?}");
    ensure!(device.counters().connections() == 0);
    Ok(())
}

#[tokio::test]
async fn test_asks_the_device_itself() -> Result<()> {
    let mut device = device().await?;
    let site = Site::new(&boiler(&device, FLOW))?;
    let output = site.command(["test", "boiler"]).await?.expect_code(0)?;
    let address = device.address().to_string();
    ensure!(output.stdout.contains(&address) && output.stdout.contains("  up"), "{output}");
    ensure!(output.stdout.contains("boiler: "), "{output}");
    let found = site.command(["test", "boiler", "--json"]).await?.expect_code(0)?.json()?;
    ensure!(found["ok"] == json!(true) && found["transports"][0]["state"] == "up", "{found}");

    device.stop().await;
    let output = site.command(["test", "boiler"]).await?.expect_code(1)?;
    ensure!(output.stderr.contains("boiler") && format!("{output}").contains(&address), "{output}");

    let output = site.command(["test", "boilr"]).await?.expect_code(1)?;
    ensure!(output.stderr.contains("boilr") && output.stderr.contains("boiler"), "{output}");
    Ok(())
}

#[tokio::test]
async fn poll_prints_a_table_and_stores_nothing() -> Result<()> {
    let device = device().await?;
    let site = Site::new(&boiler(&device, FLOW))?;
    let output = site.command(["poll", "boiler"]).await?.expect_code(0)?;
    let lines: Vec<Vec<&str>> = output.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    ensure!(lines.len() == 2, "{output}");
    ensure!(lines[0] == ["point", "value", "unit", "status", "time"], "{output}");
    ensure!(lines[1][..4] == ["flow", "61.5", "°C", "Good"], "{output}");
    let rows = site.command(["poll", "boiler", "--json"]).await?.expect_code(0)?.json()?;
    ensure!(rows[0]["point"] == "flow" && rows[0]["value"] == json!(61.5) && rows[0]["status"] == "Good", "{rows}");
    let left: Vec<String> = names_in(&site.path("data"))?;
    ensure!(left == ["compiled"], "left behind: {left:?}");
    Ok(())
}

#[tokio::test]
async fn poll_shows_what_is_bad_and_fails() -> Result<()> {
    let device = device().await?;
    let site = Site::new(&boiler(&device, &format!("{FLOW}, {ABSENT}")))?;
    let output = site.command(["poll", "boiler"]).await?.expect_code(1)?;
    ensure!(output.stdout.contains("61.5") && output.stdout.contains("BadNodeIdUnknown"), "{output}");
    ensure!(output.stderr.contains("absent") && output.stderr.contains("holding-register 99"), "{output}");
    Ok(())
}

fn names_in(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

#[tokio::test]
async fn the_demo_delivers_and_ends() -> Result<()> {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../gateway-config/examples/demo.toml");
    let (config, adapters) = (config.display().to_string(), adapters()?.display().to_string());
    let arguments = ["demo", "--config", &config, "--adapters", &adapters, "--once", "100"];
    let output = run_command(arguments, None).await?.expect_code(0)?;
    ensure!(output.stdout.contains("readings were accepted upstream"), "{output}");
    for point in ["flow_temp", "press-1.temperature", "weight"] {
        ensure!(output.stdout.contains(point), "{point} is missing: {output}");
    }
    Ok(())
}

#[tokio::test]
async fn every_command_explains_itself_with_an_example() -> Result<()> {
    for command in COMMANDS {
        let output = run_command([command, "--help"], None).await?.expect_code(0)?;
        let example = format!("  bulkhead {command}");
        ensure!(output.stdout.contains("Example") && output.stdout.contains(&example), "{output}");
    }
    let output = run_command(["--help"], None).await?.expect_code(0)?;
    ensure!(output.stdout.contains("Exit codes"), "{output}");
    run_command(["no-such-command"], None).await?.expect_code(2)?;
    Ok(())
}

#[tokio::test]
async fn completions_and_man_page_name_every_command() -> Result<()> {
    for shell in ["bash", "zsh", "fish"] {
        let output = run_command(["completions", shell], None).await?.expect_code(0)?;
        let missing: Vec<&&str> = COMMANDS.iter().filter(|command| !output.stdout.contains(**command)).collect();
        ensure!(missing.is_empty(), "{shell} does not complete {missing:?}");
    }
    let page = run_command(["man"], None).await?.expect_code(0)?.stdout;
    ensure!(page.contains(".TH bulkhead 1"), "{page}");
    ensure!(
        COMMANDS.iter().all(|command| page.contains(&format!("bulkhead\\-{}", command.replace('-', "\\-")))),
        "{page}"
    );
    Ok(())
}

#[tokio::test]
async fn sigterm_ends_with_0_among_the_dead() -> Result<()> {
    let silent = device().await?;
    silent.faults().always(Fault::DropAnswer);
    let good = device().await?;
    let mut upstream = Upstream::start(UpstreamConfig::default()).await?;
    upstream.stop().await;
    let config = boiler(&silent, FLOW).replace("timeout_ms = 5000", "timeout_ms = 60000")
        + &boiler(&good, FLOW).replace("connections.boiler", "connections.pump")
        + &format!(
            "[connections.erp]\nadapter = \"http-json\"\n\n[connections.erp.transports.upstream]\nkind = \"http\"\n\
             base_url = \"{}\"\nallow_methods = [\"POST\"]\n\n[routes.up]\nselect = [\"pump/*\"]\nto = \"erp\"\nbatch_max_age_ms = 50\n\
             retry_first_ms = 50\n",
            upstream.url()
        );
    let gateway = Gateway::start(&config).await?;
    gateway.route("up", "a failed delivery", |route| route.retries >= 1).await?;
    within("a request on its way", silent.counters().wait_until(|counters| counters.requests() >= 1)).await?;
    gateway.terminate().await?;
    Ok(())
}

#[tokio::test]
async fn a_journal_of_json_names_connection_device_and_point() -> Result<()> {
    let device = device().await?;
    let config = format!("[logging]\nformat = \"json\"\n\n{}", boiler(&device, ABSENT));
    let gateway = Gateway::start(&config).await?;
    let line = gateway.journal.wait_for_texts(&["illegal-data-address"]).await?;
    let fields: serde_json::Value = serde_json::from_str(&line)?;
    ensure!(fields["connection"] == "boiler" && fields["point"] == "absent", "{fields}");
    ensure!(
        fields["device"].as_str().is_some_and(|device_name| device_name.contains(&device.address().to_string())),
        "{fields}"
    );
    let (_, journal) = gateway.terminate().await?;
    for line in journal.all() {
        serde_json::from_str::<serde_json::Value>(&line).with_context(|| format!("no JSON: {line}"))?;
    }
    Ok(())
}

#[tokio::test]
async fn a_level_of_its_own_is_for_one_connection() -> Result<()> {
    let device = device().await?;
    let quiet =
        boiler(&device, ABSENT).replace("[connections.boiler]\n", "[connections.boiler]\nlog_level = \"error\"\n");
    let loud = boiler(&device, ABSENT).replace("connections.boiler", "connections.pump");
    let gateway = Gateway::start(&(quiet + &loud)).await?;
    gateway.journal.wait_for_texts(&["connection=\"pump\"", "illegal-data-address"]).await?;
    let counted = |boiler: &bulkhead_tests::Connection| boiler.faults.contains_key("illegal-data-address");
    gateway.connection("boiler", "its fault to be counted", counted).await?;
    let (_, journal) = gateway.terminate().await?;
    let said: Vec<String> = journal.all().into_iter().filter(|line| line.contains("connection=\"boiler\"")).collect();
    ensure!(said.is_empty(), "{said:?}");
    Ok(())
}

#[tokio::test]
async fn poll_waits_for_a_device_that_speaks_by_itself() -> Result<()> {
    let weight = Weight { kilograms: 12.5, is_stable: true };
    let scale = Scale::start(ScaleMode::Continuous(Duration::from_millis(50)), weight)?;
    let site = Site::new(&format!(
        "[connections.scale]\nadapter = \"serial-text\"\n\n[connections.scale.transports.device]\nkind = \"serial\"\n\
         port = \"{}\"\nframing = {{ delimiter = \"\\r\\n\" }}\n\n[[connections.scale.settings.patterns]]\n\
         regex = '^ST,GS,(?<weight>[-+ 0-9.]+)kg$'\npoints = [{{ name = \"weight\", unit = \"kg\" }}]\n",
        scale.path().display()
    ))?;
    let rows = site.command(["poll", "scale", "--json"]).await?.expect_code(0)?.json()?;
    ensure!(rows[0]["point"] == "weight" && rows[0]["value"] == json!(12.5), "{rows}");
    Ok(())
}

#[tokio::test]
async fn a_direct_write_is_held_to_the_same_rules() -> Result<()> {
    let device = device().await?;
    let points = FLOW.replace(" }", ", writable = { min = 5, max = 90 } }");
    let site = Site::new(&boiler(&device, &points))?;
    let cases = [
        (["write", "boiler", "flwo", "50"], "did you mean `flow`?"),
        (["write", "boiler", "flow", "91"], "from 5 to 90"),
        (["write", "boiler", "flow", "50"], "allow_write"),
    ];
    for (arguments, text) in cases {
        let output = site.command(arguments).await?.expect_code(1)?;
        ensure!(output.stderr.contains("boiler") && output.stderr.contains(text), "`{text}` is missing: {output}");
    }
    ensure!(device.counters().registers_written() == 0);
    Ok(())
}

#[tokio::test]
async fn a_restart_continues_the_log() -> Result<()> {
    let device = device().await?;
    let gateway = Gateway::start(&boiler(&device, FLOW)).await?;
    let first = gateway.reading("a first value", |reading| reading.is_of("boiler/flow")).await?;
    let log = gateway.api.json("/api/v1/readings?limit=1").await?["log"].clone();
    let (site, _) = gateway.terminate().await?;
    let gateway = site.run().await?;
    ensure!(gateway.api.json("/api/v1/readings?limit=1").await?["log"] == log, "the log has another id");
    let readings = gateway.api.readings().await?;
    ensure!(readings.first() == Some(&first), "the first reading changed: {first:?} {:?}", readings.first());
    let last = readings.last().map_or(0, |reading| reading.seq);
    gateway.reading("a newer value", |reading| reading.seq > last).await?;
    let again: Vec<u64> = gateway.api.readings().await?.iter().map(|reading| reading.seq).collect();
    ensure!(again.is_sorted_by(|earlier, later| earlier < later), "{again:?}");
    gateway.terminate().await?;
    Ok(())
}

#[tokio::test]
async fn a_second_gateway_on_the_same_data_is_refused() -> Result<()> {
    let gateway = Gateway::start(&boiler(&device().await?, FLOW)).await?;
    let output = gateway.site().command(["run", "--listen", "127.0.0.1:0"]).await?.expect_code(1)?;
    ensure!(output.stderr.contains("data"), "{output}");
    gateway.terminate().await?;
    Ok(())
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() -> Result<()> {
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    let site = Site::new(&boiler(&device().await?, FLOW))?;
    let output = site.command(["run", "--listen", &address]).await?.expect_code(1)?;
    ensure!(output.stderr.contains(&address), "{output}");
    Ok(())
}

#[tokio::test]
async fn the_api_is_not_opened_to_a_network_without_a_credential() -> Result<()> {
    let site = Site::new(&boiler(&device().await?, FLOW))?;
    let output = site.command(["run", "--listen", "0.0.0.0:0"]).await?;
    ensure!(output.code.is_some_and(|code| code != 0), "{output}");
    ensure!(output.stderr.contains("credential") && output.stderr.contains("0.0.0.0"), "{output}");
    Ok(())
}
