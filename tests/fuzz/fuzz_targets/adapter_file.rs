//! An adapter file, as far as it is read before wasmtime sees it: its settings schema.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // What comes back does not matter, only that something does.
    _ = bulkhead_sandbox::settings_schema_in(data);
});
