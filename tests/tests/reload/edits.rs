//! Random edits of the config under load and with a backlog: nothing is lost, nothing comes twice but what the documents
//! allow, and connections that no edit touches are not interrupted.
//!
//! Two routes send the same numbers. The edits of `up` keep what a batch means, so that its sink, honouring the idempotency
//! key, must see every reading once. The edits of `side` change it (its rules, its name): the batch on its way goes again
//! under the new meaning, and so at most one batch a change comes twice.

use crate::plants::{device, polled, trials};
use anyhow::{Context, Result, ensure};
use bulkhead_simulators::modbus::Device;
use bulkhead_simulators::upstream::{Misbehaviour, Upstream, UpstreamConfig};
use bulkhead_tests::{
    Dice, Gateway, Mosquitto, MosquittoListener, NumberStream, Reading, compare, first_arrivals, http_client,
    http_sink, prompt_route, until,
};
use serde_json::Value as Json;
use std::collections::BTreeSet;
use std::time::Duration;

/// Edits in the suite; `BULKHEAD_SOAK_TRIALS` says otherwise.
const EDITS: u64 = 12;
/// Numbers the device sends for each edit.
const NUMBERS_PER_EDIT: u64 = 150;
/// Most readings of a batch of `side`.
const SIDE_BATCH: u64 = 40;
/// Longest time without a poll of the connection that no edit touches.
const INTERRUPTION_MAX: Duration = Duration::from_secs(2);

/// What an edit can change.
#[derive(Debug, Clone)]
struct Plan {
    line_on: bool,
    frames_max: u64,
    other_interval_ms: u64,
    has_other: bool,
    up_on: bool,
    up_batch: u64,
    sink_timeout_ms: u64,
    side_on: bool,
    side_name: u64,
    side_rule: u64,
}

impl Plan {
    fn begin() -> Self {
        Self {
            line_on: true,
            frames_max: 100,
            other_interval_ms: 20,
            has_other: true,
            up_on: true,
            up_batch: 50,
            sink_timeout_ms: 5000,
            side_on: true,
            side_name: 0,
            side_rule: 0,
        }
    }

    /// Everything on again, as at the end of the trials.
    fn all_on(self) -> Self {
        Self { line_on: true, up_on: true, side_on: true, ..self }
    }

    fn text(&self, site: &Site<'_>) -> String {
        let Self { line_on, frames_max, up_on, up_batch, sink_timeout_ms, side_on, side_name, side_rule, .. } = self;
        let other = if self.has_other {
            polled("other", site.other, u32::try_from(self.other_interval_ms).unwrap_or(20))
        } else {
            String::new()
        };
        let former = side_name.checked_sub(1).map(|former| format!("renamed_from = \"side{former}\"\n"));
        let up = format!("enabled = {up_on}\nbatch_max_readings = {up_batch}");
        let side = format!(
            "enabled = {side_on}\nbatch_max_readings = {SIDE_BATCH}\n{}rename = [{{ points = \"line/*\", to = \"v{side_rule}_$1\" }}]",
            former.unwrap_or_default()
        );
        let line = format!("enabled = {line_on}\nlimits = {{ frames_per_call_max = {frames_max} }}");
        [
            site.head.clone(),
            polled("steady", site.steady, 20),
            other,
            http_sink("erp", &site.erp.url(), &format!("timeout_ms = {sink_timeout_ms}")),
            http_sink("mes", &site.mes.url(), ""),
            NumberStream::connection(&site.broker, &line),
            prompt_route("up", "line/*", "erp", &up),
            prompt_route(&format!("side{side_name}"), "line/*", "mes", &side),
        ]
        .concat()
    }
}

/// What stands around the gateway.
struct Site<'a> {
    /// The sections of the config that no edit touches.
    head: String,
    steady: &'a Device,
    other: &'a Device,
    broker: String,
    erp: &'a Upstream,
    mes: &'a Upstream,
}

/// One edit. Returns whether it changes what a batch of `side` means.
fn edit(plan: &mut Plan, dice: &mut Dice) -> bool {
    match dice.below(10) {
        0 => plan.line_on = !plan.line_on,
        1 => plan.frames_max = 50 + dice.below(100),
        2 => plan.other_interval_ms = 10 + dice.below(40),
        3 => plan.has_other = !plan.has_other,
        4 => plan.up_on = !plan.up_on,
        5 => plan.up_batch = 10 + dice.below(100),
        6 => plan.sink_timeout_ms = 2000 + dice.below(3000),
        7 => plan.side_on = !plan.side_on,
        8 => {
            plan.side_name += 1;
            return true;
        }
        _ => {
            plan.side_rule += 1;
            return true;
        }
    }
    false
}

/// How the upstreams behave until the next edit.
fn mood(upstream: &Upstream, dice: &mut Dice) {
    match dice.below(6) {
        0 => upstream.always(Misbehaviour::status(503)),
        1 => upstream.always(Misbehaviour::Close),
        2 => {
            upstream.behave();
            upstream.next(Misbehaviour::AcceptThenClose, 2);
        }
        3 => upstream.always(Misbehaviour::Delay(Duration::from_millis(40))),
        _ => upstream.behave(),
    }
}

