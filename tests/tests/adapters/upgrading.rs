//! An upgrade in a running gateway: kept where the connections do as well as before, taken back where they do not.

use bulkhead_tests::{Gateway, Polled, Site, until, versioned_adapter};

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
        let folder = bulkhead_bundle::Installed::open(&adapters, &data).unwrap();
        let trust = bulkhead_bundle::Trust::default();
        let judged = |version, polled| {
            let bytes = versioned_adapter(version, polled).unwrap();
            bulkhead_bundle::Installing::judged("press", bytes, None, &trust, false).unwrap()
        };
        folder.install(&judged("1.0.0", Polled::Well)).unwrap();
        // What the command leaves behind when it, or the machine, stops during the probation.
        folder.begin_upgrade(&judged("1.1.0", Polled::Crashes)).unwrap();
    }
    let gateway = site.run().await.unwrap();
    assert_eq!(listed(&gateway).await, ("1.0.0".into(), false));
    until_polled(&gateway).await;
}
