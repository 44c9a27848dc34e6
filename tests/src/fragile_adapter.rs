//! A listener that some payloads bring down, made from the text format: no adapter of ours can be made to crash on demand.

use anyhow::{Context, Result, anyhow};
use std::path::Path;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

/// What the adapter does with a payload that begins with `X`; at `L` it computes for ever, in either case. Of any other
/// payload it reads the first byte as the point `byte`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fragility {
    /// It crashes.
    Fragile,
    /// It reads it as any other.
    Mended,
}

/// The adapter, as the file of an adapter has it.
///
/// # Errors
/// Where the WIT package of the checkout does not fit it.
pub fn fragile_adapter(fragility: Fragility) -> Result<Vec<u8>> {
    let mut resolve = wit_parser::Resolve::default();
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
    let (package, _) = resolve.push_dir(&wit).with_context(|| format!("{} cannot be read", wit.display()))?;
    let world = resolve.select_world(&[package], Some("listener-world"))?;
    let crash = if fragility == Fragility::Fragile { "unreachable" } else { "" };
    let mut module = wat::parse_str(CORE.replace("{crash}", crash)).map_err(|error| anyhow!("{error}"))?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    ComponentEncoder::default().module(&module)?.validate(true).encode()
}

/// The layouts are those of the canonical ABI: a frame takes 48 bytes with its kind at 0 and its payload at 12, a reading
/// 72 with its point at 0, the option of a value at 32, its case at 40 and the number at 48.
const CORE: &str = r#"(module
  (import "bulkhead:adapter/points@0.1.0" "declare" (func $declare (param i32 i32 i32)))
  (memory (export "memory") 64)
  (data (i32.const 16) "\80\00\00\00\04\00\00\00\01")
  (data (i32.const 128) "byte")
  (global $top (mut i32) (i32.const 4096))
  (func $realloc (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
    (global.set $top (i32.add (local.get $at) (local.get 3)))
    (local.get $at))
  (func (export "bulkhead:adapter/adapter@0.1.0#start") (param i32 i32) (result i32)
    (call $declare (i32.const 16) (i32.const 1) (i32.const 512))
    (i32.const 1024))
  (func (export "bulkhead:adapter/adapter@0.1.0#check") (result i32) (i32.const 1024))
  (func (export "bulkhead:adapter/adapter@0.1.0#stop"))
  (func (export "bulkhead:adapter/listener@0.1.0#receive")
    (param $role i32) (param $role_length i32) (param $frame i32) (param $frames i32) (result i32)
    (local $byte i32) (local $reading i32) (local $readings i32)
    (local.set $reading
      (call $realloc (i32.const 0) (i32.const 0) (i32.const 8) (i32.mul (local.get $frames) (i32.const 72))))
    (i32.store (i32.const 2052) (local.get $reading))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $frames)))
        (if (i32.eqz (i32.load8_u (local.get $frame)))
          (then
            (local.set $byte (i32.load8_u (i32.load offset=12 (local.get $frame))))
            (if (i32.eq (local.get $byte) (i32.const 88)) (then {crash}))
            (if (i32.eq (local.get $byte) (i32.const 76)) (then (loop $forever (br $forever))))
            (i32.store (local.get $reading) (i32.load (i32.load (i32.const 516))))
            (i32.store8 offset=32 (local.get $reading) (i32.const 1))
            (i32.store8 offset=40 (local.get $reading) (i32.const 1))
            (i64.store offset=48 (local.get $reading) (i64.extend_i32_u (local.get $byte)))
            (local.set $reading (i32.add (local.get $reading) (i32.const 72)))
            (local.set $readings (i32.add (local.get $readings) (i32.const 1)))))
        (local.set $frame (i32.add (local.get $frame) (i32.const 48)))
        (local.set $frames (i32.sub (local.get $frames) (i32.const 1)))
        (br $next)))
    (i32.store (i32.const 2056) (local.get $readings))
    (i32.const 2048)))"#;
