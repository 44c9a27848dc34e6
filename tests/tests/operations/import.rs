//! `bulkhead import` through a gateway that is killed amid it, and what it says.

use anyhow::{Context, Result, ensure};
use bulkhead_tests::{Gateway, Site, until};
use serde_json::Value as Json;

const ROWS: u64 = 40_000;
/// The gateway is killed whenever the log has so many further bytes of the file.
const KILL_EVERY_BYTES: u64 = 200_000;

const CONFIG: &str = "[connections.meter]\nadapter = \"webhook-json\"\n[[connections.meter.settings.hooks]]\npath = \"/x\"\n\
                      points = [{ path = \"count\", name = \"count\", type = \"integer\" }]\n";
const ARGUMENTS: [&str; 7] = ["--connection", "meter", "--time-format", "s", "--id", "counts", "--json"];

/// A file in which each row has a time and a number of its own.
fn file() -> String {
    std::iter::once("time;count\r\n".to_owned()).chain((0..ROWS).map(row)).collect()
}

fn row(n: u64) -> String {
    format!("{};{n}\r\n", 1_700_000_000 + n)
}

async fn import(gateway: &Gateway) -> Result<Json> {
    let path = gateway.site().path("counts.csv");
    let path = path.to_str().context("a path that is no text")?.to_owned();
    let arguments = ["import", &path].into_iter().chain(ARGUMENTS);
    gateway.command(arguments).await?.expect_code(0)?.json()
}

/// How many bytes of the file are in the log.
async fn bytes(gateway: &Gateway) -> Result<u64> {
    let (status, state) = gateway.api.get("/api/v1/import/counts").await?;
    Ok(if status == 200 { serde_json::from_str::<Json>(&state)?["bytes"].as_u64().unwrap_or(0) } else { 0 })
}

#[tokio::test]
async fn an_import_through_kills_has_every_row_once() -> Result<()> {
    let site = Site::new(CONFIG)?;
    site.write_file("counts.csv", &file())?;
    let mut gateway = site.run().await?;
    for kill in 1..=2 {
        {
            let importing = import(&gateway);
            let far = until("the import to come on", async || {
                let bytes = bytes(&gateway).await?;
                Ok(if bytes > kill * KILL_EVERY_BYTES { Ok(()) } else { Err(format!("{bytes} bytes")) })
            });
            tokio::select! {
                done = importing => ensure!(false, "it ended before the kill: {done:?}"),
                far = far => far?,
            }
        }
        gateway = gateway.kill().await?.run().await?;
    }
    let report = import(&gateway).await?;
    assert_eq!((&report["state"], &report["readings"]), (&Json::from("done"), &Json::from(ROWS)), "{report}");
    ensure!(report["known"].as_u64() >= Some(ROWS / 2), "{report}");
    let numbers: Vec<u64> = gateway.api.readings().await?.iter().filter_map(|reading| reading.value.as_u64()).collect();
    ensure!(numbers.iter().copied().eq(0..ROWS), "{} rows, not each once and in order", numbers.len());
    assert_eq!(import(&gateway).await?["imported"], 0, "the same command again imports nothing");
    gateway.terminate().await?;
    Ok(())
}

/// The marks of imports are in `state.db` alone; when that is gone they are, and the same command must not bring all rows again.
#[tokio::test]
async fn an_import_is_known_again_after_state_db_was_lost() -> Result<()> {
    let site = Site::new(CONFIG)?;
    site.write_file("counts.csv", &file())?;
    let gateway = site.run().await?;
    {
        // It breaks off, so that its parts end elsewhere than those of a whole one.
        let importing = import(&gateway);
        let far = until("the import to come on", async || {
            let bytes = bytes(&gateway).await?;
            Ok(if bytes > KILL_EVERY_BYTES { Ok(()) } else { Err(format!("{bytes} bytes")) })
        });
        tokio::select! {
            done = importing => ensure!(false, "it ended before the kill: {done:?}"),
            far = far => far?,
        }
    }
    let gateway = gateway.kill().await?.run().await?;
    assert_eq!(import(&gateway).await?["state"], "done");
    let (site, _) = gateway.terminate().await?;
    std::fs::remove_file(site.path("data/log/state.db"))?;
    let gateway = site.run().await?;
    assert_eq!(gateway.api.get("/api/v1/import/counts").await?.0, 404, "it has been forgotten");

    let mut grown = file();
    grown.push_str(&row(ROWS));
    gateway.site().write_file("counts.csv", &grown)?;
    let report = import(&gateway).await?;
    assert_eq!((&report["imported"], &report["known"]), (&Json::from(1), &Json::from(ROWS)), "{report}");
    assert_eq!(report["readings"], ROWS + 1, "it has a mark again: {report}");
    let numbers: Vec<u64> = gateway.api.readings().await?.iter().filter_map(|reading| reading.value.as_u64()).collect();
    ensure!(numbers.iter().copied().eq(0..=ROWS), "{} rows, not each once and in order", numbers.len());
    gateway.terminate().await?;
    Ok(())
}

/// The rows of a file of so many, each changed as told.
fn rows(count: u64, change: impl Fn(u64) -> u64) -> String {
    let row = |n: u64| format!("{};{}\r\n", 1_700_000_000 + n, change(n));
    std::iter::once("time;count\r\n".to_owned()).chain((0..count).map(row)).collect()
}

