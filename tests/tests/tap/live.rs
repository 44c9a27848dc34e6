//! A tap's life: its beginning and its end, its bounds, who may open one, and that it outlives a reload of its connection.

use crate::plants::{Tap, scale_at, weighing};
use anyhow::{Result, ensure};
use bulkhead_tests::{Gateway, SerialPair, Site, gateway_binary, http_client, until, within};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};

async fn line_with_scale() -> Result<SerialPair> {
    let line = SerialPair::start().await?;
    scale_at(&line)?;
    Ok(line)
}

#[tokio::test]
async fn ctrl_c_the_time_that_was_asked_for_and_a_gone_gateway_end_a_tap_each_with_its_code() -> Result<()> {
    let line = line_with_scale().await?;
    let gateway = Gateway::start(&weighing(&line, "READ", 50)).await?;
    let timed = gateway.command(["tap", "scale", "--for", "1s"]).await?.expect_code(0)?;
    ensure!(timed.stdout.contains("serial.exchange \"READ\\r\\n\" ⇒ \"ST,GS,+000"), "{timed}");
    ensure!(timed.stdout.contains("weight = ") && timed.stdout.contains(" kg  Good"), "{timed}");
    ensure!(timed.stdout.trim_end().ends_with("the time that was asked for is over"), "{timed}");

    let stopped = Tap::start(&gateway, &["scale"]).await?;
    ensure!(stopped.interrupt().await? == Some(0));

    let unknown = gateway.command(["tap", "scael"]).await?.expect_code(1)?;
    ensure!(unknown.stderr.contains("scael") && unknown.stderr.contains("scale"), "{unknown}");
    let wrong = gateway.command(["tap", "scale", "--for", "10"]).await?.expect_code(2)?;
    ensure!(wrong.stderr.contains("such as 10s, 5m or 1h"), "{wrong}");

    let mut left = Tap::start(&gateway, &["scale"]).await?;
    let (site, _) = gateway.terminate().await?;
    ensure!(left.ended().await? == Some(1));
    ensure!(left.notes.last().contains("the gateway"), "{}", left.notes.last());
    let nobody = site.command(["tap", "scale"]).await?.expect_code(1)?;
    ensure!(nobody.stderr.contains("start it first") || nobody.stderr.contains("did not answer"), "{nobody}");
    Ok(())
}

#[tokio::test]
async fn a_tap_ends_with_the_program_that_reads_it() -> Result<()> {
    let line = line_with_scale().await?;
    let gateway = Gateway::start(&weighing(&line, "READ", 50)).await?;
    let mut command = tokio::process::Command::new(gateway_binary()?);
    command.args(["tap", "scale"]).env("BULKHEAD_CONFIG", gateway.site().path("running.toml"));
    let mut tap = command.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true).spawn()?;
    let mut lines = BufReader::new(tap.stdout.take().expect("asked for")).lines();
    ensure!(within("its first line", lines.next_line()).await??.is_some());
    drop(lines);
    ensure!(within("the end of the tap", tap.wait()).await??.code() == Some(0));
    Ok(())
}

#[tokio::test]
async fn a_tap_goes_on_through_a_reload_and_ends_with_its_connection() -> Result<()> {
    let line = line_with_scale().await?;
    let gateway = Gateway::start(&weighing(&line, "READ", 50)).await?;
    let mut tap = Tap::start(&gateway, &["scale", "--json"]).await?;
    let first = tap.line("a poll", |line| line["call"] == "poll" && line["kind"] == "return").await?;
    ensure!(first["readings"][0]["point"] == "weight", "{first}");

    let text = gateway.site().config()?;
    gateway.site().write_file("gateway.toml", &text.replace("poll_interval_ms = 50", "poll_interval_ms = 60"))?;
    gateway.command(["reload"]).await?.expect_code(0)?;
    for (kind, call) in [("call", "stop"), ("call", "start"), ("return", "start")] {
        tap.line(&format!("{kind} {call}"), |line| line["kind"] == kind && line["call"] == call).await?;
    }
    let guest = first["guest"].as_u64();
    let again = |line: &serde_json::Value| line["kind"] == "return" && line["readings"].is_array();
    tap.line("a poll after it", |line| again(line) && line["guest"].as_u64() > guest).await?;

    let without = text.split("[connections.scale]").next().unwrap_or_default().to_owned();
    gateway.site().write_file("gateway.toml", &without)?;
    gateway.command(["reload"]).await?.expect_code(0)?;
    tap.line("the end", |line| line["kind"] == "end").await?;
    ensure!(tap.ended().await? == Some(1));
    ensure!(tap.notes.last().contains("no longer in the config"), "{}", tap.notes.last());
    Ok(())
}

#[tokio::test]
async fn a_fifth_tap_is_refused_until_one_of_four_ends() -> Result<()> {
    let line = line_with_scale().await?;
    let gateway = Gateway::start(&weighing(&line, "READ", 50)).await?;
    let mut taps = Vec::new();
    for _ in 0..4 {
        taps.push(Tap::start(&gateway, &["scale", "--faults"]).await?);
    }
    let refused = gateway.command(["tap", "scale", "--for", "1s"]).await?.expect_code(1)?;
    ensure!(refused.stderr.contains("4 taps are open, which is the most"), "{refused}");
    ensure!(taps.pop().expect("four").interrupt().await? == Some(0));
    let free = until("a place for another tap", async || {
        let output = gateway.command(["tap", "scale", "--for", "1s"]).await?;
        Ok(if output.code == Some(0) { Ok(()) } else { Err(output.to_string()) })
    });
    free.await
}

#[tokio::test]
async fn a_reader_may_not_look_on() -> Result<()> {
    let line = line_with_scale().await?;
    let credentials = "[api.credentials.page]\ntoken = \"token-of-a-reader\"\n[api.credentials.shift]\n\
                       token = \"token-of-an-operator\"\nrole = \"operator\"\n";
    let site = Site::new(&weighing(&line, "READ", 50))?;
    let text = site.config()?.replace("[health]", &format!("{credentials}\n[health]"));
    site.write_file("gateway.toml", &text)?;
    let gateway = site.run().await?;
    let url = gateway.api.url("/api/v1/connections/scale/tap?for_s=1");
    let status = async |token: Option<&str>| {
        let request = http_client()?.get(&url);
        let request = if let Some(token) = token { request.bearer_auth(token) } else { request };
        Ok::<_, anyhow::Error>(request.send().await?.status().as_u16())
    };
    ensure!(status(None).await? == 401 && status(Some("token-of-a-reader")).await? == 403);
    ensure!(status(Some("token-of-an-operator")).await? == 200);
    // The command line takes the operator's credential of the config.
    gateway.command(["tap", "scale", "--for", "1s"]).await?.expect_code(0)?;
    Ok(())
}
