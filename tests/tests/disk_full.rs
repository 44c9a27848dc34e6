//! A gateway whose disk fills up, with `when_full = "refuse"`: nothing is acknowledged, nothing that was sent is lost, and it
//! goes on by itself once there is room.
//!
//! The test runs once more as a child in a mount namespace of its own, where the folder for temporary files is a small tmpfs.

use anyhow::{Context, Result, ensure};
use bulkhead_simulators::modbus::{Bank, BankLayout, Device};
use bulkhead_tests::{Gateway, Mosquitto, MosquittoListener, NumberStream, Reading, http_client, until};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// Where the child finds its disk.
const CHILD_DISK: &str = "BULKHEAD_TEST_SMALL_DISK";
const DISK_BYTES: &str = "48m";
/// Normal work is back this long after space is.
const BACK_WITHIN: Duration = Duration::from_secs(5);
/// Messages sent before the disk fills up, and in all.
const BEFORE: u64 = 500;
const COUNT: u64 = 2_000;

fn config(broker: &Mosquitto, device: &Device) -> String {
    format!(
        r#"
[log]
when_full = "refuse"
reserve_bytes = 1048576

[connections.line]
adapter = "mqtt-json"

[connections.line.transports.broker]
kind = "mqtt"
address = "{}"
subscribe = ["plant/#"]

[[connections.line.settings.topics]]
filter = "plant/+line/number"
points = [{{ path = "number", type = "integer" }}]

[connections.boiler]
adapter = "modbus-registers"
poll_interval_ms = 50

[connections.boiler.transports.device]
kind = "modbus-tcp"
address = "{}"

[connections.boiler.settings]
points = [{{ name = "level", table = "holding-register", address = 1 }}]

[connections.cloud]
adapter = "webhook-json"

[[connections.cloud.settings.hooks]]
path = "/+device"
points = [{{ path = "temp" }}]
"#,
        broker.address(),
        device.address()
    )
}

/// Starts this program again, in a mount namespace with a small tmpfs.
fn run_on_a_small_disk(child: &str) -> Result<Output> {
    let disk = tempfile::tempdir()?;
    let script = r#"mount -t tmpfs -o size="$1" tmpfs "$2" && echo mounted && shift 2 && exec "$@""#;
    let run = |options: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(options).args(["sh", "-c", script, "sh", DISK_BYTES]).arg(disk.path());
        command.arg(std::env::current_exe()?).args(["--ignored", "--exact", "--nocapture", child]);
        command.env(CHILD_DISK, disk.path()).env("TMPDIR", disk.path());
        command.output().context("unshare does not start")
    };
    let output = run(&["--mount"])?;
    if output.stdout.starts_with(b"mounted") {
        return Ok(output);
    }
    run(&["--user", "--map-root-user", "--mount"])
}

/// Takes all the room that is left on a disk.
fn fill(disk: &Path) -> Result<PathBuf> {
    let path = disk.join("something-else");
    let mut file = std::fs::File::options().create(true).append(true).open(&path)?;
    let piece = [7; 4096];
    while file.write_all(&piece).is_ok() {}
    Ok(path)
}

fn numbers(readings: &[Reading]) -> Vec<u64> {
    readings
        .iter()
        .filter(|reading| reading.connection == "line")
        .filter_map(|reading| reading.value.as_u64())
        .collect()
}

