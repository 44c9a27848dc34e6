//! One case brought about: the hostile connection comes, does what it does, is looked at, and goes.

use super::case::{CALL_MS, Case, Expect, File, Seen, Stimulus, TOTAL_MS};
use super::guest::Guest;
use super::journal::longest_act;
use super::plant::Plant;
use super::stage::Stage;
use super::{NAME, Row};
use crate::wait::until;
use anyhow::{Context, Result, bail, ensure};
use reqwest::Method;
use serde_json::{Value as Json, json};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How far beyond its deadline an act may go on.
const BEYOND_MAX: Duration = Duration::from_millis(100);
/// How far the gateway's memory may grow beyond the guest's own limit.
const GROWTH_MAX_BYTES: u64 = 16 << 20;
/// How much longer than before the neighbours' percentile may be.
const SLOWER_MAX: f64 = 2.0;
/// Instances that must have been built before a restart counts as seen: the first, and another.
const INSTANCES_MIN: u64 = 3;
/// Restarts a second of a connection whose waits begin with 100 ms and double up to a second; more were no backoff.
const RESTARTS_PER_S_MAX: f64 = 8.0;
/// How often a file that changes all the time is loaded.
const AGAIN: u32 = 10;
/// Changes of such a file as a whole for one in its place.
const WHOLE_CHANGES: usize = 10;
/// Time between two calls that the harness causes.
const STIMULUS_PAUSE: Duration = Duration::from_millis(20);

/// Brings a case about. What goes wrong is in the row.
pub(super) async fn run(plant: &Plant, case: Case, polls: usize) -> Row {
    let mut row = Row {
        group: case.group,
        case: case.name.to_owned(),
        shown: String::new(),
        beyond_deadline_ms: None,
        grown_bytes: 0,
        may_grow_bytes: (case.memory_mb << 20) + GROWTH_MAX_BYTES,
        neighbours_p99_ms: 0.0,
        neighbours_p99_before_ms: plant.p99_before.as_secs_f64() * 1000.0,
        restarts: 0,
        broken: Vec::new(),
    };
    if let Err(error) = bring(plant, &case, polls, &mut row).await {
        row.broken.push(format!("{error:#}"));
    }
    row
}

async fn bring(plant: &Plant, case: &Case, polls: usize, row: &mut Row) -> Result<()> {
    let stage = Stage::of(case.grants).await?;
    let flicker = install(plant, &case.file).await?;
    let began = jiff::Timestamp::now();
    plant.memory.forget_peak()?;
    let before_bytes = plant.memory.resident_bytes()?;
    plant.neighbours.forget();
    let (status, answer) = plant.reload(&config(case, &stage)).await?;
    let calls = stimulate(plant, case.stimulus);
    let outcome = outcome(plant, case, (status, &answer), row).await;
    let watched = plant.polled(polls).await;
    drop(calls);
    drop(flicker);
    row.grown_bytes = plant.memory.peak_bytes()?.saturating_sub(before_bytes);
    let p99 = plant.neighbours.p99();
    row.neighbours_p99_ms = p99.as_secs_f64() * 1000.0;
    outcome?;
    watched?;
    if let Expect::Goes { look } = &case.expect {
        look(&seen(plant, began).await?)?;
    }
    plant.is_alive().await?;
    plant.clear().await?;
    let journal = plant.journal_since(began);
    if let Expect::Stopped { says } = &case.expect {
        let line = journal
            .iter()
            .find(|line| line.contains(says))
            .with_context(|| format!("no line of the journal says `{says}`: {}", plant.gateway.situation()))?;
        row.shown = line
            .split_once("when it was stopped")
            .map_or(line.clone(), |(_, after)| format!("when it was stopped{after}"));
        row.shown.truncate(row.shown.find(" connection=").unwrap_or(row.shown.len()));
    }
    judge_time(case, &journal, row)?;
    plant.is_alive().await?;
    stage.is_untouched(&case.expect)?;
    ensure!(
        row.grown_bytes <= row.may_grow_bytes,
        "the gateway grew by {} KiB, {} KiB are allowed",
        row.grown_bytes >> 10,
        row.may_grow_bytes >> 10
    );
    let slower = row.neighbours_p99_ms / row.neighbours_p99_before_ms;
    ensure!(slower <= SLOWER_MAX, "the neighbours' polls came {slower:.2} times later than before");
    Ok(())
}

/// Puts the adapter's file in its place. What is returned changes it for as long as it lives.
async fn install(plant: &Plant, file: &File) -> Result<Option<Flicker>> {
    match file {
        File::Guest(guest) => plant.install(NAME, &guest.component()?)?,
        File::Bytes(bytes) => plant.install(NAME, &bytes()?)?,
        File::Bundle(bundle) => plant.install_bundle(NAME, &bundle()?)?,
        File::Zeros(length) => {
            let place = plant.gateway.site().path("adapters").join(format!("{NAME}.wasm"));
            std::fs::File::create(place)?.set_len(*length)?;
        }
        File::Flickering(one, other) => return Flicker::start(plant, one, other).map(Some),
    }
    Ok(None)
}

