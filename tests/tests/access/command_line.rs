//! `bulkhead user`, `key` and `audit`, before the gateway runs and while it runs; TLS as they need it.

use anyhow::{Context, Result, ensure};
use bulkhead_tests::{Certificates, CommandOutput, Site, gateway_binary, http_client, until, within};
use serde_json::Value;
use std::path::Path;
use std::process::Stdio;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

const SOURCE: &str = "[connections.source]\nadapter = \"webhook-json\"\n\n[[connections.source.settings.hooks]]\npath = \"/a\"\n\
                      points = [{ path = \"n\", type = \"integer\" }]\n";

/// A command that reads a password from stdin.
async fn with_password(config: &Path, arguments: &[&str], password: &str) -> Result<CommandOutput> {
    let mut command = Command::new(gateway_binary()?);
    command.args(arguments).env("BULKHEAD_CONFIG", config).kill_on_drop(true);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    child.stdin.take().context("no stdin")?.write_all(format!("{password}\n").as_bytes()).await?;
    let output = within("the command", child.wait_with_output()).await??;
    Ok(CommandOutput {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

#[tokio::test]
async fn the_first_user_is_made_before_the_gateway_runs_and_others_while_it_runs() -> Result<()> {
    let site = Site::new(SOURCE)?;
    let config = site.path("gateway.toml");
    with_password(&config, &["user", "add", "anna", "--role", "admin"], "short").await?.expect_code(1)?;
    with_password(&config, &["user", "add", "anna", "--role", "admin"], "correct horse").await?.expect_code(0)?;
    let key = site.command(["key", "create", "historian", "--expires-days", "30"]).await?.expect_code(0)?.stdout;
    let gateway = site.run().await?;
    let client = http_client()?;
    let session = || client.get(gateway.api.url("/api/v1/session"));
    assert_eq!(session().send().await?.status(), 401, "nobody is asked for nothing any more");
    let who: Value = session().basic_auth("anna", Some("correct horse")).send().await?.json().await?;
    assert_eq!((&who["name"], &who["role"]), (&Value::from("anna"), &Value::from("admin")));
    assert_eq!(session().bearer_auth(key.trim()).send().await?.status(), 200);

    // The commands that ask the running gateway still may: they have a key of their own.
    let running = gateway.site().path("running.toml");
    gateway.command(["reload"]).await?.expect_code(0)?;
    gateway.command(["tap", "source", "--for", "1s"]).await?.expect_code(0)?;
    with_password(&running, &["user", "add", "otto", "--role", "viewer"], "another horse").await?.expect_code(0)?;
    let otto = || session().basic_auth("otto", Some("another horse"));
    until("otto to be let in", async || {
        let status = otto().send().await?.status();
        Ok(if status == 200 { Ok(()) } else { Err(status.to_string()) })
    })
    .await?;
    gateway.command(["user", "remove", "otto"]).await?.expect_code(0)?;
    gateway.command(["key", "revoke", "historian"]).await?.expect_code(0)?;
    until("both to be let in no more", async || {
        let statuses = (otto().send().await?.status(), session().bearer_auth(key.trim()).send().await?.status());
        let gone = statuses.0 != 200 && statuses.1 != 200;
        Ok(if gone { Ok(()) } else { Err(format!("{statuses:?}")) })
    })
    .await?;
    let users = gateway.command(["user", "list", "--json"]).await?.expect_code(0)?.json()?;
    assert_eq!(users, serde_json::json!([{ "name": "anna", "role": "admin" }]));
    assert_eq!(gateway.command(["key", "list", "--json"]).await?.json()?, serde_json::json!([]));

    let audit = gateway.command(["audit", "--since", "1h"]).await?.expect_code(0)?.stdout;
    for what in
        ["user add", "user remove", "key create", "key revoke", "refused: unauthorized", "POST /api/v1/config/reload"]
    {
        ensure!(audit.contains(what), "{what} is not in\n{audit}");
    }
    let lines = gateway.command(["audit", "--json"]).await?.expect_code(0)?.stdout;
    for secret in ["correct horse", "another horse", key.trim()] {
        ensure!(!lines.contains(secret), "{lines}");
    }
    let journal = gateway.terminate().await?.1.all().join("\n");
    ensure!(journal.contains("self-signed certificate; SHA-256"), "{journal}");
    ensure!(!journal.contains("horse") && !journal.contains(key.trim()), "{journal}");
    Ok(())
}

#[tokio::test]
async fn a_key_for_a_connection_that_the_config_does_not_have_needs_a_word_more() -> Result<()> {
    let site = Site::new(SOURCE)?;
    let refused = site.command(["key", "create", "panel", "--connection", "sorce"]).await?.expect_code(1)?;
    for told in ["there is no connection `sorce`; did you mean `source`?", "--allow-unknown"] {
        ensure!(refused.stderr.contains(told), "{refused}");
    }
    assert_eq!(site.command(["key", "list", "--json"]).await?.json()?, serde_json::json!([]));
    site.command(["key", "create", "panel", "--connection", "source"]).await?.expect_code(0)?;
    let later = ["key", "create", "later", "--connection", "press", "--allow-unknown"];
    site.command(later).await?.expect_code(0)?;

    // A config that cannot be read to its end does not keep the first key from being made.
    site.write_file("gateway.toml", &format!("{}\n[connections.half", site.config()?))?;
    let made = site.command(["key", "create", "first", "--connection", "half"]).await?.expect_code(0)?;
    ensure!(made.stderr.contains("nobody has looked"), "{made}");
    Ok(())
}

#[tokio::test]
async fn a_users_file_that_is_damaged_keeps_the_gateway_from_starting_open() -> Result<()> {
    let site = Site::new(SOURCE)?;
    with_password(&site.path("gateway.toml"), &["user", "add", "anna", "--role", "admin"], "correct horse")
        .await?
        .expect_code(0)?;
    let file = site.path("data/access/accounts.json");
    std::fs::write(&file, "{\"format\": 1, \"users\": [")?;
    let refused = site.command(["run"]).await?;
    ensure!(refused.code == Some(1) && refused.stderr.contains("accounts.json"), "{refused}");
    Ok(())
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_without_a_restart() -> Result<()> {
    let (first, second) = (Certificates::make().await?, Certificates::make().await?);
    let site =
        Site::new(&format!("[api.tls]\ncertificate_file = \"tls.pem\"\nkey = {{ file = \"tls.key\" }}\n\n{SOURCE}"))?;
    let install = |of: &Certificates, site: &Site| -> Result<()> {
        for (from, to) in [(of.server_key(), "tls.key"), (of.server(), "tls.pem")] {
            std::fs::copy(from, site.path("new"))?;
            std::fs::rename(site.path("new"), site.path(to))?;
        }
        Ok(())
    };
    install(&first, &site)?;
    let gateway = site.run().await?;
    let url = gateway.api.url("/healthz").replace("http://", "https://");
    let believing = |of: &Certificates| -> Result<reqwest::Client> {
        let authority = reqwest::Certificate::from_pem(&std::fs::read(of.authority())?)?;
        Ok(reqwest::Client::builder().no_proxy().tls_certs_only([authority]).pool_max_idle_per_host(0).build()?)
    };
    assert_eq!(believing(&first)?.get(&url).send().await?.status(), 200);
    install(&second, gateway.site())?;
    let new = believing(&second)?;
    until("the new certificate", async || match new.get(&url).send().await {
        Ok(response) => Ok(Ok(response.status())),
        Err(error) => Ok(Err(format!("{error:?}"))),
    })
    .await?;
    ensure!(believing(&first)?.get(&url).send().await.is_err(), "the old one is not shown any more");
    gateway.terminate().await?;
    Ok(())
}

/// A gateway whose API other machines can reach needs somebody who is known, however they were made.
#[tokio::test]
async fn with_a_user_the_gateway_listens_for_others() -> Result<()> {
    let site = Site::new(SOURCE)?;
    let open = site.config()?.replace("127.0.0.1:0", "0.0.0.0:0");
    site.write_file("gateway.toml", &open)?;
    let refused = site.command(["check"]).await?;
    ensure!(refused.code == Some(2) && refused.to_string().contains("bulkhead user add"), "{refused}");
    with_password(&site.path("gateway.toml"), &["user", "add", "anna", "--role", "admin"], "correct horse")
        .await?
        .expect_code(0)?;
    site.command(["check"]).await?.expect_code(0)?;
    site.command(["user", "remove", "anna"]).await?.expect_code(0)?;
    let refused = site.command(["run"]).await?;
    ensure!(refused.code == Some(1) && refused.stderr.contains("which others can reach"), "{refused}");
    Ok(())
}