/// The answer to a webhook: its status, and its `Retry-After`.
async fn post(gateway: &Gateway) -> Result<(u16, Option<String>)> {
    let request = http_client()?.post(gateway.api.url("/hooks/cloud/pump")).body(r#"{"temp":61.5}"#);
    let response = request.header("content-type", "application/json").send().await?;
    let wait = response.headers().get("retry-after").map(|wait| wait.to_str().map(str::to_owned)).transpose()?;
    Ok((response.status().as_u16(), wait))
}

#[test]
fn a_gateway_on_a_full_disk_acknowledges_nothing_and_goes_on_when_there_is_room() -> Result<()> {
    let output = run_on_a_small_disk("child_whose_disk_fills_up")?;
    let text = [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).join("\n");
    ensure!(
        output.stdout.starts_with(b"mounted"),
        "no tmpfs can be mounted here, neither as root nor in a user namespace: {text}"
    );
    ensure!(output.status.success(), "{text}");
    Ok(())
}

#[tokio::test]
#[ignore = "started by the test of this file as a child process, on a small disk"]
async fn child_whose_disk_fills_up() -> Result<()> {
    let disk = PathBuf::from(std::env::var(CHILD_DISK).context("the parent sets it")?);
    let broker = Mosquitto::start(MosquittoListener::Plain).await?;
    let bank = Bank::new(BankLayout::uniform(10));
    let device = Device::builder().unit(1, bank).start().await?;
    let gateway = Gateway::start(&config(&broker, &device)).await?;
    gateway.connection("line", "the broker to be subscribed", |line| line.transports[0].state == "up").await?;
    let stream = NumberStream::start(&broker.address(), "plant/hall7/number")?;
    stream.publish_to(BEFORE);
    gateway.reading("the last number before", |reading| reading.value.as_u64() == Some(BEFORE)).await?;
    ensure!(post(&gateway).await?.0 == 200);

    let filler = fill(&disk)?;
    stream.publish_to(COUNT);
    for name in ["line", "boiler"] {
        let is_waiting = |of: &bulkhead_tests::Connection| {
            of.state == "waiting" && of.reason.as_ref().is_some_and(|reason| reason.contains("full"))
        };
        gateway.connection(name, "the log to be full", is_waiting).await?;
    }
    gateway.connection("boiler", "polling to pause", |boiler| boiler.counters["polls_paused"] >= 5).await?;
    let (status, wait) = post(&gateway).await?;
    ensure!(status == 503 && wait.is_some(), "{status} {wait:?}");
    let polls = gateway.api.connection("boiler").await?.counters["polls"];
    gateway.connection("boiler", "more pauses", |boiler| boiler.counters["polls_paused"] >= 20).await?;
    ensure!(
        gateway.api.connection("boiler").await?.counters["polls"] == polls,
        "it polls though the log takes nothing"
    );
    let last = gateway.api.readings().await?.last().context("no readings")?.seq;

    std::fs::remove_file(filler)?;
    let freed = Instant::now();
    gateway.reading("a reading after there is room", |reading| reading.seq > last).await?;
    gateway.connection("boiler", "polling again", |boiler| boiler.counters["polls"] > polls).await?;
    gateway.connection("line", "to run again", |line| line.state == "running").await?;
    ensure!(freed.elapsed() < BACK_WITHIN, "it took {:?}", freed.elapsed());
    until("webhooks to be taken", async || {
        let (status, _) = post(&gateway).await?;
        Ok(if status == 200 { Ok(()) } else { Err(format!("{status}")) })
    })
    .await?;
    gateway.reading("the last number", |reading| reading.value.as_u64() == Some(COUNT)).await?;
    stream.finish().await?;

    let readings = gateway.api.readings().await?;
    let mut seen = BTreeSet::new();
    let first_arrivals: Vec<u64> = numbers(&readings).into_iter().filter(|number| seen.insert(*number)).collect();
    assert_eq!(first_arrivals, (1..=COUNT).collect::<Vec<_>>(), "none missing, none invented, in order");
    let boiler: Vec<_> = readings.iter().filter(|reading| reading.connection == "boiler").collect();
    let paused =
        boiler.iter().position(|reading| reading.status_name == "BadNoData").context("the pause is not told")?;
    ensure!(boiler[..paused].iter().all(|reading| reading.is_good()) && boiler[paused + 1].is_good());
    ensure!(boiler.is_sorted_by(|a, b| a.time <= b.time), "in the order of their times");
    let gaps = gateway.api.json("/api/v1/gaps").await?;
    let of_boiler = gaps["gaps"].as_array().context("no list")?.iter().filter(|gap| gap["connection"] == "boiler");
    ensure!(of_boiler.clone().count() == 1 && of_boiler.clone().all(|gap| gap["reason"] == "refused"), "{gaps}");
    for name in ["line", "boiler"] {
        let lost = gateway.api.connection(name).await?.counters["readings_lost"];
        ensure!(lost == 0, "{lost} readings of {name} were lost");
    }
    gateway.terminate().await?;
    Ok(())
}