/// A file that changes all the time: overwritten in place, so that a reader meets parts of both.
struct Flicker {
    stop: Arc<AtomicBool>,
    writer: Option<std::thread::JoinHandle<()>>,
}

impl Flicker {
    fn start(plant: &Plant, one: &Guest, other: &Guest) -> Result<Self> {
        let (one, other) = (one.component()?, other.component()?);
        plant.install(NAME, &one)?;
        let place = plant.gateway.site().path("adapters").join(format!("{NAME}.wasm"));
        let stop = Arc::new(AtomicBool::new(false));
        let is_over = stop.clone();
        let writer = std::thread::spawn(move || {
            let new = place.with_extension("new");
            while !is_over.load(Ordering::Relaxed) {
                // Ten times whole at once, then in its place, so that whoever reads meets a part. A write that fails is one change
                // less.
                for bytes in [&other, &one].into_iter().cycle().take(WHOLE_CHANGES) {
                    _ = std::fs::write(&new, bytes).and_then(|()| std::fs::rename(&new, &place));
                }
                _ = std::fs::write(&place, &other[..other.len() / 2]).and_then(|()| std::fs::write(&place, &other));
            }
        });
        Ok(Self { stop, writer: Some(writer) })
    }
}

impl Drop for Flicker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // It ends after its next write; that it panicked would change nothing.
        _ = self.writer.take().map(std::thread::JoinHandle::join);
    }
}

/// The hostile connection's part of the config.
fn config(case: &Case, stage: &Stage) -> String {
    let route = match case.stimulus {
        Stimulus::Route => format!(
            "\n[routes.out]\nselect = [\"n0/*\"]\nto = \"{NAME}\"\nbatch_max_age_ms = 20\nretry_first_ms = 20\nretry_max_ms = 100\n"
        ),
        _ => String::new(),
    };
    format!(
        "{}[connections.{NAME}]\nadapter = \"{NAME}\"\npoll_interval_ms = 50\n{}\n[connections.{NAME}.limits]\n\
         memory_max_mb = {}\ncall_timeout_ms = {CALL_MS}\nhost_call_timeout_ms = 300\ncall_total_timeout_ms = {TOTAL_MS}\n\
         log_lines_per_s = 50\nrestart_first_ms = 100\nrestart_max_ms = 1000\n{route}",
        case.sections,
        stage.transport(),
        case.memory_mb
    )
}

/// Has the adapter called again and again, for as long as what is returned lives.
fn stimulate(plant: &Plant, stimulus: Stimulus) -> Option<Calls> {
    let api = plant.gateway.api.clone();
    match stimulus {
        Stimulus::None | Stimulus::Route | Stimulus::Stop => None,
        // They are refused, or fail, as they must: what is looked at is what the gateway shows.
        Stimulus::Write => Some(Calls::start(move || {
            let api = api.clone();
            async move { _ = api.write(NAME, "p", &json!(1.5)).await }
        })),
        Stimulus::Post => Some(Calls::start(move || {
            let api = api.clone();
            async move { _ = api.send(Method::POST, &format!("/hooks/{NAME}/x")).await }
        })),
    }
}

/// Calls that go on until this is dropped.
struct Calls(tokio::task::JoinHandle<()>);

