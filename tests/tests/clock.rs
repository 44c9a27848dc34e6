//! A wall clock that was never set, or jumps: times stay what they are, order stays by seq, what the gateway stamps is
//! Uncertain until the clock can be believed, and nothing is deleted for it. The clock is another one for the gateway
//! alone, by way of libfaketime.

use anyhow::{Context, Result, ensure};
use bulkhead_simulators::modbus::{Bank, BankLayout, Device};
use bulkhead_tests::{Gateway, Reading, Site, faketime_library, http_client, until};
use std::time::{SystemTime, UNIX_EPOCH};

/// How far the gateway's clock is off, in seconds; a file that the library looks into.
const OFFSET: &str = "clock-offset";

/// A polled device with many points, and a webhook whose requests bear their own time or none.
fn config(device: &Device) -> String {
    let points: String = (0..50)
        .map(|address| format!("{{ name = \"r{address}\", table = \"holding-register\", address = {address} }},\n"))
        .collect();
    format!(
        r#"
[log]
commit_max_rows = 500
segment_max_rows = 1000
retention_max_age_s = 3600

[connections.plc]
adapter = "modbus-registers"
poll_interval_ms = 20

[connections.plc.transports.device]
kind = "modbus-tcp"
address = "{}"

[connections.plc.settings]
points = [
{points}]

[connections.cloud]
adapter = "webhook-json"

[[connections.cloud.settings.hooks]]
path = "/timed"
time = {{ path = "ts" }}
points = [{{ path = "a" }}]

[[connections.cloud.settings.hooks]]
path = "/untimed"
points = [{{ path = "b" }}]
"#,
        device.address()
    )
}

struct Odd {
    gateway: Gateway,
    _device: Device,
}

impl Odd {
    /// A gateway whose clock is off by so many seconds.
    async fn start(offset_s: i64) -> Result<Self> {
        let device = Device::builder().unit(1, Bank::new(BankLayout::uniform(100))).start().await?;
        let site = Site::new(&config(&device))?;
        site.write_file(OFFSET, &format!("{offset_s:+}"))?;
        let offset = site.path(OFFSET).display().to_string();
        let site = site
            .with_variable("LD_PRELOAD", faketime_library()?.display().to_string())
            .with_variable("FAKETIME_TIMESTAMP_FILE", offset)
            .with_variable("FAKETIME_NO_CACHE", "1")
            .with_variable("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .with_variable("FAKETIME_DONT_RESET", "1");
        Ok(Self { gateway: site.run().await?, _device: device })
    }

    /// Sets its clock off by so many seconds.
    fn set(&self, offset_s: i64) -> Result<()> {
        self.gateway.site().write_file("next-offset", &format!("{offset_s:+}"))?;
        Ok(std::fs::rename(self.gateway.site().path("next-offset"), self.gateway.site().path(OFFSET))?)
    }

    /// Waits until the clock is thought of so; gives the reason.
    async fn clock(&self, trusted: bool) -> Result<String> {
        until("the clock to be judged", async || {
            let health = self.gateway.api.json("/healthz").await?;
            let clock = &health["clock"];
            let reason = clock["reason"].as_str().unwrap_or_default().to_owned();
            Ok(if clock["trusted"] == trusted { Ok(reason) } else { Err(health.to_string()) })
        })
        .await
    }

    /// The next readings of a poll, of now or later.
    async fn next_of(&self, point: &str) -> Result<Reading> {
        let after = self.newest().await?;
        self.gateway.reading("a next reading", |reading| reading.is_of(point) && reading.seq > after).await
    }

    async fn newest(&self) -> Result<u64> {
        let latest = self.gateway.api.latest().await?;
        Ok(latest.iter().map(|reading| reading.seq).max().unwrap_or(0))
    }

    async fn post(&self, path: &str, body: &str) -> Result<()> {
        let url = self.gateway.api.url(&format!("/hooks/cloud/{path}"));
        let request = http_client()?.post(url).header("content-type", "application/json");
        request.body(body.to_owned()).send().await?.error_for_status()?;
        Ok(())
    }
}

/// Seconds that make a clock say 1970-01-02.
fn back_to_1970() -> Result<i64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    Ok(86_400 - i64::try_from(now)?)
}

