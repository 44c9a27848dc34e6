//! `bulkhead backup` and `restore`, with a gateway that runs and without one.

use anyhow::{Context, Result, ensure};
use bulkhead_tests::{Gateway, NUMBERS, Site, commit_numbers, http_client, within};
use serde_json::Value as Json;
use std::collections::BTreeSet;
use std::path::Path;

const SECRETS: &str = r#"
[api.credentials.control]
token = "hunter2-operator"
role = "operator"

[api.credentials.reading]
token = { file = "reader.token" }
"#;

fn numbers(readings: &[bulkhead_tests::Reading]) -> BTreeSet<i64> {
    readings.iter().filter_map(|reading| reading.value.as_i64()).collect()
}

#[tokio::test]
async fn a_backup_of_a_running_gateway_restores_as_another_log_with_all_that_was_acknowledged() -> Result<()> {
    let gateway = Gateway::start(NUMBERS).await?;
    commit_numbers(&gateway, 1..=500).await?;
    let backup = async {
        let output = gateway.command(["backup", "before-update", "--json"]).await?.expect_code(0)?;
        output.json()
    };
    let writing = async {
        for first in (501..=1500).step_by(20) {
            commit_numbers(&gateway, first..first + 20).await?;
        }
        anyhow::Ok(())
    };
    let (made, written) = tokio::join!(backup, writing);
    written?;
    let made: Json = made?;
    let dir = made["dir"].as_str().context("no folder")?.to_owned();
    ensure!(dir.ends_with("data/backups/before-update"), "{made}");
    let old = gateway.api.json("/api/v1/readings?limit=1").await?["log"].as_str().context("no log id")?.to_owned();
    ensure!(made["log"] == *old && made["readings"].as_u64() >= Some(500), "{made}");
    let again = gateway.command(["backup", "before-update"]).await?.expect_code(1)?;
    ensure!(again.stderr.contains("already"), "{again}");
    let outside = gateway.command(["backup", "../elsewhere"]).await?.expect_code(1)?;
    ensure!(outside.stderr.contains("no name for a backup"), "{outside}");

    let other = Site::new(NUMBERS)?;
    let data = other.path("data").display().to_string();
    let checked = other.command(["restore", &dir, "--check"]).await?.expect_code(0)?;
    ensure!(checked.stdout.contains("whole"), "{checked}");
    let restored = other.command(["restore", &dir, "--to", &data, "--json"]).await?.expect_code(0)?.json()?;
    let refused = other.command(["restore", &dir, "--to", &data]).await?.expect_code(1)?;
    ensure!(refused.stderr.contains("not empty") && refused.stderr.contains("--replace"), "{refused}");

    let copy = other.run().await?;
    let readings = copy.api.readings().await?;
    let expected = made["last_seq"].as_i64().context("no last seq")?;
    ensure!(numbers(&readings) == (1..=expected).collect(), "{} readings", readings.len());
    commit_numbers(&copy, [9_999]).await?;
    let next = copy.reading("the next number", |reading| reading.value == 9_999).await?;
    ensure!(restored["next_seq"] == next.seq && next.seq > 1_000_000, "{restored} {next:?}");
    ensure!(restored["log"] != *old, "{restored}");
    old_positions_are_of_another_log(&copy, &old).await?;
    copy.terminate().await?;
    gateway.terminate().await?;
    Ok(())
}

