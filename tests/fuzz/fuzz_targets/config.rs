//! A config file: any text is read or refused with places inside of it.
#![no_main]

use bulkhead_config::{AnyAdapter, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(diagnostics) = parse(text, "gateway.toml".as_ref(), &AnyAdapter) {
        assert!(diagnostics.errors() > 0);
        assert!(diagnostics.items.iter().all(|item| item.span.end <= text.len().max(1)), "{diagnostics:?}");
    }
});
