//! The actions of OData on a running gateway: a point written, a connection tested, switched off and on again.

use anyhow::{Result, ensure};
use bulkhead_simulators::modbus::{Bank, BankLayout, Device, Table};
use bulkhead_tests::{Gateway, http_client, until, within};
use reqwest::StatusCode;
use serde_json::{Value as Json, json};

const CREDENTIALS: &str = "\n[api.credentials.ops]\ntoken = \"hunter2\"\nrole = \"operator\"\n\n\
                           [api.credentials.bi]\ntoken = \"letmein\"\n";

struct Client {
    client: reqwest::Client,
    gateway: Gateway,
}

impl Client {
    async fn ask(&self, token: &str, path: &str, body: &str) -> Result<(StatusCode, Json)> {
        let url = self.gateway.api.url(&format!("/odata/v4/{path}"));
        let request = self.client.post(url).bearer_auth(token).header("content-type", "application/json");
        let response = request.body(body.to_owned()).send().await?;
        let (status, text) = (response.status(), response.text().await?);
        Ok((status, serde_json::from_str(&text).unwrap_or(Json::String(text))))
    }

    async fn get(&self, path: &str) -> Result<Json> {
        let url = self.gateway.api.url(&format!("/odata/v4/{path}"));
        Ok(self.client.get(url).bearer_auth("letmein").send().await?.error_for_status()?.json().await?)
    }

    /// Waits until the connection is as wanted.
    async fn is(&self, what: &str, wanted: impl Fn(&Json) -> bool) -> Result<()> {
        until(what, async || {
            let connection = self.get("Connections('plc')").await?;
            Ok(if wanted(&connection) { Ok(()) } else { Err(connection.to_string()) })
        })
        .await
    }
}

#[tokio::test]
async fn a_point_is_written_and_a_connection_tested_and_switched_over_odata() -> Result<()> {
    let bank = Bank::new(BankLayout::uniform(100));
    let device = Device::builder().unit(1, bank.clone()).start().await?;
    let config = format!(
        "# mine\n[connections.plc] # the boiler's\nadapter = \"modbus-registers\"\npoll_interval_ms = 20\n\n\
         [connections.plc.transports.device]\nkind = \"modbus-tcp\"\naddress = \"{}\"\n\
         allow_write = [\"holding-register:1\"]\n\n[connections.plc.settings]\n\
         points = [{{ name = \"r1\", table = \"holding-register\", address = 1, writable = true }}]\n{CREDENTIALS}",
        device.address()
    );
    let client = Client { client: http_client()?, gateway: Gateway::start(&config).await? };
    client.is("running", |plc| plc["State"] == "running" && plc["ReadingCount"] != 0).await?;
    let id = client.get("Connections('plc')/Points?$select=Id").await?["value"][0]["Id"].clone();

    let (status, written) = client.ask("hunter2", &format!("Points({id})/Write"), r#"{"Value":77}"#).await?;
    ensure!(status == StatusCode::OK && written["ReadBack"] == "77", "{status} {written}");
    within("the write", bank.wait_for(Table::HoldingRegister, 1, 1, |words| words == [77])).await??;
    let (status, refused) = client.ask("letmein", &format!("Points({id})/Write"), r#"{"Value":78}"#).await?;
    ensure!(status == StatusCode::FORBIDDEN, "{refused}");
    // Whoever may only read may send several requests at once, but none of them may write.
    let headers = json!({ "content-type": "application/json" });
    let write = json!({ "id": "2", "method": "POST", "url": format!("Points({id})/Write"), "headers": headers, "body": { "Value": "79" } });
    let batch = json!({ "requests": [{ "id": "1", "method": "GET", "url": "Points/$count" }, write] });
    let (status, answers) = client.ask("letmein", "$batch", &batch.to_string()).await?;
    ensure!(status == StatusCode::OK, "{answers}");
    ensure!(answers["responses"][0]["status"] == 200 && answers["responses"][1]["status"] == 403, "{answers}");

    let (_, tested) = client.ask("hunter2", "Connections('plc')/Test", "").await?;
    ensure!(tested["Ok"] == true, "{tested}");
    let (status, answer) = client.ask("hunter2", "Connections('plc')/Disable", "").await?;
    ensure!(status == StatusCode::NO_CONTENT, "{status} {answer}");
    client.is("disabled", |plc| plc["State"] == "disabled").await?;
    let file = client.gateway.site().config()?;
    ensure!(file.contains("[connections.plc] # the boiler's\nenabled = false\n") && file.contains("# mine"), "{file}");
    ensure!(file.contains("hunter2"), "secrets stay what they are");
    let (_, tested) = client.ask("hunter2", "Connections('plc')/Bulkhead.Test", "{}").await?;
    ensure!(tested["Ok"] == true, "put up for its own check: {tested}");
    let (status, _) = client.ask("hunter2", "Connections('plc')/Enable", "").await?;
    ensure!(status == StatusCode::NO_CONTENT);
    client.is("running", |plc| plc["State"] == "running").await?;
    client.gateway.terminate().await?;
    Ok(())
}