/// Imports a file under a name; answers how many rows were imported, or would be, and how many were there.
async fn import_as(gateway: &Gateway, id: &str, file: &str, more: &[&str]) -> Result<(Option<u64>, Option<u64>)> {
    gateway.site().write_file("counts.csv", file)?;
    let path = gateway.site().path("counts.csv");
    let path = path.to_str().context("a path that is no text")?;
    let arguments = ["import", path, "--connection", "meter", "--time-format", "s", "--json", "--id", id];
    let report = gateway.command(arguments.into_iter().chain(more.iter().copied())).await?.expect_code(0)?.json()?;
    Ok((report["imported"].as_u64(), report["known"].as_u64()))
}

async fn sorted(gateway: &Gateway) -> Result<Vec<u64>> {
    let readings = gateway.api.readings().await?;
    let mut numbers: Vec<u64> = readings.iter().filter_map(|reading| reading.value.as_u64()).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// What is not found again of a file whose import is forgotten comes in, and nothing else, in a trial, too, and under any name.
#[tokio::test]
async fn only_what_is_not_in_the_log_comes_in_after_state_db_was_lost() -> Result<()> {
    const FEW: u64 = 7_000;
    const CHANGED: u64 = 1_000_000;
    let site = Site::new(&format!("[log]\ncommit_max_rows = 1500\nsegment_max_rows = 1500\n{CONFIG}"))?;
    let gateway = site.run().await?;
    let original = rows(FEW, |n| n);
    assert_eq!(import_as(&gateway, "counts", &original, &[]).await?, (Some(FEW), Some(0)));
    let (site, _) = gateway.terminate().await?;
    std::fs::remove_file(site.path("data/log/state.db"))?;

    // Rows of the first part and of a later one were changed.
    let gateway = site.run().await?;
    let changed = rows(FEW, |n| if [3, 4, 5_000].contains(&n) { CHANGED + n } else { n });
    assert_eq!(import_as(&gateway, "trial", &changed, &["--dry-run"]).await?, (Some(3), Some(FEW - 3)));
    assert_eq!(import_as(&gateway, "counts", &changed, &[]).await?, (Some(3), Some(FEW - 3)));
    let everything: Vec<u64> = (0..FEW).chain([3, 4, 5_000].map(|n| CHANGED + n)).collect();
    ensure!(sorted(&gateway).await? == everything, "not each once");
    assert_eq!(import_as(&gateway, "other", &original, &["--dry-run"]).await?, (Some(0), Some(FEW)));
    assert_eq!(import_as(&gateway, "other", &original, &[]).await?, (Some(0), Some(FEW)), "under another name, too");
    // Those that came after the loss are of an import that is known: under another name they come again.
    assert_eq!(import_as(&gateway, "other-too", &changed, &[]).await?, (Some(3), Some(FEW - 3)));

    // The oldest rows are dropped, and `state.db` is lost again.
    let (site, _) = gateway.terminate().await?;
    std::fs::remove_file(site.path("data/log/state.db"))?;
    let files = std::fs::read_dir(site.path("data/log"))?.map(|entry| Ok(entry?.path()));
    let mut segments: Vec<std::path::PathBuf> = files.collect::<Result<_>>()?;
    segments.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("seg-")));
    std::fs::remove_file(segments.iter().min().context("no segment")?)?;
    let gateway = site.run().await?;
    let left = sorted(&gateway).await?.iter().filter(|&&n| n < CHANGED).count() as u64;
    ensure!(left > FEW / 2 && left < FEW, "{left} rows are left");
    assert_eq!(import_as(&gateway, "counts", &original, &[]).await?, (Some(FEW - left), Some(left)));
    let numbers = sorted(&gateway).await?;
    ensure!(numbers.iter().copied().filter(|&n| n < CHANGED).eq(0..FEW), "not each once");
    gateway.terminate().await?;
    Ok(())
}

#[tokio::test]
async fn a_trial_tells_every_mistake_for_people_and_changes_nothing() -> Result<()> {
    let site = Site::new(CONFIG)?;
    site.write_file("few.csv", "time,count\n1700000000,1\nsoon,2\n1700000002,x\n")?;
    let gateway = site.run().await?;
    let path = gateway.site().path("few.csv");
    let path = path.to_str().context("a path that is no text")?;
    let base = ["import", path, "--connection", "meter", "--time-format", "s"];
    let trial = gateway.command(base.into_iter().chain(["--dry-run"])).await?.expect_code(1)?;
    ensure!(trial.stdout.contains("1 reading would be imported"), "{trial:?}");
    for part in ["line 3, column `time`", "line 4, column `count`: expected a whole number, found `x`", "2 rows"] {
        ensure!(trial.stderr.contains(part), "{part} is missing in {trial:?}");
    }
    ensure!(gateway.api.readings().await?.is_empty(), "it was a trial");
    let refused = gateway.command(base).await?.expect_code(1)?;
    ensure!(
        refused.stderr.contains("line 3") && refused.stderr.contains("0 readings of it are in the log"),
        "{refused:?}"
    );
    let aside = gateway.command(base.into_iter().chain(["--bad-rows", "set-aside"])).await?.expect_code(0)?;
    ensure!(aside.stdout.contains("1 reading imported") && aside.stdout.contains("2 rows set aside"), "{aside:?}");
    gateway.terminate().await?;
    Ok(())
}
