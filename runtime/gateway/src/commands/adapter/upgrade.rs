//! `bulkhead adapter upgrade`: a new version on probation, and the previous one back where it does not do as well. The
//! gateway watches it and ends the probation; the command waits for that, and goes back itself where no gateway answers.

use super::super::client::GatewayClient;
use super::super::{checked, shown_if_wrong};
use super::install::{as_json, config_alone, folder_of, judge_file, told_of};
use crate::cli::UpgradeArguments;
use crate::exit::Exit;
use crate::{console, journal};
use bulkhead_bundle::{Ended, Installed, Installing, Probation, Seen, settings_schema_in};
use bulkhead_config::{AdapterLookup, AdapterSchemas, Config, Security};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// Longest wait for the running gateway.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// How often the outcome of a probation is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Longest time without an answer of the gateway during a probation: a new version that takes it down goes back.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// Longest time from the end of a probation to the gateway's verdict: it takes the version up and goes back meanwhile.
const VERDICT_MAX: Duration = Duration::from_secs(60);

pub(super) async fn upgrade(arguments: &UpgradeArguments) -> Result<(), Exit> {
    journal::start_quiet();
    let asked = &arguments.new;
    let config = config_alone(&asked.config.config)?;
    let trust = bulkhead_engine::trust(&config)?;
    let new = judge_file(asked, &trust).await?;
    check_settings(&asked.config.config, &new)?;
    let client = GatewayClient::new(&config, ANSWER_MAX)?;
    let Some(before) = connections_of(&client, &new.name).await? else {
        let folder = folder_of(&config)?;
        folder.begin_upgrade(&new, None)?;
        let nobody = "no gateway runs, so there was nobody to watch it";
        folder.keep(&new.name, nobody)?;
        return tell(asked.json, &new, nobody);
    };
    let seconds = arguments.probation_s.unwrap_or(config.security.upgrade_probation_s);
    folder_of(&config)?.begin_upgrade(&new, Some(Probation { seconds, before }))?;
    let probation = Duration::from_secs(seconds.into());
    let waited = ended(&client, &config, &new, probation);
    let ended = console::while_waiting("the gateway watches the new version", waited).await?;
    if !ended.is_kept {
        return Err(Exit::failed(format!("adapter {}: the previous version is back, because {}", new.name, ended.why)));
    }
    let users = bulkhead_engine::users_of(&config, &new.name);
    let users = if users.is_empty() { "no connection uses it".into() } else { users.join(", ") };
    tell(asked.json, &new, &format!("{} ({users})", ended.why))
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

/// Waits until the gateway has ended the probation; ends it here where the gateway does not.
async fn ended(
    client: &GatewayClient<'_>,
    config: &Config,
    new: &Installing,
    probation: Duration,
) -> Result<Ended, Exit> {
    let (name, data_dir) = (&new.name, config.data_dir());
    let begun = Instant::now();
    let mut last_answer = Instant::now();
    loop {
        let note = Installed::pending_of(&data_dir, name)?;
        if note.is_none_or(|note| note.new.sha256 != new.vouched.sha256) {
            let ended = Installed::ended_of(&data_dir, name)?;
            let of_this = ended.filter(|ended| ended.new.sha256 == new.vouched.sha256);
            return of_this.ok_or_else(|| {
                Exit::failed(format!("adapter {name}: another command has replaced or removed it meanwhile"))
            });
        }
        if let Ok(Some(_)) = client.get("/api/v1/connections").await {
            last_answer = Instant::now();
        }
        let why = if last_answer.elapsed() >= SILENCE_MAX {
            Some("the gateway does not answer any more")
        } else if begun.elapsed() >= probation + VERDICT_MAX {
            Some("the gateway did not say in time how it does; is the one that runs older than this program?")
        } else {
            None
        };
        if let Some(why) = why {
            go_back(config, client, name, why).await?;
            continue;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Goes back in the gateway's stead. It may be at the same.
async fn go_back(config: &Config, client: &GatewayClient<'_>, name: &str, why: &str) -> Result<(), Exit> {
    match folder_of(config) {
        Ok(folder) => folder.go_back(name, why)?,
        Err(_) => tokio::time::sleep(LOOK_EVERY).await,
    }
    // Where no gateway runs, it will find the previous version when it starts.
    _ = client.post("/api/v1/config/reload", &Json::Null).await;
    Ok(())
}

fn seen(connection: &Json) -> Seen {
    let count = |name: &str| connection["counters"][name].as_u64().unwrap_or(0);
    Seen {
        state: connection["state"].as_str().unwrap_or_default().to_owned(),
        reason: connection["reason"].as_str().map(str::to_owned),
        crashes: count("traps") + count("timeouts"),
        readings: count("readings"),
        readings_bad: count("readings_bad"),
    }
}

/// The connections of an adapter. None: no gateway runs.
async fn connections_of(client: &GatewayClient<'_>, adapter: &str) -> Result<Option<BTreeMap<String, Seen>>, Exit> {
    let Some(answer) = client.get("/api/v1/connections").await? else { return Ok(None) };
    let answer = answer.done()?;
    let all = answer["connections"].as_array().into_iter().flatten();
    let of_adapter = all.filter(|connection| connection["adapter"] == adapter);
    Ok(Some(of_adapter.map(|one| (one["name"].as_str().unwrap_or_default().to_owned(), seen(one))).collect()))
}

fn tell(as_json_text: bool, new: &Installing, outcome: &str) -> Result<(), Exit> {
    if as_json_text {
        let mut told = as_json(new);
        told["outcome"] = json!(outcome);
        console::say_json(&told)?;
    } else {
        console::say(&format!("upgraded {}: {outcome}", told_of(new)));
    }
    Ok(())
}