#[tokio::test]
async fn what_a_gateway_without_a_set_clock_stamps_is_uncertain_until_it_is_set() -> Result<()> {
    let odd = Odd::start(back_to_1970()?).await?;
    ensure!(odd.clock(false).await?.contains("never set"));
    let stamped = odd.next_of("plc/r0").await?;
    ensure!(stamped.status_name == "Uncertain" && stamped.time.starts_with("1970-01-0"), "{stamped:?}");
    ensure!(stamped.value.is_number(), "the value is there: {stamped:?}");
    odd.post("timed", r#"{"ts":"2026-05-04T10:00:00Z","a":1}"#).await?;
    odd.post("untimed", r#"{"b":1}"#).await?;
    let timed = odd.gateway.reading("the source's own time", |reading| reading.is_of("cloud/a")).await?;
    ensure!(timed.is_good() && timed.time == "2026-05-04T10:00:00Z", "{timed:?}");
    let untimed = odd.gateway.reading("the gateway's time", |reading| reading.is_of("cloud/b")).await?;
    ensure!(untimed.status_name == "Uncertain", "{untimed:?}");

    let metrics = odd.gateway.api.get("/metrics").await?.1;
    ensure!(metrics.contains("bulkhead_clock_trusted 0.0"), "{metrics}");

    odd.set(0)?;
    odd.clock(true).await?;
    let stamped = odd.next_of("plc/r0").await?;
    ensure!(stamped.is_good() && !stamped.time.starts_with("1970"), "{stamped:?}");
    let all = odd.gateway.api.readings().await?;
    ensure!(all.windows(2).all(|pair| pair[0].seq < pair[1].seq), "order is by seq");
    ensure!(all.iter().all(|reading| !reading.status_name.starts_with("Bad")), "nothing is Bad for it");
    for (text, times) in [("the clock is doubted", 1), ("the clock is believed again", 1)] {
        let lines = odd.gateway.journal.all().iter().filter(|line| line.contains(text)).count();
        ensure!(lines == times, "`{text}` stands in the journal {lines} times");
    }
    odd.gateway.terminate().await?;
    Ok(())
}

#[tokio::test]
async fn a_jump_into_the_next_century_and_back_deletes_nothing_and_delays_nothing() -> Result<()> {
    let odd = Odd::start(0).await?;
    odd.clock(true).await?;
    odd.gateway.reading("a first segment", |reading| reading.seq > 1500).await?;
    odd.set(2_600_000_000)?;
    ensure!(odd.clock(false).await?.contains("decades ahead"));
    let polls = odd.gateway.api.connection("plc").await?.counters["polls"];
    let far = odd.next_of("plc/r0").await?;
    ensure!(far.status_name == "Uncertain" && far.time.starts_with("21"), "{far:?}");
    // Several segments are sealed with that time, and retention looks at each.
    odd.gateway.reading("segments of the next century", |reading| reading.seq > far.seq + 3000).await?;
    odd.set(-7200)?;
    ensure!(odd.clock(false).await?.contains("jumped back"));
    let back = odd.next_of("plc/r0").await?;
    ensure!(back.status_name == "Uncertain" && back.seq > far.seq, "{back:?}");
    odd.set(0)?;
    odd.clock(true).await?;
    let more = odd.gateway.api.connection("plc").await?.counters["polls"];
    ensure!(more > polls, "polls go on: {polls} {more}");
    let first = odd.gateway.api.readings().await?.first().context("readings")?.seq;
    ensure!(first == 1, "the log begins where it began: {first}");
    odd.gateway.terminate().await?;
    Ok(())
}