struct Editor<'a> {
    gateway: &'a Gateway,
    client: reqwest::Client,
}

impl Editor<'_> {
    /// Writes the file and has it read; the answer of the gateway.
    async fn apply(&self, text: &str) -> Result<Json> {
        self.gateway.site().write_file("gateway.toml", text)?;
        let request = self.client.post(self.gateway.api.url("/api/v1/config/reload"));
        let answer: Json = request.send().await?.json().await?;
        ensure!(answer["took_ms"].is_u64(), "{answer}\n{text}");
        ensure!(answer["failed"] == serde_json::json!([]), "{answer}");
        for part in ["connections.steady", "connections.mes"] {
            let kept = answer["kept"].as_array().is_some_and(|kept| kept.iter().any(|one| one == part));
            ensure!(kept, "{part} is not kept: {answer}");
        }
        Ok(answer)
    }
}

/// The longest time between two readings of the connection that no edit touches.
fn longest_interruption(readings: &[Reading]) -> Result<Duration> {
    let steady = readings.iter().filter(|reading| reading.connection == "steady");
    let times: Vec<jiff::Timestamp> = steady.map(|reading| Ok(reading.time.parse()?)).collect::<Result<_>>()?;
    let gaps = times.windows(2).map(|pair| pair[1].duration_since(pair[0]).unsigned_abs());
    gaps.max().context("nothing was polled")
}

#[tokio::test]
async fn random_edits_under_load_lose_nothing_and_interrupt_nobody_else() -> Result<()> {
    let edits = trials(EDITS);
    let (steady, other) = (device().await?, device().await?);
    let broker = Mosquitto::start(MosquittoListener::Plain).await?;
    let stored = UpstreamConfig { max_stored: 1_000_000, ..UpstreamConfig::default() };
    let (erp, mes) = (Upstream::start(stored.clone()).await?, Upstream::start(stored).await?);
    let own = bulkhead_tests::Site::new("")?;
    let head = own.config()?;
    let site = Site { head, steady: &steady, other: &other, broker: broker.address(), erp: &erp, mes: &mes };
    let mut plan = Plan::begin();
    own.write_file("gateway.toml", &plan.text(&site))?;
    let gateway = own.run().await?;
    gateway.connection("line", "the broker to be subscribed", |line| line.transports[0].state == "up").await?;
    let editor = Editor { gateway: &gateway, client: http_client()? };
    let stream = NumberStream::start(&broker.address(), "plant/hall7/number")?;
    let mut dice = Dice::from_environment();
    println!("{}", dice.seed_note());
    let (mut changes, mut longest_ms) = (0, 0);
    for number in 1..=edits {
        mood(&erp, &mut dice);
        mood(&mes, &mut dice);
        stream.publish_to(number * NUMBERS_PER_EDIT);
        changes += u64::from(edit(&mut plan, &mut dice));
        let answer = editor.apply(&plan.text(&site)).await?;
        longest_ms = longest_ms.max(answer["took_ms"].as_u64().unwrap_or_default());
    }
    plan = plan.all_on();
    editor.apply(&plan.text(&site)).await?;
    erp.behave();
    mes.behave();
    stream.finish().await?;
    let count = edits * NUMBERS_PER_EDIT;
    let logged = until("every number in the log", async || {
        Ok(NumberStream::logged(&gateway.api.readings().await?, count).map_err(|error| error.to_string()))
    })
    .await?;
    let last = logged.last().map_or(0, |(seq, _)| *seq);
    let side = format!("side{}", plan.side_name);
    for route in ["up", &side] {
        gateway.route(route, "the route to be through", |route| route.cursor >= last).await?;
    }
    let readings = gateway.api.readings().await?;
    let (at_erp, at_mes) = (compare(&erp.accepted(), &logged)?, compare(&mes.accepted(), &logged)?);
    let arrived: BTreeSet<i64> = first_arrivals(&erp.accepted()).into_iter().collect();
    let lost = (1..=i64::try_from(count)?).filter(|number| !arrived.contains(number)).count();
    let interruption = longest_interruption(&readings)?;
    println!(
        "| edits | acknowledged | lost | twice at erp | under two keys | twice at mes | under two keys | changes of meaning | longest interruption | longest reload |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    println!(
        "| {edits} | {count} | {lost} | {} | {} | {} | {} | {changes} | {} ms | {longest_ms} ms |",
        at_erp.twice,
        at_erp.under_two_keys,
        at_mes.twice,
        at_mes.under_two_keys,
        interruption.as_millis()
    );
    ensure!(at_erp.under_two_keys == 0, "a sink that honours the key sees nothing twice: {at_erp:?}");
    ensure!(at_mes.under_two_keys <= changes * SIDE_BATCH, "more than a batch a change came again: {at_mes:?}");
    ensure!(steady.counters().connections() == 1, "the steady connection was opened anew");
    let connection = gateway.api.connection("steady").await?;
    ensure!(connection.counters["instances"] == 1 && connection.counters["readings_bad"] == 0, "{connection:?}");
    ensure!(interruption <= INTERRUPTION_MAX, "the steady connection was interrupted for {interruption:?}");
    gateway.terminate().await?;
    Ok(())
}