impl Calls {
    fn start<F: Future<Output = ()> + Send>(call: impl Fn() -> F + Send + Sync + 'static) -> Self {
        Self(tokio::spawn(async move {
            let mut beat = tokio::time::interval(STIMULUS_PAUSE);
            loop {
                beat.tick().await;
                call().await;
            }
        }))
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn hostile(plant: &Plant) -> Result<Json> {
    plant.gateway.api.json(&format!("/api/v1/connections/{NAME}")).await
}

/// Waits for what must be seen of the connection.
async fn outcome(plant: &Plant, case: &Case, reloaded: (u16, &Json), row: &mut Row) -> Result<()> {
    let (status, answer) = reloaded;
    if let Expect::NotStarted { says } = &case.expect {
        return not_started(plant, says, status, answer, row).await;
    }
    if let Expect::Anything = &case.expect {
        return anything(plant, case, row).await;
    }
    ensure!(status == 200, "the config is refused: {status} {answer}");
    let began = std::time::Instant::now();
    let what = format!("what must be seen of `{}`", case.name);
    let found = until(&what, async || {
        let connection = hostile(plant).await?;
        Ok(if is_seen(&case.expect, &connection) { Ok(connection) } else { Err(connection.to_string()) })
    });
    let connection = found.await.with_context(|| plant.gateway.situation())?;
    row.shown = shown(&case.expect, &connection);
    row.restarts = connection["counters"]["instances"].as_u64().unwrap_or(0).saturating_sub(1);
    #[expect(clippy::cast_precision_loss, reason = "a few restarts")]
    let per_s = row.restarts as f64 / began.elapsed().as_secs_f64().max(1.0);
    ensure!(per_s <= RESTARTS_PER_S_MAX, "it was built anew {per_s:.1} times a second: that is no backoff");
    Ok(())
}

fn is_seen(expect: &Expect, connection: &Json) -> bool {
    match expect {
        Expect::Ends { code, says, .. } => {
            connection["faults"][code].as_u64().is_some_and(|faults| faults >= INSTANCES_MIN - 1)
                && connection["counters"]["instances"].as_u64().is_some_and(|instances| instances >= INSTANCES_MIN)
                && connection["usage"]["last_crash"]["message"].as_str().is_some_and(|message| message.contains(says))
        }
        Expect::Told { code } => {
            connection["faults"][code].as_u64().is_some_and(|faults| faults >= 2)
                && connection["counters"]["traps"] == 0
                && connection["counters"]["timeouts"] == 0
        }
        Expect::Goes { .. } => {
            matches!(connection["state"].as_str(), Some("running" | "waiting"))
                && connection["counters"]["calls"].as_u64() >= Some(3)
        }
        Expect::Stopped { .. } => connection["state"] == "running",
        Expect::NotStarted { .. } | Expect::Anything => false,
    }
}

fn shown(expect: &Expect, connection: &Json) -> String {
    match expect {
        Expect::Ends { code, .. } => {
            let message = connection["usage"]["last_crash"]["message"].as_str().unwrap_or_default();
            format!("{code}: {message}")
        }
        Expect::Told { .. } => {
            let fault = &connection["last_fault"];
            let text = |key: &str| fault[key].as_str().unwrap_or_default();
            format!("{}: {}", text("code"), text("message").chars().take(120).collect::<String>())
        }
        _ => connection["state"].as_str().unwrap_or_default().to_owned(),
    }
}

/// Either the reload refuses the config, or the connection fails; both say why.
async fn not_started(plant: &Plant, says: &str, status: u16, answer: &Json, row: &mut Row) -> Result<()> {
    if status != 200 {
        let text = answer.to_string();
        ensure!(text.contains(says), "the refusal does not say `{says}`: {text}");
        row.shown = format!("config refused: {says}");
        return Ok(());
    }
    let found = until("the connection's failure", async || {
        let connection = hostile(plant).await?;
        Ok(if connection["state"] == "failed" { Ok(connection) } else { Err(connection.to_string()) })
    });
    let connection = found.await.with_context(|| plant.gateway.situation())?;
    let reason = connection["reason"].as_str().unwrap_or_default();
    ensure!(reason.contains(says), "the reason does not say `{says}`: {reason}");
    row.shown = format!("failed: {}", reason.chars().take(160).collect::<String>());
    Ok(())
}

/// Brings the connection again and again: what comes of it differs from time to time.
async fn anything(plant: &Plant, case: &Case, row: &mut Row) -> Result<()> {
    let (mut refused, mut failed, mut ran) = (0, 0, 0);
    for _ in 0..AGAIN {
        plant.clear().await?;
        let (status, answer) = plant.reload(&config(case, &Stage::Nothing)).await?;
        if status != 200 {
            ensure!(answer.to_string().contains(NAME), "the refusal does not name the connection: {answer}");
            refused += 1;
            continue;
        }
        let found = until("that the connection runs or fails", async || {
            let connection = hostile(plant).await?;
            let is_settled = matches!(connection["state"].as_str(), Some("running" | "failed"));
            Ok(if is_settled { Ok(connection) } else { Err(connection.to_string()) })
        });
        match found.await?["state"] == "running" {
            true => ran += 1,
            false => failed += 1,
        }
    }
    row.shown = format!("of {AGAIN} times: config refused {refused}, failed {failed}, ran {ran}");
    Ok(())
}

async fn seen(plant: &Plant, began: jiff::Timestamp) -> Result<Seen> {
    let text = async |path: &str| -> Result<String> {
        let (status, body) = plant.gateway.api.get(path).await?;
        ensure!(status == 200, "GET {path}: {status} {body}");
        Ok(body)
    };
    Ok(Seen {
        journal: plant.journal_since(began),
        connection: hostile(plant).await?,
        readings: text("/api/v1/latest").await?,
        points: text("/api/v1/points").await?,
    })
}

/// Whether its acts ended in time. The deadline is that of the case.
fn judge_time(case: &Case, journal: &[String], row: &mut Row) -> Result<()> {
    let deadline = match case.expect {
        Expect::Ends { within, .. } => within,
        _ => return Ok(()),
    };
    let Some(took) = longest_act(journal, NAME) else {
        if case.has_no_beginning() {
            return Ok(());
        }
        bail!("the journal does not tell when an act began and ended");
    };
    let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    row.beyond_deadline_ms = Some(millis(took) - millis(deadline));
    ensure!(took <= deadline + BEYOND_MAX, "an act went on for {took:?}: its deadline was {deadline:?}");
    Ok(())
}
