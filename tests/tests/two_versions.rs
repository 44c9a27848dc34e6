//! One gateway, an adapter of the version in use and one of the draft to come: both run, side by side. Needs a gateway that was
//! built with its feature `wit-next`.
#![cfg(feature = "wit-next")]
#![allow(clippy::unwrap_used, reason = "a failure of a test's own step is to end it")]

use bulkhead_tests::{Polled, Site, draft_adapter, until, versioned_adapter};

const CONFIG: &str = "[gateway]\ndata_dir = \"data\"\nadapters_dir = \"adapters\"\n[api]\nlisten = \"127.0.0.1:0\"\n\
                      [health]\ninterval_s = 0\n\
                      [connections.press]\nadapter = \"press\"\npoll_interval_ms = 20\n\
                      [connections.meter]\nadapter = \"meter\"\npoll_interval_ms = 20\n";

/// Components and an adapter's part in both versions, which is none.
const TORN: &str = r#"(component (instance $none)
    (export "bulkhead:adapter/adapter@0.1.0" (instance $none))
    (export "bulkhead:adapter/poller@0.1.0" (instance $none))
    (export "bulkhead:adapter/poller@0.2.0-draft" (instance $none)))"#;

#[tokio::test]
async fn adapters_of_two_versions_run_in_one_gateway() {
    let site = Site::verbatim(CONFIG).unwrap();
    std::fs::create_dir(site.path("adapters")).unwrap();
    std::fs::write(site.path("adapters/press.wasm"), versioned_adapter("1.0.0", Polled::Well).unwrap()).unwrap();
    std::fs::write(site.path("adapters/meter.wasm"), draft_adapter().unwrap()).unwrap();
    let gateway = site.run().await.unwrap();
    let both = until("both to be polled", async || {
        let (press, meter) = (gateway.api.connection("press").await?, gateway.api.connection("meter").await?);
        let is_well = |one: &bulkhead_tests::Connection| one.state == "running" && one.counters["polls"] > 2;
        Ok(if is_well(&press) && is_well(&meter) { Ok(()) } else { Err(format!("{press:?} {meter:?}")) })
    });
    both.await.unwrap();
    let reading = gateway.reading("the meter's reading", |reading| reading.point == "energy").await.unwrap();
    assert_eq!(reading.value, serde_json::json!("18446744073709551615"), "{reading:?}");
}

#[tokio::test]
async fn an_adapter_that_is_of_both_versions_is_of_none() {
    let site = Site::verbatim(CONFIG).unwrap();
    std::fs::create_dir(site.path("adapters")).unwrap();
    std::fs::write(site.path("adapters/press.wasm"), wat::parse_str(TORN).unwrap()).unwrap();
    std::fs::write(site.path("adapters/meter.wasm"), draft_adapter().unwrap()).unwrap();
    let told = site.command(["test", "press"]).await.unwrap();
    assert!(told.code == Some(1) && told.stderr.contains("0.1.0 and 0.2.0-draft"), "{}", told.stderr);
}
