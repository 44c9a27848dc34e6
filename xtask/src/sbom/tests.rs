//! The bill of this very workspace, held against what cargo says and against the rules of CycloneDX by their own library.

use super::*;
use serde_json::json;
use std::io::Write;
use std::process::Stdio;

const TARGET: &str = "x86_64-unknown-linux-gnu";

#[test]
fn the_bill_names_what_is_linked_with_licence_hash_and_what_needs_it() {
    let bill = of(TARGET).unwrap();
    assert_eq!(not_allowed(&bill).unwrap(), Vec::<String>::new());
    let mut strange = bill.clone();
    strange.components[0].licence = Some("GPL-3.0-only".into());
    assert_eq!(not_allowed(&strange).unwrap().len(), 1);
    let json = bill.to_json();
    let components = json["components"].as_array().unwrap();
    let find = |name: &str| components.iter().find(|one| one["name"] == name);
    let ring = find("ring").unwrap();
    assert_eq!(ring["scope"], "required");
    assert_eq!(ring["licenses"][0]["expression"], "Apache-2.0 AND ISC");
    assert_eq!(ring["hashes"][0]["content"].as_str().unwrap().len(), 64);
    assert_eq!(ring["purl"], format!("pkg:cargo/ring@{}", ring["version"].as_str().unwrap()));
    assert_eq!(find("cc").unwrap()["scope"], "excluded", "it only runs during the build");
    assert_eq!(find("sqlite").unwrap()["licenses"][0]["expression"], "blessing");
    assert_eq!(find("swagger-ui-dist").unwrap()["licenses"][0]["expression"], "Apache-2.0");
    assert!(find("bulkhead-sandbox").is_some(), "ours are listed, too");
    for stranger in ["proptest", "xtask", "rustsec", "bulkhead-tests"] {
        assert!(find(stranger).is_none(), "{stranger} is in no binary");
    }
    for component in components {
        assert!(component["licenses"][0]["expression"].is_string(), "{component} has no licence");
        let is_of_registry = component["purl"].as_str().unwrap().starts_with("pkg:cargo/")
            && !component["name"].as_str().unwrap().starts_with("bulkhead");
        assert_eq!(component["hashes"].is_array(), is_of_registry, "{component}");
    }
    let shipped = json["metadata"]["component"]["bom-ref"].as_str().unwrap();
    let needs = json["dependencies"].as_array().unwrap().iter().find(|one| one["ref"] == shipped).unwrap();
    assert!(needs["dependsOn"].to_string().contains("pkg:cargo/bulkhead-engine@"), "{needs}");
    assert_eq!(json, of(TARGET).unwrap().to_json(), "made again it is the same");
}

#[test]
fn the_bill_keeps_the_rules_of_cyclonedx() {
    let bill = of(TARGET).unwrap().to_json();
    assert_eq!(what_is_wrong(&bill), "");
    // The rules are looked at: on a few components, because each is compared with each.
    let mut few = bill;
    few["components"].as_array_mut().unwrap().truncate(3);
    few["dependencies"] = json!([]);
    assert_eq!(what_is_wrong(&few), "");
    let mut unlike = few.clone();
    unlike["components"][0]["hashes"] = json!([{ "alg": "SHA-256", "content": "no hash" }]);
    assert_ne!(what_is_wrong(&unlike), "");
    let mut twice = few;
    twice["components"][1] = twice["components"][0].clone();
    assert_ne!(what_is_wrong(&twice), "");
}

const VALIDATE: &str = "import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(sys.stdin.read())
print(error or '', end='')
";

/// What the validator of the Python library has against a bill; empty: nothing.
fn what_is_wrong(bill: &Value) -> String {
    let folder = std::env::var_os("BULKHEAD_VENV").map_or_else(crate::python::folder, PathBuf::from);
    let mut python = Command::new(folder.join("bin/python"));
    python.args(["-c", VALIDATE]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut python = python.spawn().expect("`cargo xtask test --only needs` makes the Python folder");
    // A validator that ends before it has read says why below.
    _ = python.stdin.take().unwrap().write_all(bill.to_string().as_bytes());
    let output = python.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`cargo xtask test --only needs` makes the Python folder anew: {said}");
    String::from_utf8(output.stdout).unwrap()
}