/// A cursor and an event id of the original never mean something else in the restored log.
async fn old_positions_are_of_another_log(copy: &Gateway, old: &str) -> Result<()> {
    let (status, body) = copy.api.get(&format!("/api/v1/readings?after={old}-5")).await?;
    ensure!(status == 410 && body.contains("other-log"), "{status} {body}");
    let request = http_client()?.get(copy.api.url("/api/v1/events")).header("last-event-id", format!("{old}-5"));
    let mut stream = request.send().await?.error_for_status()?;
    let mut said = String::new();
    while !said.contains("\n\n") {
        let chunk = within("the first event", stream.chunk()).await??.context("the stream has ended")?;
        said.push_str(std::str::from_utf8(&chunk)?);
    }
    ensure!(said.starts_with("event: gap\n") && said.contains("\"reason\":\"other-log\""), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_stopped_gateway_is_backed_up_directly_and_a_flipped_bit_refuses_the_restore() -> Result<()> {
    let site = Site::new(&(NUMBERS.to_owned() + SECRETS))?;
    site.write_file("reader.token", "hunter2-reader\n")?;
    let made = site.command(["backup", "cold"]).await?.expect_code(0)?;
    ensure!(made.stderr.contains("opening its log directly"), "{made}");
    ensure!(
        made.stdout.contains("file reader.token") && made.stdout.contains("1 secret of the config itself"),
        "{made}"
    );
    let dir = site.path("data/backups/cold");
    secrets_stay_behind(&dir)?;

    let state = dir.join("log/state.db");
    let mut bytes = std::fs::read(&state)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&state, bytes)?;
    let (from, to) = (dir.display().to_string(), site.path("elsewhere").display().to_string());
    let refused = site.command(["restore", &from, "--to", &to]).await?.expect_code(1)?;
    ensure!(refused.stderr.contains("state.db") && refused.stderr.contains("SHA-256"), "{refused}");
    ensure!(!site.path("elsewhere/log").exists(), "something was restored");
    site.command(["restore", &from]).await?.expect_code(2)?;
    Ok(())
}

fn secrets_stay_behind(dir: &Path) -> Result<()> {
    let config = std::fs::read_to_string(dir.join("config/gateway.toml"))?;
    ensure!(!config.contains("hunter2") && config.contains("webhook-json"), "{config}");
    ensure!(dir.join("adapters/webhook-json.wasm").is_file());
    ensure!(!dir.join("config/reader.token").exists());
    Ok(())
}

/// A connection to a device that is not there, with its points in a file.
fn listed(name: &str, file: &str) -> String {
    format!(
        "[connections.{name}]\nadapter = \"modbus-registers\"\n[connections.{name}.transports.device]\n\
         kind = \"modbus-tcp\"\naddress = \"127.0.0.1:1\"\n[connections.{name}.settings]\npoints_csv = \"{file}\"\n"
    )
}

#[tokio::test]
async fn files_that_settings_name_are_in_a_backup_and_are_put_back_with_the_config_over_nothing() -> Result<()> {
    const LIST: &str = "name;table;address\na;holding-register;1\n";
    let outside = tempfile::tempdir()?;
    let shared = outside.path().join("shared.csv").display().to_string();
    let site = Site::new(&format!("{}{}{SECRETS}", listed("plc", "lists/plc.csv"), listed("press", &shared)))?;
    std::fs::create_dir(site.path("lists"))?;
    site.write_file("lists/plc.csv", LIST)?;
    std::fs::write(&shared, LIST.replace('a', "b"))?;
    site.write_file("reader.token", "hunter2-reader")?;
    let output = site.command(["backup", "lists"]).await?.expect_code(0)?;
    let dir = site.path("data/backups/lists");
    ensure!(output.stdout.contains(&format!("{shared} is in it as config/elsewhere/1-shared.csv")), "{output}");
    ensure!(output.stdout.contains("not in it, keep it elsewhere: the secret in"), "{output}");

    let (data, config) = (site.path("new/data").display().to_string(), site.path("new").display().to_string());
    let backup = dir.display().to_string();
    let restore = ["restore", backup.as_str(), "--to", data.as_str(), "--config-to", config.as_str()];
    let output = site.command(restore).await?.expect_code(0)?;
    ensure!(output.stdout.contains("put back: ") && output.stdout.contains("no secret is in it"), "{output}");
    ensure!(std::fs::read_to_string(site.path("new/lists/plc.csv"))? == LIST);
    ensure!(std::fs::read_to_string(site.path("new/elsewhere/1-shared.csv"))? == LIST.replace('a', "b"));
    ensure!(!site.path("new/reader.token").exists());
    let put_back = std::fs::read_to_string(site.path("new/gateway.toml"))?;
    ensure!(put_back.contains("lists/plc.csv") && !put_back.contains("hunter2"), "{put_back}");

    site.write_file("new/lists/plc.csv", "mine")?;
    let data = site.path("another/data").display().to_string();
    let restore = ["restore", backup.as_str(), "--to", data.as_str(), "--config-to", config.as_str()];
    let refused = site.command(restore).await?.expect_code(1)?;
    ensure!(refused.stderr.contains("is there already and is not replaced: nothing was done"), "{refused}");
    ensure!(
        !site.path("another/data/log").exists() && std::fs::read_to_string(site.path("new/lists/plc.csv"))? == "mine"
    );
    Ok(())
}
