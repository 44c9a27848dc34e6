//! `bulkhead adapter upgrade`: a new version on probation, and the previous one back where it does not do as well.

use super::super::client::GatewayClient;
use super::super::{checked, shown_if_wrong};
use super::install::{as_json, config_alone, folder_of, judge_file, told_of, users_of};
use crate::cli::UpgradeArguments;
use crate::exit::Exit;
use crate::{console, journal};
use bulkhead_bundle::{Installed, Installing, settings_schema_in};
use bulkhead_config::{AdapterLookup, AdapterSchemas, Security};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// Longest wait for the running gateway.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// How often the connections are looked at during a probation.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Longest time without an answer of the gateway during a probation: a new version that takes it down goes back.
const SILENCE_MAX: Duration = Duration::from_secs(10);

pub(super) async fn upgrade(arguments: &UpgradeArguments) -> Result<(), Exit> {
    journal::start_quiet();
    let asked = &arguments.new;
    let config = config_alone(&asked.config.config)?;
    let trust = bulkhead_engine::trust(&config)?;
    let folder = folder_of(&config)?;
    let new = judge_file(asked, &trust).await?;
    check_settings(&asked.config.config, &new)?;
    let client = GatewayClient::new(&config, ANSWER_MAX)?;
    let Some(before) = connections_of(&client, &new.name).await? else {
        folder.begin_upgrade(&new)?;
        folder.keep(&new.name)?;
        return tell(asked.json, &new, "no gateway runs, so there was nobody to watch it");
    };
    folder.begin_upgrade(&new)?;
    let probation_s = arguments.probation_s.unwrap_or(config.security.upgrade_probation_s);
    let watched = watch(&client, &new.name, &before, Duration::from_secs(u64::from(probation_s))).await;
    let back = match watched {
        Ok(None) => {
            folder.keep(&new.name)?;
            let users = users_of(&config, &new.name);
            let users = if users.is_empty() { "no connection uses it".into() } else { users.join(", ") };
            return tell(asked.json, &new, &format!("well for {probation_s} s ({users})"));
        }
        Ok(Some(reason)) => reason,
        Err(error) => told(error),
    };
    go_back(&folder, &client, &new, &back).await
}

/// The config must fit the new version before anything is replaced.
fn check_settings(path: &Path, new: &Installing) -> Result<(), Exit> {
    let text = shown_if_wrong(bulkhead_config::read_text(path))?;
    let schema =
        settings_schema_in(new.bytes()).map_err(|cause| Exit::failed(format!("adapter {}: {cause}", new.name)))?;
    checked(bulkhead_config::parse(&text, path, &WithNew { name: &new.name, schema })).map(drop)
}

/// Adapters as they will be.
struct WithNew<'n> {
    name: &'n str,
    schema: Option<Json>,
}

impl AdapterSchemas for WithNew<'_> {
    fn look_up(&self, dir: &Path, adapter: &str) -> AdapterLookup {
        self.look_up_under(dir, adapter, &Security::default())
    }

    fn look_up_under(&self, dir: &Path, adapter: &str, security: &Security) -> AdapterLookup {
        match adapter == self.name {
            true => AdapterLookup::Found(self.schema.clone()),
            false => bulkhead_engine::schemas_in().look_up_under(dir, adapter, security),
        }
    }
}

/// Has the gateway take the new version up and looks on. None: it did as well as the one before; else what is wrong.
async fn watch(
    client: &GatewayClient<'_>,
    adapter: &str,
    before: &BTreeMap<String, Seen>,
    probation: Duration,
) -> Result<Option<String>, Exit> {
    let taken = client.post("/api/v1/config/reload", &Json::Null);
    match console::while_waiting("the gateway takes the new version up", taken).await? {
        Some(answer) => _ = answer.done()?,
        None => return Ok(Some("the gateway was stopped meanwhile".into())),
    }
    let begun = Instant::now();
    let mut last_answer = Instant::now();
    loop {
        let is_over = begun.elapsed() >= probation;
        match connections_of(client, adapter).await {
            Ok(Some(now)) => {
                last_answer = Instant::now();
                match verdict(before, &now, is_over) {
                    Verdict::Undecided => {}
                    Verdict::Well => return Ok(None),
                    Verdict::Unwell(reason) => return Ok(Some(reason)),
                }
            }
            Ok(None) | Err(_) if last_answer.elapsed() < SILENCE_MAX && !is_over => {}
            Ok(None) => return Ok(Some("the gateway does not answer any more".into())),
            Err(error) => return Err(error),
        }
        tokio::time::sleep(LOOK_EVERY.min(probation.saturating_sub(begun.elapsed()))).await;
    }
}

/// A connection as the API shows it, as far as it says how well an adapter does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Seen {
    state: String,
    reason: Option<String>,
    /// Traps and missed deadlines since it began.
    crashes: u64,
    readings: u64,
    readings_bad: u64,
}

