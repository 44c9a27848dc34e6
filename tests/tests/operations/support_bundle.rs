//! `bulkhead support-bundle`: everything a helper needs, and none of the secrets that were planted.

use anyhow::{Result, ensure};
use bulkhead_tests::{NUMBERS, Site, adapters, program, within};
use std::collections::BTreeMap;
use std::path::Path;
use tokio::process::Command;

/// What must be in no bundle.
const PLANTED: [&str; 7] = [
    "planted-token",
    "planted-password",
    "planted-header-key",
    "planted-file-secret",
    "planted-comment",
    "planted-userinfo",
    "MIIplantedkey",
];

fn running_config() -> String {
    format!(
        r#"{NUMBERS}
# password = "planted-comment"
[api.credentials.control]
token = "planted-token"
role = "operator"

[api.credentials.reading]
username = "reading"
password = "planted-password"

[connections.erp]
adapter = "http-json"

[connections.erp.transports.upstream]
kind = "http"
base_url = "http://127.0.0.1:1/"
allow_methods = ["POST"]
auth = {{ kind = "header", name = "X-Api-Key", value = "planted-header-key" }}

[connections.mes]
adapter = "http-json"

[connections.mes.transports.upstream]
kind = "http"
base_url = "http://127.0.0.1:1/"
allow_methods = ["POST"]
auth = {{ kind = "bearer", token = {{ file = "mes.token" }} }}

[routes.up]
select = ["source/*"]
to = "erp"
"#
    )
}

/// The texts of a bundle by name, without the folder they are in.
async fn unpacked(bundle: &Path) -> Result<BTreeMap<String, String>> {
    let folder = tempfile::tempdir()?;
    let mut tar = Command::new(program("tar")?);
    tar.arg("-xzf").arg(bundle).arg("-C").arg(folder.path());
    ensure!(within("tar", tar.status()).await??.success(), "tar cannot read {}", bundle.display());
    let mut texts = BTreeMap::new();
    for inner in std::fs::read_dir(folder.path())? {
        for file in std::fs::read_dir(inner?.path())? {
            let file = file?;
            let text = std::fs::read_to_string(file.path())?;
            texts.insert(file.file_name().to_string_lossy().into_owned(), text);
        }
    }
    Ok(texts)
}

fn without_secrets(texts: &BTreeMap<String, String>) -> Result<()> {
    for (name, text) in texts {
        for planted in PLANTED {
            ensure!(!text.contains(planted), "{name} shows {planted}:\n{text}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_bundle_of_a_running_gateway_has_what_helps_and_no_secret() -> Result<()> {
    let site = Site::new(&running_config())?;
    site.write_file("mes.token", "planted-file-secret\n")?;
    // With credentials the readiness needs none, the rest does.
    let gateway = site.run().await?;
    let bundle = gateway.site().path("bundle.tar.gz");
    let output = gateway.command(["support-bundle", "-o", bundle.to_str().unwrap()]).await?.expect_code(0)?;
    for (name, shown) in [("connections.json", "bytes"), ("journal.txt", "bytes"), ("about.txt", "bytes")] {
        ensure!(output.stdout.lines().any(|line| line.starts_with(name) && line.contains(shown)), "{output}");
    }
    ensure!(PLANTED.iter().all(|planted| !output.stdout.contains(planted) && !output.stderr.contains(planted)));
    let texts = unpacked(&bundle).await?;
    without_secrets(&texts)?;
    let has = |name: &str, what: &str| texts.get(name).is_some_and(|text| text.contains(what));
    for (name, what) in [
        ("config.toml", "X-Api-Key"),
        ("connections.json", "\"erp\""),
        ("routes.json", "backlog"),
        ("metrics.txt", "bulkhead_log_rows"),
        ("journal.txt", "connection runs"),
        ("healthz.json", "ok"),
        ("files.txt", "state.db"),
        ("check.txt", "right"),
        ("about.txt", "bulkhead: "),
    ] {
        ensure!(has(name, what), "{name} has no {what}: {:?}", texts.get(name));
    }
    gateway.terminate().await?;
    Ok(())
}

#[tokio::test]
async fn a_bundle_is_made_of_a_wrong_config_too_and_never_overwrites_a_file() -> Result<()> {
    let config = format!(
        "[gateway]\nadapters_dir = \"{}\"\n[connections.a]\nadapter = \"http-json\"\nunknown = 1\n\
         [connections.a.transports.upstream]\nkind = \"http\"\nbase_url = \"http://me:planted-userinfo@h/\"\n\
         [connections.a.transports.upstream.tls]\nkey_file = '''\n-----BEGIN PRIVATE KEY-----\nMIIplantedkey\n\
         -----END PRIVATE KEY-----\n'''\n[api.credentials.x]\ntoken = \"planted-token\n",
        adapters()?.display()
    );
    let site = Site::verbatim(&config)?;
    let bundle = site.path("bundle.tar.gz");
    let output = site.command(["support-bundle", "-o", bundle.to_str().unwrap()]).await?.expect_code(0)?;
    ensure!(PLANTED.iter().all(|planted| !output.stdout.contains(planted)), "{output}");
    let texts = unpacked(&bundle).await?;
    without_secrets(&texts)?;
    ensure!(texts["check.txt"].contains("error"), "{}", texts["check.txt"]);
    let again = site.command(["support-bundle", "-o", bundle.to_str().unwrap()]).await?.expect_code(1)?;
    ensure!(again.stderr.contains("bundle.tar.gz"), "{again}");
    Ok(())
}
