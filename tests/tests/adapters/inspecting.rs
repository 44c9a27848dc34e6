//! `bulkhead adapter inspect` of the project's own adapters, and of files that are none.

use crate::golden::assert_golden;
use bulkhead_tests::{Site, adapters, run_command};

const ADAPTERS: [&str; 7] =
    ["http-json", "label-printer", "modbus-registers", "mqtt-json", "odata", "serial-text", "webhook-json"];

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

/// The block is one to start from: with values in the place of the words in angle brackets it is a config.
#[tokio::test]
async fn the_config_block_is_right_but_for_what_is_the_operators() {
    for name in ADAPTERS {
        let file = adapters().unwrap().join(format!("{name}.wasm"));
        let json = run_command(["adapter", "inspect", file.to_str().unwrap(), "--json"], None).await.unwrap();
        let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
        let site = Site::new(json["config"].as_str().unwrap()).unwrap();
        let checked = site.command(["check", "--json"]).await.unwrap();
        let diagnostics: serde_json::Value = serde_json::from_str(&checked.stdout).unwrap();
        let errors = diagnostics["diagnostics"].as_array().unwrap().iter().filter(|one| one["severity"] == "error");
        let errors: Vec<_> = errors.filter(|one| !one["message"].as_str().unwrap().contains('<')).collect();
        assert!(errors.is_empty(), "{name}: {errors:?}\n{}", json["config"].as_str().unwrap());
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
