//! The example on a scripted host, without WebAssembly. What all four languages must do stands in `../cases`.

use bulkhead_sdk::modbus::Table;
use bulkhead_sdk::testing::{self, Host};
use energy_meter::{EnergyMeter, Settings};
use serde_json::json;

/// `UPDATE_GOLDEN=1 cargo test` writes the schema anew.
#[test]
fn the_schema_is_the_settings() {
    testing::assert_schema::<Settings>("settings.schema.json");
}

#[test]
fn the_other_languages_have_the_same_schema() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let schema =
        |language: &str| std::fs::read_to_string(folder.join("..").join(language).join("settings.schema.json"));
    for language in ["js", "python", "c"] {
        assert_eq!(schema(language).unwrap(), schema("rust").unwrap(), "{language}");
    }
}

#[test]
fn a_group_is_one_call_and_every_point_gets_a_reading() {
    let host = Host::install();
    for (address, count) in [(0, 1), (16, 3), (32, 6), (48, 7), (60, 1), (100, 10), (120, 8)] {
        host.set_registers(Table::InputRegister, address, &vec![0; count]);
    }
    host.set_registers(Table::HoldingRegister, 200, &[0]);
    let mut adapter = testing::start::<EnergyMeter>(json!({ "ct_ratio": 2.0 })).unwrap();
    assert_eq!(adapter.poll("default").unwrap().len(), 11);
    assert_eq!(host.modbus_reads().len(), 1);
    let counted = adapter.poll("energy").unwrap();
    assert_eq!(counted.len(), 5);
    assert!(counted.iter().all(|reading| reading.status.is_good()));
}
