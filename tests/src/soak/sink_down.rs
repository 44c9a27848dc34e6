//! A sink that is down while many readings come: what that costs in memory, and how fast they go out when it is back,
//! while new ones keep coming.

use super::ids::Ids;
use super::line::{Line, Setup, route_is};
use super::outcome::{Outcome, grouped};
use super::producer::{Load, Producer};
use crate::api::Route;
use crate::memory::Memory;
use anyhow::{Context, Result};
use std::time::{Duration, Instant};

/// The memory of the gateway may grow by this much.
const GROWTH_MAX_BYTES: u64 = 32 << 20;
/// Readings a second that come while the backlog goes out.
const LIVE_PER_S: u64 = 2_000;
/// The first of them, at once.
const FIRST_LIVE: u64 = 100;
/// How many times as fast as they come the readings must go out.
const DRAIN_FACTOR_MIN: f64 = 5.0;
/// Readings before the sink goes down: afterwards the gateway has what it needs for its work.
const WARM_UP: u64 = 20_000;
/// Slowest arrival that is waited for, in readings a second.
const SLOWEST_PER_S: u64 = 1_000;
/// The live readings come in steps of this length.
const BEAT: Duration = Duration::from_millis(20);

const SETUP: Setup =
    Setup { load: Load { lanes: 8, per_post: 500, ids: Ids::Numbers }, batch_max: 2_000, log: "", transport: "" };

/// One outage of so many readings.
pub(crate) async fn run(readings: u64) -> Result<Outcome> {
    let mut line = Line::new(SETUP).await?;
    line.producer.allow(WARM_UP);
    line.subject.start().await?;
    line.producer.wait_acknowledged(WARM_UP).await;
    line.drained().await?;
    let memory = Memory::of(line.subject.pid()?);
    let before = memory.resident_bytes()?;
    memory.forget_peak()?;

    line.sink.upstream.stop().await;
    line.producer.allow(WARM_UP + readings);
    let longest = Duration::from_secs(60 + readings / SLOWEST_PER_S);
    let all = line.producer.wait_acknowledged(WARM_UP + readings);
    tokio::time::timeout(longest, all).await.with_context(|| line.subject.situation())?;
    let waits = |route: &Route| route.state == "waiting" && route.backlog >= readings;
    route_is(&line.subject, "the route to wait with all of it as its backlog", waits).await?;

    let since = line.mark();
    line.sink.upstream.restart().await?;
    line.producer.allow(WARM_UP + readings + FIRST_LIVE);
    line.recover(since).await?;
    let lived = drain(&line, WARM_UP + readings, longest).await?;
    let drained = since.elapsed();
    let mut outcome = line.finish("sink-down", 1, 0).await?;
    let growth = memory.peak_bytes()?.saturating_sub(before);
    let drain_per_s = readings as f64 / drained.as_secs_f64();
    let live_per_s = lived as f64 / drained.as_secs_f64();
    outcome.check(growth <= GROWTH_MAX_BYTES, || format!("memory grew by {} KiB", growth >> 10));
    outcome.check(drain_per_s >= DRAIN_FACTOR_MIN * live_per_s.max(LIVE_PER_S as f64), || {
        format!("the backlog went out at {drain_per_s:.0} readings a second while {LIVE_PER_S} were to come")
    });
    outcome.notes.push(format!("{} readings while down", grouped(readings)));
    outcome.notes.push(format!("memory grew by {:.1} MiB from {:.1}", mib(growth), mib(before)));
    outcome.notes.push(format!("drain {drain_per_s:.0}/s while {live_per_s:.0}/s came"));
    Ok(outcome)
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Lets new readings come until the sink has as many as were waiting. Returns how many new ones were acknowledged by then.
async fn drain(line: &Line, backlog: u64, longest: Duration) -> Result<u64> {
    let out = line.sink.upstream.wait_until(|stats| stats.accepted >= backlog);
    let out = tokio::time::timeout(longest, out);
    tokio::select! {
        out = out => drop(out.with_context(|| line.subject.situation())?),
        () = keep_coming(&line.producer, backlog) => {}
    }
    Ok(line.producer.acknowledged() - backlog)
}

async fn keep_coming(producer: &Producer, from: u64) {
    let mut beat = tokio::time::interval(BEAT);
    let began = Instant::now();
    loop {
        beat.tick().await;
        producer.allow(from + FIRST_LIVE + (began.elapsed().as_secs_f64() * LIVE_PER_S as f64) as u64);
    }
}
