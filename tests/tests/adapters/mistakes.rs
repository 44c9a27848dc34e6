//! What an author is told of a mistake, word by word: one golden file each.

use crate::golden::assert_golden;
use bulkhead_tests::{CommandOutput, Site, adapters, run_command};
use std::path::Path;

/// What `adapter test` says of a component with one script, and what came of the script.
async fn said_of(component: &[u8], script: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("cases")).unwrap();
    std::fs::write(folder.path().join("cases/one.toml"), script).unwrap();
    let file = folder.path().join("made.wasm");
    std::fs::write(&file, component).unwrap();
    let cases = folder.path().join("cases");
    let arguments = ["adapter", "test", "--update", "--component", shown(&file), "--cases", shown(&cases)];
    let output = run_command(arguments, None).await.unwrap();
    let came = std::fs::read_to_string(cases.join("one.expected.json")).unwrap_or_default();
    told(&output, folder.path()) + &came
}

fn shown(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A command's output, with the place it ran at taken out.
fn told(output: &CommandOutput, at: &Path) -> String {
    format!("{}{}exit code {:?}\n", output.stdout, output.stderr, output.code).replace(shown(at), "…")
}

fn component(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

#[tokio::test]
async fn a_world_of_another_version() {
    let made = component(r#"(component (instance $i) (export "bulkhead:adapter/poller@0.2.0" (instance $i)))"#);
    assert_golden("mistake-wrong-world.txt", &said_of(&made, "steps = []").await);
}

#[tokio::test]
async fn a_function_that_is_not_exported() {
    let made = component(
        r#"(component (instance $i) (export "bulkhead:adapter/adapter@0.1.0" (instance $i))
            (export "bulkhead:adapter/poller@0.1.0" (instance $i)))"#,
    );
    assert_golden("mistake-missing-export.txt", &said_of(&made, "steps = []").await);
}

#[tokio::test]
async fn an_import_that_nobody_offers() {
    let made = component(
        r#"(component (import "acme:files/open@1.0.0" (instance (export "open" (func)))) (instance $i)
            (export "bulkhead:adapter/adapter@0.1.0" (instance $i))
            (export "bulkhead:adapter/poller@0.1.0" (instance $i)))"#,
    );
    assert_golden("mistake-refused-import.txt", &said_of(&made, "steps = []").await);
}

const WRONG_TYPE: &str =
    "[[settings.points]]\nname = \"flow_temp\"\ntable = \"holding-register\"\naddress = 100\ntype = \"i-16\"\n";

#[tokio::test]
async fn an_import_without_its_transport() {
    let registers = std::fs::read(adapters().unwrap().join("modbus-registers.wasm")).unwrap();
    assert_golden("mistake-not-granted.txt", &said_of(&registers, "[[steps]]\npoll = \"default\"\n").await);
}

#[tokio::test]
async fn settings_that_do_not_fit_the_schema() {
    let registers = std::fs::read(adapters().unwrap().join("modbus-registers.wasm")).unwrap();
    let script = format!("{WRONG_TYPE}\n[transports.device]\nkind = \"modbus\"\n\n[[steps]]\npoll = \"default\"\n");
    assert_golden("mistake-settings.txt", &said_of(&registers, &script).await);

    // The same in a config: with file, line and column, and before anything runs.
    let settings = WRONG_TYPE.replace("settings.points", "connections.boiler.settings.points");
    let site = Site::new(&format!("[connections.boiler]\nadapter = \"modbus-registers\"\n{settings}")).unwrap();
    let checked = site.command(["check"]).await.unwrap();
    assert_golden("mistake-settings-check.txt", &told(&checked, &site.path("")).replace("…gateway", "…/gateway"));
}

/// A poller in the text format that writes a panic's line as an error, as the SDK does, and traps.
fn panicking() -> Vec<u8> {
    let line = "the adapter panicked at src/lib.rs:61:9: too short";
    let core = format!(
        r#"(module
            (import "bulkhead:adapter/log@0.1.0" "write" (func $say (param i32 i32 i32)))
            (memory (export "memory") 1)
            (data (i32.const 16) "{line}")
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096))
            (func (export "bulkhead:adapter/adapter@0.1.0#start") (param i32 i32) (result i32) (i32.const 1024))
            (func (export "bulkhead:adapter/adapter@0.1.0#check") (result i32) (i32.const 1024))
            (func (export "bulkhead:adapter/adapter@0.1.0#stop"))
            (func $weigh (call $say (i32.const 3) (i32.const 16) (i32.const {})) unreachable)
            (func $poll (export "bulkhead:adapter/poller@0.1.0#poll") (param i32 i32) (result i32) (call $weigh) (i32.const 1024)))"#,
        line.len()
    );
    let mut resolve = wit_parser::Resolve::default();
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
    let (package, _) = resolve.push_dir(wit).unwrap();
    let world = resolve.select_world(&[package], Some("poller-world")).unwrap();
    let mut module = wat::parse_str(core).unwrap();
    wit_component::embed_component_metadata(&mut module, &resolve, world, wit_component::StringEncoding::UTF8).unwrap();
    wit_component::ComponentEncoder::default().module(&module).unwrap().encode().unwrap()
}

#[tokio::test]
async fn a_panic_with_its_message_and_line() {
    assert_golden("mistake-panic.txt", &said_of(&panicking(), "[[steps]]\npoll = \"default\"\n").await);
}

#[tokio::test]
async fn a_panic_is_the_fault_and_the_last_crash_of_its_connection() {
    let site = Site::verbatim(
        "[gateway]\ndata_dir = \"data\"\nadapters_dir = \"adapters\"\n[api]\nlisten = \"127.0.0.1:0\"\n[health]\ninterval_s = 0\n\
         [connections.scale]\nadapter = \"made\"\npoll_interval_ms = 50\n",
    )
    .unwrap();
    std::fs::create_dir(site.path("adapters")).unwrap();
    std::fs::write(site.path("adapters/made.wasm"), panicking()).unwrap();
    let gateway = site.run().await.unwrap();
    let panicked = "the adapter panicked at src/lib.rs:61:9: too short";
    let scale = gateway.connection("scale", "its crash", |scale| scale.last_fault.is_some()).await.unwrap();
    let fault = scale.last_fault.unwrap();
    assert!(fault.code == "trap" && fault.message.contains(panicked), "{fault:?}");
    gateway.journal.wait_for_texts(&["the adapter crashed", panicked]).await.unwrap();
    let shown = gateway.command(["connections", "scale"]).await.unwrap();
    let crash = shown.stdout.split("last crash").nth(1).unwrap_or_default().to_owned();
    assert!(crash.contains(panicked) && crash.contains("\n   0  weigh\n"), "{shown}");
}
