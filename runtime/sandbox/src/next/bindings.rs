//! Rust types and glue generated from `wit/next/`, the draft of the version to come.

#![allow(
    missing_docs,
    unreachable_pub,
    unsafe_code,
    dead_code,
    clippy::all,
    clippy::pedantic,
    reason = "generated from the WIT, whose items carry the docs; the generator checks each function's type before it calls it unchecked"
)]

wasmtime::component::bindgen!({
    path: "../../wit/next",
    world: "bulkhead:adapter/every-role",
    imports: { default: async },
    exports: { default: async },
    additional_derives: [PartialEq, Clone],
});