impl Seen {
    fn of(connection: &Json) -> Self {
        let count = |name: &str| connection["counters"][name].as_u64().unwrap_or(0);
        Self {
            state: connection["state"].as_str().unwrap_or_default().to_owned(),
            reason: connection["reason"].as_str().map(str::to_owned),
            crashes: count("traps") + count("timeouts"),
            readings: count("readings"),
            readings_bad: count("readings_bad"),
        }
    }

    fn runs(&self) -> bool {
        self.state == "running"
    }

    /// Whether all it brings is Bad.
    fn brings_nothing_good(&self) -> bool {
        self.readings > 0 && self.readings == self.readings_bad
    }
}

/// What comes of a look at the connections.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Undecided,
    Well,
    Unwell(String),
}

/// Holds the connections against what they were. One that was not well before says nothing about the new version.
fn verdict(before: &BTreeMap<String, Seen>, now: &BTreeMap<String, Seen>, is_over: bool) -> Verdict {
    for (name, was) in before.iter().filter(|(_, was)| was.runs()) {
        let Some(is) = now.get(name) else { continue };
        let reason = is.reason.as_deref().unwrap_or("without a reason");
        if is.state == "failed" {
            return Verdict::Unwell(format!("connection {name} failed: {reason}"));
        }
        if is.state == "disabled" || !is_over {
            continue;
        }
        if !is.runs() {
            return Verdict::Unwell(format!("connection {name} ran before and is {}: {reason}", is.state));
        }
        if is.crashes > 0 {
            return Verdict::Unwell(format!("connection {name}: the adapter crashed or hung {} times", is.crashes));
        }
        if is.brings_nothing_good() && !was.brings_nothing_good() {
            return Verdict::Unwell(format!(
                "connection {name} brings Bad readings only, and brought Good ones before"
            ));
        }
    }
    if is_over { Verdict::Well } else { Verdict::Undecided }
}

/// The connections of an adapter. None: no gateway runs.
async fn connections_of(client: &GatewayClient<'_>, adapter: &str) -> Result<Option<BTreeMap<String, Seen>>, Exit> {
    let Some(answer) = client.get("/api/v1/connections").await? else { return Ok(None) };
    let answer = answer.done()?;
    let all = answer["connections"].as_array().into_iter().flatten();
    let of_adapter = all.filter(|connection| connection["adapter"] == adapter);
    Ok(Some(of_adapter.map(|one| (one["name"].as_str().unwrap_or_default().to_owned(), Seen::of(one))).collect()))
}

async fn go_back(folder: &Installed, client: &GatewayClient<'_>, new: &Installing, why: &str) -> Result<(), Exit> {
    folder.go_back(&new.name)?;
    let name = &new.name;
    let taken =
        console::while_waiting("the gateway goes back", client.post("/api/v1/config/reload", &Json::Null)).await;
    let taken = match taken {
        Ok(Some(answer)) => answer.outcome().err(),
        Ok(None) => Some("no gateway runs; it will find the previous version when it starts".into()),
        Err(error) => Some(told(error)),
    };
    let taken = taken.map(|problem| format!(" ({problem})")).unwrap_or_default();
    Err(Exit::failed(format!("adapter {name}: the previous version is back{taken}, because {why}")))
}

fn told(error: Exit) -> String {
    match error {
        Exit::Failed(message) => message,
        Exit::Wrong => "the config is wrong".into(),
    }
}

fn tell(as_json_text: bool, new: &Installing, outcome: &str) -> Result<(), Exit> {
    if as_json_text {
        let mut told = as_json(new);
        told["outcome"] = json!(outcome);
        console::say(&serde_json::to_string_pretty(&told)?);
    } else {
        console::say(&format!("upgraded {}: {outcome}", told_of(new)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(state: &str, crashes: u64, readings: u64, readings_bad: u64) -> Seen {
        Seen { state: state.into(), reason: None, crashes, readings, readings_bad }
    }

    fn of(one: Seen) -> BTreeMap<String, Seen> {
        BTreeMap::from([("boiler".to_owned(), one)])
    }

    #[test]
    fn a_connection_that_did_well_must_do_well_at_the_end() {
        let before = of(seen("running", 3, 100, 2));
        let judge = |now: Seen, is_over| verdict(&before, &of(now), is_over);
        assert_eq!(judge(seen("starting", 0, 0, 0), false), Verdict::Undecided);
        assert_eq!(judge(seen("running", 0, 9, 1), true), Verdict::Well);
        assert!(matches!(judge(seen("waiting", 0, 0, 0), true), Verdict::Unwell(_)));
        assert!(matches!(judge(seen("running", 1, 9, 0), true), Verdict::Unwell(_)));
        assert!(matches!(judge(seen("running", 0, 9, 9), true), Verdict::Unwell(_)));
        assert!(matches!(judge(seen("failed", 0, 0, 0), false), Verdict::Unwell(_)), "it cannot get well again");
    }

    #[test]
    fn a_connection_that_was_not_well_says_nothing() {
        let before = of(seen("waiting", 0, 0, 0));
        assert_eq!(verdict(&before, &of(seen("failed", 9, 9, 9)), true), Verdict::Well);
        assert_eq!(verdict(&BTreeMap::new(), &BTreeMap::new(), false), Verdict::Undecided);
    }
}
