//! The config over the API: fetched without its secrets, changed under a condition, checked, refused.

use crate::plants::{device, polled};
use anyhow::{Context, Result, ensure};
use bulkhead_tests::{Gateway, http_client};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::Value as Json;

const CREDENTIALS: &str = "\n[api.credentials.ops]\ntoken = \"hunter2\"\nrole = \"operator\"\n\n\
                           [api.credentials.bi]\ntoken = \"letmein\"\n";

struct Editor {
    client: reqwest::Client,
    gateway: Gateway,
}

impl Editor {
    async fn start(config: &str) -> Result<Self> {
        Ok(Self { client: http_client()?, gateway: Gateway::start(config).await? })
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = self.gateway.api.url(&format!("/api/v1/config{path}"));
        self.client.request(method, url).bearer_auth("hunter2")
    }

    /// The config as an editor gets it, with its tag.
    async fn fetch(&self) -> Result<(String, String)> {
        let response = self.request(Method::GET, "").send().await?.error_for_status()?;
        let tag = response.headers()["etag"].to_str()?.to_owned();
        Ok((tag, response.text().await?))
    }

    async fn send(&self, tag: &str, text: &str) -> Result<(StatusCode, Json)> {
        let request = self.request(Method::POST, "").header("content-type", "application/toml");
        let response = request.header("if-match", tag).body(text.to_owned()).send().await?;
        Ok((response.status(), response.json().await?))
    }
}

#[tokio::test]
async fn two_editors_do_not_overwrite_each_other_and_neither_sees_or_loses_a_secret() -> Result<()> {
    let device = device().await?;
    let editor = Editor::start(&(polled("plc", &device, 20) + CREDENTIALS)).await?;
    let (tag, shown) = editor.fetch().await?;
    ensure!(!shown.contains("hunter2") && !shown.contains("letmein") && shown.contains("[connections.plc]"), "{shown}");

    let slower = shown.replace("poll_interval_ms = 20", "poll_interval_ms = 30");
    let (status, answer) = editor.send(&tag, &slower).await?;
    ensure!(status == StatusCode::OK, "{answer}");
    ensure!(answer["restarted"][0]["part"] == "connections.plc", "{answer}");
    let in_file = editor.gateway.site().config()?;
    ensure!(in_file.contains("hunter2") && in_file.contains("letmein") && in_file.contains("= 30"), "{in_file}");

    let (status, answer) = editor.send(&tag, &shown).await?;
    ensure!(status == StatusCode::PRECONDITION_FAILED && answer["code"] == "outdated-config", "{answer}");
    let (now, _) = editor.fetch().await?;
    ensure!(answer["tag"].as_str().map(|tag| format!("\"{tag}\"")).as_deref() == Some(&*now), "{answer}");
    let request = editor.request(Method::POST, "").header("content-type", "application/toml").body(shown.clone());
    ensure!(request.send().await?.status() == StatusCode::PRECONDITION_REQUIRED);

    let moved = shown.replace("[api.credentials.bi]", "[api.credentials.other]");
    let (status, answer) = editor.send(&now, &moved).await?;
    ensure!(status == StatusCode::UNPROCESSABLE_ENTITY, "a covered secret is not taken for one: {answer}");
    ensure!(answer["diagnostics"][0]["key"] == "api.credentials.other.token", "{answer}");

    let reader = editor.client.post(editor.gateway.api.url("/api/v1/config/rollback")).bearer_auth("letmein");
    ensure!(reader.send().await?.status() == StatusCode::FORBIDDEN);
    editor.gateway.terminate().await?;
    Ok(())
}

#[tokio::test]
async fn a_check_says_what_a_change_would_and_changes_nothing() -> Result<()> {
    let device = device().await?;
    let editor = Editor::start(&(polled("plc", &device, 20) + CREDENTIALS)).await?;
    let (tag, shown) = editor.fetch().await?;
    let check = async |text: &str| -> Result<Json> {
        let request = editor.request(Method::POST, "/check").header("content-type", "application/toml");
        Ok(request.body(text.to_owned()).send().await?.error_for_status()?.json().await?)
    };
    ensure!(check(&shown).await?["ok"] == true);
    let wrong = shown.replace("poll_interval_ms = 20", "poll_intervall_ms = 20");
    let said = check(&wrong).await?;
    let (status, refused) = editor.send(&tag, &wrong).await?;
    ensure!(status == StatusCode::UNPROCESSABLE_ENTITY && said["ok"] == false, "{said} {refused}");
    ensure!(
        said["text"] == refused["text"] && said["text"].as_str().is_some_and(|text| text.contains("poll_intervall_ms"))
    );
    // `bulkhead check` says the same of the same text in the file.
    editor.gateway.site().write_file(
        "gateway.toml",
        &editor.gateway.site().config()?.replace("poll_interval_ms", "poll_intervall_ms"),
    )?;
    let output = editor.gateway.site().command(["check", "--json"]).await?.expect_code(2)?;
    ensure!(output.json()?["diagnostics"] == said["diagnostics"], "{output} {said}");

    let (status, answer) = editor.send("*", &shown).await?;
    ensure!(status == StatusCode::CONFLICT && answer["code"] == "file-edited", "{answer}");
    ensure!(device.counters().connections() == 1, "nothing of this touched the device");
    editor.gateway.terminate().await?;
    Ok(())
}

#[tokio::test]
async fn credentials_follow_and_a_config_nobody_could_use_is_refused() -> Result<()> {
    let device = device().await?;
    let editor = Editor::start(&(polled("plc", &device, 20) + CREDENTIALS)).await?;
    let (tag, shown) = editor.fetch().await?;
    let (_, nowhere) =
        editor.send(&tag, &shown.replace("token = \"*******\"\nrole", "token = { file = \"no\" }\nrole")).await?;
    let detail = nowhere["detail"].as_str().context("a reason")?;
    ensure!(nowhere["status"] == 422 && detail.contains("api.credentials.ops"), "{nowhere}");
    let (status, answer) =
        editor.send(&tag, &shown.replace("token = \"*******\"\nrole", "token = \"renewed\"\nrole")).await?;
    ensure!(status == StatusCode::OK && answer["kept"][0] == "connections.plc", "{answer}");
    ensure!(editor.request(Method::GET, "").send().await?.status() == StatusCode::UNAUTHORIZED, "the old one is over");
    let renewed = editor.client.get(editor.gateway.api.url("/api/v1/config/status")).bearer_auth("renewed");
    let status: Json = renewed.send().await?.error_for_status()?.json().await?;
    ensure!(status["refused"].is_null() && status["needs_restart"] == serde_json::json!([]), "{status}");
    editor.gateway.terminate().await?;
    Ok(())
}

#[tokio::test]
async fn without_credentials_the_api_takes_no_config() -> Result<()> {
    let device = device().await?;
    let editor = Editor::start(&polled("plc", &device, 20)).await?;
    let (tag, shown) = editor.fetch().await?;
    let (status, answer) = editor.send(&tag, &shown).await?;
    ensure!(status == StatusCode::FORBIDDEN && answer["code"] == "needs-credential", "{answer}");
    editor.gateway.terminate().await?;
    Ok(())
}
