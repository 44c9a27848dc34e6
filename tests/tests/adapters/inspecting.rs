//! `bulkhead adapter inspect` of the project's own adapters, and of files that are none.

use crate::golden::assert_golden;
use bulkhead_simulators::modbus::{Bank, BankLayout, Device};
use bulkhead_simulators::mqtt::{Broker, BrokerConfig};
use bulkhead_simulators::scale::{Scale, ScaleMode, Weight};
use bulkhead_simulators::upstream::{Upstream, UpstreamConfig};
use bulkhead_tests::{LabelPrinter, Site, adapters, run_command, within};
use std::path::Path;
use std::time::Duration;

const ADAPTERS: [&str; 8] = [
    "http-json",
    "label-printer",
    "modbus-registers",
    "mqtt-json",
    "odata",
    "serial-text",
    "webhook-any",
    "webhook-json",
];

/// The config block that `inspect` prints of an adapter.
async fn block_of(name: &str) -> String {
    let file = adapters().unwrap().join(format!("{name}.wasm"));
    let json = run_command(["adapter", "inspect", file.to_str().unwrap(), "--json"], None).await.unwrap();
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    json["config"].as_str().unwrap().to_owned()
}

#[test]
fn these_are_all_adapters_of_the_project() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest-adapters");
    let folders = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let adapters = folders.filter(|folder| folder.path().join("adapter.toml").is_file());
    let mut names: Vec<String> = adapters.map(|folder| folder.file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ADAPTERS);
}

/// What differs from build to build.
fn without_build(text: &str) -> String {
    let stable = |line: &str| !line.starts_with("sha-256") && !line.starts_with("size");
    text.lines().filter(|line| stable(line)).map(|line| format!("{line}\n")).collect()
}

#[tokio::test]
async fn every_adapter_says_who_it_is_and_why_it_asks() {
    for name in ADAPTERS {
        let file = adapters().unwrap().join(format!("{name}.wasm"));
        let shown = run_command(["adapter", "inspect", file.to_str().unwrap()], None).await.unwrap();
        assert_eq!(shown.code, Some(0), "{}", shown.stderr);
        assert_golden(&format!("inspect-{name}.txt"), &without_build(&shown.stdout));
        let json = run_command(["adapter", "inspect", file.to_str().unwrap(), "--json"], None).await.unwrap();
        let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
        assert_eq!(json["manifest"]["id"], format!("bulkhead/{name}"));
        assert_eq!(json["contradiction"], serde_json::Value::Null);
        let reasons = json["asks"].as_array().unwrap().iter().all(|ask| ask["reason"].is_string());
        assert!(reasons, "{}", json["asks"]);
    }
}

/// The block is one to start from: as it stands it is a config.
#[tokio::test]
async fn the_config_block_passes_the_check_as_it_stands() {
    for name in ADAPTERS {
        let block = block_of(name).await;
        let checked = Site::new(&block).unwrap().command(["check", "--json"]).await.unwrap();
        let found: serde_json::Value = serde_json::from_str(&checked.stdout).unwrap();
        assert_eq!((checked.code, &found["diagnostics"]), (Some(0), &serde_json::json!([])), "{name}:\n{block}");
    }
}

/// What the operator has: a device or a system for each adapter that needs one.
struct Plant {
    device: Device,
    broker: Broker,
    printer: LabelPrinter,
    scale: Scale,
    upstream: Upstream,
}

impl Plant {
    async fn start() -> Self {
        let weight = Weight { kilograms: 12.5, is_stable: true };
        Self {
            device: Device::builder().unit(1, Bank::new(BankLayout::uniform(200))).start().await.unwrap(),
            broker: Broker::start(BrokerConfig::default()).await.unwrap(),
            printer: LabelPrinter::start().await.unwrap(),
            scale: Scale::start(ScaleMode::Continuous(Duration::from_millis(20)), weight).unwrap(),
            upstream: Upstream::start(UpstreamConfig::default()).await.unwrap(),
        }
    }

    /// A block with the plant's addresses in the place of those that `inspect` makes up, and the one entity set that the
    /// plant's OData service has.
    fn addressed(&self, block: &str) -> String {
        let places = [
            ("192.168.1.10:502", self.device.address().to_string()),
            ("192.168.1.30:1883", self.broker.address().to_string()),
            ("192.168.1.20:4001", self.printer.address.to_string()),
            ("/dev/ttyUSB0", self.scale.path().display().to_string()),
            ("https://upstream.example/api", format!("{}/odata/", self.upstream.url())),
            ("entity_set = \"Measurements\"", "entity_set = \"Readings\"".to_owned()),
        ];
        places.iter().fold(block.to_owned(), |block, (example, real)| block.replace(example, real))
    }
}

/// With real addresses nothing else is missing: settings that the adapter takes, and the grants that its own check needs.
#[tokio::test]
async fn with_real_addresses_the_config_block_passes_the_adapters_own_check() {
    let plant = Plant::start().await;
    for name in ADAPTERS {
        let block = plant.addressed(&block_of(name).await);
        let site = Site::new(&block).unwrap();
        let tested = within(name, site.command(["test", name])).await.unwrap().unwrap();
        assert_eq!(tested.code, Some(0), "{block}\n{}{}", tested.stdout, tested.stderr);
    }
}

#[tokio::test]
async fn what_is_no_adapter_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("press.wasm");
    let path = file.to_str().unwrap();
    for (bytes, reason) in [
        (&b"hello"[..], "does not begin as WebAssembly does"),
        (b"\0asm\x01\0\0\0", "core module"),
        (b"\0asm\x0d\0\x01\0\x00\xff\xff\xff\xff\x0f", "press.wasm is no adapter"),
    ] {
        std::fs::write(&file, bytes).unwrap();
        let refused = run_command(["adapter", "inspect", path], None).await.unwrap();
        assert_eq!(refused.code, Some(1));
        assert!(refused.stderr.contains(reason) || refused.stderr.contains("no adapter"), "{}", refused.stderr);
    }
    let absent = run_command(["adapter", "inspect", "nowhere.wasm"], None).await.unwrap();
    assert!(absent.stderr.contains("nowhere.wasm cannot be read"), "{}", absent.stderr);
}
