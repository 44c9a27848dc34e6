//! The folders under `tests/scenarios`, one test each.

use anyhow::{Result, ensure};
use bulkhead_tests::scenario;

macro_rules! scenarios {
    ($($name:ident = $folder:literal,)*) => {
        $(
            #[tokio::test]
            async fn $name() -> Result<()> {
                scenario::run($folder).await
            }
        )*

        #[test]
        fn every_folder_is_a_test() -> Result<()> {
            let listed = [$($folder),*];
            let unlisted: Vec<String> =
                scenario::names()?.into_iter().filter(|name| !listed.contains(&name.as_str())).collect();
            ensure!(unlisted.is_empty(), "these folders have no test here: {unlisted:?}");
            Ok(())
        }
    };
}

scenarios! {
    http_json_template = "http-json-template",
    modbus_groups = "modbus-groups",
    modbus_types = "modbus-types",
    mqtt_wildcards = "mqtt-wildcards",
    nmea = "nmea",
    odata_upsert = "odata-upsert",
    route_rename_convert = "route-rename-convert",
    serial_scale = "serial-scale",
}
