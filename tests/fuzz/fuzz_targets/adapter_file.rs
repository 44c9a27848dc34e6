//! An adapter file, as far as it is read before wasmtime sees it: its settings schema, its manifest, the names of what it
//! imports and exports.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // What comes back does not matter, only that something does.
    _ = bulkhead_sandbox::settings_schema_in(data);
    _ = bulkhead_bundle::Manifest::read(data);
    _ = bulkhead_bundle::Surface::read(data);
});
