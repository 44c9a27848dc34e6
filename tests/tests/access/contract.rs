//! The API's contract on a running gateway: schemathesis finds nothing that the document does not say, an error's id leads to a line
//! of the journal, and what the command line can do about connections and adapters, the API can.

use anyhow::{Context, Result, ensure};
use bulkhead_simulators::modbus::{Bank, BankLayout, Device};
use bulkhead_tests::{Gateway, check_examples, http_client, schemathesis, until};
use reqwest::{Method, StatusCode};
use serde_json::Value as Json;
use std::path::Path;

const TOKEN: &str = "an-admins-token";

/// A gateway with a device, a connection for webhooks and an admin.
async fn gateway() -> Result<(Gateway, Device)> {
    let device = Device::builder().unit(1, Bank::new(BankLayout::uniform(200))).start().await?;
    let config = format!(
        "[connections.boiler]\nadapter = \"modbus-registers\"\npoll_interval_ms = 100\n\n\
         [connections.boiler.transports.device]\nkind = \"modbus-tcp\"\naddress = \"{}\"\n\
         allow_write = [\"holding-register:110\"]\n\n[connections.boiler.settings]\n\
         points = [{{ name = \"setpoint\", table = \"holding-register\", address = 110, type = \"i16\", scale = 0.1, \
         writable = {{ min = 5, max = 90 }} }}]\n\n\
         [connections.shop]\nadapter = \"webhook-json\"\n\n[[connections.shop.settings.hooks]]\npath = \"/orders\"\n\
         points = [{{ path = \"n\", type = \"integer\" }}]\n\n\
         [api.credentials.admin]\ntoken = \"{TOKEN}\"\nrole = \"admin\"\n",
        device.address()
    );
    Ok((Gateway::start(&config).await?, device))
}

async fn ask(gateway: &Gateway, method: Method, path: &str) -> Result<(StatusCode, Json)> {
    let request = http_client()?.request(method, gateway.api.url(path)).bearer_auth(TOKEN);
    let response = request.send().await?;
    let (status, text) = (response.status(), response.text().await?);
    Ok((status, serde_json::from_str(&text).unwrap_or(Json::String(text))))
}

#[tokio::test]
async fn schemathesis_finds_nothing_that_the_document_does_not_say() -> Result<()> {
    let (gateway, _device) = gateway().await?;
    let folder = tempfile::tempdir()?;
    // Endless answers; and what would take the device from under the other requests.
    let without = ["streamReadings", "tapConnection", "disableConnection"];
    let found = schemathesis(&gateway.api.url(""), TOKEN, &without, folder.path()).await?;
    ensure!(found.code == Some(0), "{found}");
    ensure!(found.stdout.contains("No issues found") || found.stdout.contains("passed"), "{found}");
    Ok(())
}

#[tokio::test]
async fn every_example_of_the_document_is_one_of_its_schema() -> Result<()> {
    let checked = check_examples(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json"))).await?;
    ensure!(checked.code == Some(0) && checked.stdout.contains(" examples"), "{checked}");
    Ok(())
}

#[tokio::test]
async fn the_id_of_an_error_leads_to_its_line_in_the_journal() -> Result<()> {
    let (gateway, _device) = gateway().await?;
    let response = http_client()?.get(gateway.api.url("/api/v1/connections/boilr")).bearer_auth(TOKEN).send().await?;
    let id = response.headers()["x-request-id"].to_str()?.to_owned();
    let problem: Json = response.json().await?;
    ensure!(problem["instance"] == format!("urn:bulkhead:request:{id}"), "{problem}");
    until("the line", async || {
        let lines = gateway.journal.all();
        let line = lines.iter().find(|line| line.contains(&id) && line.contains("/api/v1/connections/boilr"));
        Ok(line.map(|_| ()).ok_or_else(|| format!("none has {id}")))
    })
    .await?;
    // What was refused is in the audit log under the same id.
    let stranger = http_client()?.get(gateway.api.url("/api/v1/points")).send().await?;
    let id = stranger.headers()["x-request-id"].to_str()?.to_owned();
    until("the record", async || {
        let (_, page) = ask(&gateway, Method::GET, "/api/v1/audit").await?;
        let records = page["records"].as_array().context("no records")?;
        let found = records.iter().any(|record| record["request"] == id && record["status"] == 401);
        Ok(if found { Ok(()) } else { Err(page.to_string()) })
    })
    .await
}

#[tokio::test]
async fn a_connection_is_tested_and_switched_and_the_adapters_are_listed() -> Result<()> {
    let (gateway, _device) = gateway().await?;
    let is = async |state: &str| {
        until(state, async || {
            let (_, connection) = ask(&gateway, Method::GET, "/api/v1/connections/boiler").await?;
            Ok(if connection["state"] == state { Ok(()) } else { Err(connection.to_string()) })
        })
        .await
    };
    is("running").await?;
    let test = "/api/v1/connections/boiler/test";
    until("the transport to be up", async || {
        let (status, tested) = ask(&gateway, Method::POST, test).await?;
        ensure!(status == StatusCode::OK, "{tested}");
        Ok(if tested["ok"] == true { Ok(()) } else { Err(tested.to_string()) })
    })
    .await?;

    let (status, applied) = ask(&gateway, Method::POST, "/api/v1/connections/boiler/disable").await?;
    ensure!(status == StatusCode::OK && applied["tag"].is_string(), "{applied}");
    is("disabled").await?;
    ensure!(gateway.site().config()?.contains("enabled = false"), "the file says so, too");
    let (status, tested) = ask(&gateway, Method::POST, test).await?;
    ensure!(status == StatusCode::OK && tested["ok"] == true, "its adapter reaches the device: {tested}");
    let (status, applied) = ask(&gateway, Method::POST, "/api/v1/connections/boiler/enable").await?;
    ensure!(status == StatusCode::OK, "{applied}");
    is("running").await?;
    let (status, problem) = ask(&gateway, Method::POST, "/api/v1/connections/boilr/enable").await?;
    ensure!(status == StatusCode::NOT_FOUND && problem["near"] == "boiler", "{problem}");

    let (status, listed) = ask(&gateway, Method::GET, "/api/v1/adapters").await?;
    let adapters = listed["adapters"].as_array().context("no adapters")?;
    let modbus =
        adapters.iter().find(|adapter| adapter["name"] == "modbus-registers").context("no modbus-registers")?;
    ensure!(status == StatusCode::OK && modbus["used_by"][0] == "boiler" && modbus["state"] == "admitted", "{modbus}");
    let told = gateway.command(["adapter", "list", "--json"]).await?.expect_code(0)?.json()?;
    ensure!(told.as_array().is_some_and(|told| told.len() == adapters.len()), "{told}");
    let (_, page) = ask(&gateway, Method::GET, "/api/v1/audit").await?;
    let what = "POST /api/v1/connections/boiler/disable";
    ensure!(page["records"].as_array().is_some_and(|all| all.iter().any(|record| record["what"] == what)), "{page}");
    Ok(())
}
