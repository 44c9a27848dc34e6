//! A poller of a chosen version and behaviour with a manifest, made from the text format: for tests of what happens when one
//! version follows another.

use anyhow::{Context, Result, anyhow};
use bulkhead_bundle::{MANIFEST_FORMAT, MANIFEST_SECTION, Manifest, WIT_VERSION, append_section};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

/// What it does when it is polled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Polled {
    /// It brings nothing, and is well.
    Well,
    /// It crashes.
    Crashes,
}

/// The adapter `acme/press` of this version, as the file of an adapter has it.
///
/// # Errors
/// Where the WIT package of the checkout does not fit it.
pub fn versioned_adapter(version: &str, polled: Polled) -> Result<Vec<u8>> {
    let mut resolve = wit_parser::Resolve::default();
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
    let (package, _) = resolve.push_dir(&wit).with_context(|| format!("{} cannot be read", wit.display()))?;
    let world = resolve.select_world(&[package], Some("poller-world"))?;
    let crash = if polled == Polled::Crashes { "unreachable" } else { "" };
    let mut module = wat::parse_str(CORE.replace("{crash}", crash)).map_err(|error| anyhow!("{error}"))?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    let mut component = ComponentEncoder::default().module(&module)?.validate(true).encode()?;
    append_section(&mut component, MANIFEST_SECTION, &serde_json::to_vec(&manifest(version)?)?);
    Ok(component)
}

fn manifest(version: &str) -> Result<Manifest> {
    Ok(Manifest {
        format: MANIFEST_FORMAT,
        id: "acme/press".into(),
        version: version.parse()?,
        description: "Watches a press.".into(),
        author: "Acme".into(),
        licence: "MIT".into(),
        wit: WIT_VERSION.parse()?,
        roles: BTreeSet::from(["poller".into()]),
        asks: BTreeMap::new(),
        points: Vec::new(),
    })
}

/// A zeroed result area means success with nothing in it.
const CORE: &str = r#"(module
  (memory (export "memory") 1)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096))
  (func (export "bulkhead:adapter/adapter@0.1.0#start") (param i32 i32) (result i32) (i32.const 1024))
  (func (export "bulkhead:adapter/adapter@0.1.0#check") (result i32) (i32.const 1024))
  (func (export "bulkhead:adapter/adapter@0.1.0#stop"))
  (func (export "bulkhead:adapter/poller@0.1.0#poll") (param i32 i32) (result i32) {crash} (i32.const 1024)))"#;
