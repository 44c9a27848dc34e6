//! A poller made for the draft of the WIT package to come: it declares a point of a kind that only the draft has and reads it.

use anyhow::{Context, Result, anyhow};
use std::path::Path;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

/// The component: a point `energy`, whose every reading is the largest unsigned number of 64 bits.
///
/// # Errors
/// Where the draft of the checkout does not fit it.
pub fn draft_adapter() -> Result<Vec<u8>> {
    let mut resolve = wit_parser::Resolve::default();
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit/next");
    let (package, _) = resolve.push_dir(&wit).with_context(|| format!("{} cannot be read", wit.display()))?;
    let world = resolve.select_world(&[package], Some("poller-world"))?;
    let mut module = wat::parse_str(CORE).map_err(|error| anyhow!("{error}"))?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    ComponentEncoder::default().module(&module)?.validate(true).encode()
}

/// At 400 what is declared: the name at 500, kind 9. At 600 what comes of it. At 2048 the reading: its point, no time, Good, a
/// value of case 9 with all bits set. A zeroed result area means success with nothing in it.
const CORE: &str = r#"(module
  (import "bulkhead:adapter/points@0.2.0-draft" "declare" (func $declare (param i32 i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 400) "\f4\01\00\00\06\00\00\00\09")
  (data (i32.const 500) "energy")
  (data (i32.const 2080) "\01\00\00\00\00\00\00\00\09\00\00\00\00\00\00\00\ff\ff\ff\ff\ff\ff\ff\ff")
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096))
  (func (export "bulkhead:adapter/adapter@0.2.0-draft#start") (param i32 i32) (result i32)
    (call $declare (i32.const 400) (i32.const 1) (i32.const 600))
    (i32.store (i32.const 2048) (i32.load (i32.load (i32.const 604))))
    (i32.const 1024))
  (func (export "bulkhead:adapter/adapter@0.2.0-draft#check") (result i32) (i32.const 1024))
  (func (export "bulkhead:adapter/adapter@0.2.0-draft#stop"))
  (func (export "bulkhead:adapter/poller@0.2.0-draft#poll") (param i32 i32) (result i32)
    (i32.store (i32.const 1204) (i32.const 2048))
    (i32.store (i32.const 1208) (i32.const 1))
    (i32.const 1200)))"#;
