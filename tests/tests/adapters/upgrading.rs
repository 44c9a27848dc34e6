//! An upgrade in a running gateway: kept where the connections do as well as before, taken back where they do not, whatever
//! becomes of the command that began it.

use bulkhead_bundle::{Installed, Installing, Probation, Seen, Trust};
use bulkhead_tests::{Gateway, Polled, Site, gateway_binary, until, versioned_adapter};
use std::collections::BTreeMap;
use std::process::Stdio;

const CONFIG: &str = "[gateway]\ndata_dir = \"data\"\nadapters_dir = \"adapters\"\n[api]\nlisten = \"127.0.0.1:0\"\n\
                      [health]\ninterval_s = 0\n[connections.line]\nadapter = \"press\"\npoll_interval_ms = 20\n";

async fn running() -> Gateway {
    let site = Site::verbatim(CONFIG).unwrap();
    write(&site, "1.0.0", Polled::Well);
    let installed = site.command(["adapter", "install", site.path("press.wasm").to_str().unwrap()]).await.unwrap();
    assert_eq!(installed.code, Some(0), "{}", installed.stderr);
    site.run().await.unwrap()
}

fn write(site: &Site, version: &str, polled: Polled) {
    std::fs::write(site.path("press.wasm"), versioned_adapter(version, polled).unwrap()).unwrap();
}

/// The version in the folder, and whether it is on probation.
async fn listed(gateway: &Gateway) -> (String, bool) {
    let listed = gateway.command(["adapter", "list", "--json"]).await.unwrap();
    let listed: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
    (listed[0]["version"].as_str().unwrap().to_owned(), listed[0]["on_probation"] == true)
}

async fn until_polled(gateway: &Gateway) {
    let polled = until("the press to be polled", async || {
        let line = gateway.api.connection("line").await?;
        let well = line.state == "running" && line.counters["polls"] > 0 && line.counters["traps"] == 0;
        Ok(if well { Ok(()) } else { Err(format!("{line:?}")) })
    });
    polled.await.unwrap();
}

#[tokio::test]
async fn a_version_that_crashes_goes_back_by_itself_and_one_that_does_well_stays() {
    let gateway = running().await;
    let file = gateway.site().path("press.wasm").to_str().unwrap().to_owned();
    write(gateway.site(), "1.1.0", Polled::Crashes);
    let refused = gateway.command(["adapter", "upgrade", &file, "--probation-s", "2"]).await.unwrap();
    assert_eq!(refused.code, Some(1), "{}", refused.stdout);
    assert!(refused.stderr.contains("the previous version is back, because connection line"), "{}", refused.stderr);
    assert_eq!(listed(&gateway).await, ("1.0.0".into(), false));
    until_polled(&gateway).await;

    write(gateway.site(), "1.2.0", Polled::Well);
    let kept = gateway.command(["adapter", "upgrade", &file, "--probation-s", "2"]).await.unwrap();
    assert_eq!(kept.code, Some(0), "{}", kept.stderr);
    assert_eq!(kept.stdout, "upgraded press: acme/press 1.2.0, not signed by a trusted key: well for 2 s (line)\n");
    assert_eq!(listed(&gateway).await, ("1.2.0".into(), false));
    write(gateway.site(), "1.1.0", Polled::Well);
    let older = gateway.command(["adapter", "upgrade", &file, "--probation-s", "1"]).await.unwrap();
    assert!(older.code == Some(1) && older.stderr.contains("older than 1.2.0"), "{}", older.stderr);
}

#[tokio::test]
async fn an_upgrade_that_was_interrupted_goes_back_when_the_gateway_starts() {
    let site = Site::verbatim(CONFIG).unwrap();
    let (adapters, data) = (site.path("adapters"), site.path("data"));
    {
        let folder = Installed::open(&adapters, &data).unwrap();
        let trust = Trust::default();
        let judged = |version, polled| {
            let bytes = versioned_adapter(version, polled).unwrap();
            Installing::judged("press", bytes, None, &trust, false).unwrap()
        };
        folder.install(&judged("1.0.0", Polled::Well)).unwrap();
        // What is there when the gateway, or the machine, stops during the probation.
        let before = BTreeMap::from([("line".to_owned(), Seen { state: "running".into(), ..Seen::default() })]);
        let probation = Some(Probation { seconds: 3600, before });
        folder.begin_upgrade(&judged("1.1.0", Polled::Crashes), probation).unwrap();
    }
    let gateway = site.run().await.unwrap();
    assert_eq!(listed(&gateway).await, ("1.0.0".into(), false));
    until_polled(&gateway).await;
}

#[tokio::test]
async fn a_version_goes_back_when_the_command_that_began_its_upgrade_is_gone() {
    let gateway = running().await;
    write(gateway.site(), "1.1.0", Polled::Crashes);
    let file = gateway.site().path("press.wasm");
    let mut command = tokio::process::Command::new(gateway_binary().unwrap());
    command.args(["adapter", "upgrade", file.to_str().unwrap(), "--probation-s", "2", "-c"]);
    command.arg(gateway.site().path("running.toml")).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let mut command = command.spawn().unwrap();
    let data = gateway.site().path("data");
    let begun = until("the upgrade to begin", async || {
        Ok(Installed::pending_of(&data, "press")?.ok_or_else(|| "there is no note of it".to_owned()))
    });
    assert_eq!(begun.await.unwrap().probation.unwrap().seconds, 2);
    command.kill().await.unwrap();
    let ended = until("the gateway to end the probation", async || {
        Ok(Installed::ended_of(&data, "press")?.ok_or_else(|| "it has not ended".to_owned()))
    });
    let ended = ended.await.unwrap();
    assert!(!ended.is_kept && ended.why.contains("connection line"), "{ended:?}");
    assert_eq!(listed(&gateway).await, ("1.0.0".into(), false));
    until_polled(&gateway).await;
}

#[tokio::test]
async fn an_older_version_that_is_asked_for_stays_where_signatures_are_required() {
    let site = Site::verbatim(CONFIG).unwrap();
    let made = site.command(["adapter", "key", site.path("acme").to_str().unwrap()]).await.unwrap();
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let key = std::fs::read_to_string(site.path("acme.pub")).unwrap();
    let security =
        format!("[security]\nrequire_signed = true\ntrusted_keys = {{ acme = \"{}\" }}\n", key.lines().last().unwrap());
    site.write_file("gateway.toml", &format!("{security}{CONFIG}")).unwrap();
    let (file, secret) = (site.path("press.wasm"), site.path("acme.key"));
    let (file, secret) = (file.to_str().unwrap(), secret.to_str().unwrap());
    let sign = async |site: &Site, version| {
        write(site, version, Polled::Well);
        let signed = site.command(["adapter", "sign", file, "--key", secret]).await.unwrap();
        assert_eq!(signed.code, Some(0), "{}", signed.stderr);
    };
    sign(&site, "1.2.0").await;
    assert_eq!(site.command(["adapter", "install", file]).await.unwrap().code, Some(0));
    let gateway = site.run().await.unwrap();
    until_polled(&gateway).await;
    sign(gateway.site(), "1.1.0").await;
    let asked = ["adapter", "upgrade", file, "--allow-rollback", "--probation-s", "2"];
    let kept = gateway.command(asked).await.unwrap();
    assert_eq!(kept.code, Some(0), "{}{}", kept.stdout, kept.stderr);
    assert_eq!(listed(&gateway).await, ("1.1.0".into(), false));
    until_polled(&gateway).await;
}
