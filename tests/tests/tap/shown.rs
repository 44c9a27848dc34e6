//! What a tap shows of each kind of transport, and what it does not show.

use crate::plants::{Tap, scale_at, weighing};
use anyhow::{Result, ensure};
use bulkhead_tests::{Gateway, Mosquitto, MosquittoListener, SerialPair, Site, http_client, program};
use serde_json::json;

#[tokio::test]
async fn secrets_and_configured_texts_are_covered_in_what_goes_to_a_device() -> Result<()> {
    let line = SerialPair::start().await?;
    scale_at(&line)?;
    let site = Site::new(&weighing(&line, "READ s3cret-of-the-scale for ACME-4711", 50))?;
    let text = site.config()?.replace(
        "[health]",
        "[tap]\nredact = [\"ACME-4711\"]\n[api.credentials.shift]\ntoken = \"s3cret-of-the-scale\"\nrole = \"operator\"\n[health]",
    );
    site.write_file("gateway.toml", &text)?;
    let gateway = site.run().await?;
    let tap = Tap::start(&gateway, &["scale", "--frames", "--json"]).await?;
    let exchange = tap.line("an exchange", |line| line["function"] == "exchange").await?;
    ensure!(exchange["request"]["data"] == "READ *** for ***\r\n", "{exchange}");
    ensure!(tap.interrupt().await? == Some(0));
    Ok(())
}

#[tokio::test]
async fn messages_of_a_broker_are_shown_as_they_came_with_what_was_made_of_them() -> Result<()> {
    let broker = Mosquitto::start(MosquittoListener::Plain).await?;
    let gateway = Gateway::start(&format!(
        "[connections.line]\nadapter = \"mqtt-json\"\n[connections.line.transports.broker]\nkind = \"mqtt\"\naddress = \"{}\"\n\
         subscribe = [\"plant/#\"]\n[[connections.line.settings.topics]]\nfilter = \"plant/+machine/state\"\n\
         name = \"{{machine}}.{{path}}\"\npoints = [{{ path = \"temp\", unit = \"°C\" }}]\n",
        broker.address()
    ))
    .await?;
    gateway.connection("line", "a subscription", |line| line.transports.iter().all(|one| one.state == "up")).await?;
    let tap = Tap::start(&gateway, &["line", "--json"]).await?;
    let port = broker.address().rsplit(':').next().unwrap_or_default().to_owned();
    let message = r#"{"temp":61.5,"token":"t0ken-of-the-press"}"#;
    let mut publish = tokio::process::Command::new(program("mosquitto_pub")?);
    publish.args(["-h", "localhost", "-p", &port, "-t", "plant/press/state", "-q", "1", "-m", message]);
    ensure!(publish.status().await?.success());
    let is_data = |line: &serde_json::Value| line["call"] == "receive" && line["frames"][0]["kind"] == "data";
    let received = tap.line("the message", is_data).await?;
    ensure!(received["transport"] == "broker" && received["frames"][0]["topic"] == "plant/press/state", "{received}");
    ensure!(received["frames"][0]["payload"] == r#"{"temp":61.5,"token":"***"}"#, "{received}");
    let brought = tap.line("its readings", |line| line["readings"][0]["point"] == "press.temp").await?;
    ensure!(brought["readings"][0]["value"] == 61.5 && brought["readings"][0]["status"] == "Good", "{brought}");
    Ok(())
}

#[tokio::test]
async fn a_webhook_is_shown_with_its_answer_and_filters_leave_the_rest_out() -> Result<()> {
    let gateway = Gateway::start(
        "[connections.cloud]\nadapter = \"webhook-json\"\n[[connections.cloud.settings.hooks]]\npath = \"/state\"\n\
         points = [{ path = \"temp\" }]\n",
    )
    .await?;
    let tap = Tap::start(&gateway, &["cloud", "--readings", "--json"]).await?;
    let body = json!({ "temp": 7 }).to_string();
    let post = http_client()?.post(gateway.api.url("/hooks/cloud/state?token=abc")).body(body);
    let answer = post.header("cookie", "session=1").header("content-type", "application/json").send().await?;
    ensure!(answer.status().as_u16() == 200);
    let replied = tap.line("the reply", |line| line["kind"] == "return").await?;
    ensure!(replied["status"] == 200 && replied["readings"][0]["value"] == 7.0, "{replied}");
    let others: Vec<String> = tap.lines.all().into_iter().filter(|line| line.contains(r#""kind":"call""#)).collect();
    ensure!(others.is_empty(), "{others:?}");
    Ok(())
}

#[tokio::test]
async fn a_connections_table_says_what_each_costs() -> Result<()> {
    let line = SerialPair::start().await?;
    scale_at(&line)?;
    let gateway = Gateway::start(&weighing(&line, "READ", 50)).await?;
    gateway.connection("scale", "polls", |scale| scale.counters["polls"] > 2).await?;
    let table = gateway.command(["connections"]).await?.expect_code(0)?;
    let row = table.stdout.lines().nth(1).unwrap_or_default().to_owned();
    ensure!(table.stdout.starts_with("connection  adapter") && row.starts_with("scale"), "{table}");
    ensure!(row.contains("running") && row.contains("MiB"), "{table}");
    let one = gateway.command(["connections", "scale", "--json"]).await?.expect_code(0)?.json()?;
    ensure!(one["usage"]["computed_us"].as_u64() > Some(0), "{one}");
    let whole = gateway.command(["connections", "scale"]).await?.expect_code(0)?;
    ensure!(whole.stdout.contains("restarts 0 (0 crashes, 0 out of time)"), "{whole}");
    gateway.command(["connections", "scael"]).await?.expect_code(1)?;
    Ok(())
}
