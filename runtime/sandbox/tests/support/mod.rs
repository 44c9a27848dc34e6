//! Small guests in the text format, and stand-ins for what the engine grants.

use async_trait::async_trait;
use bulkhead_model::{PointId, PointInfo, Timestamp};
use bulkhead_sandbox::capability::{
    Capabilities, Catalogue, Change, Clock, Declared, Fault, Journal, Level, Modbus, Span, Words,
};
use bulkhead_sandbox::{CodeKind, Guest, Limits, Sandbox, SandboxConfig, SandboxError};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A component from a core module in the text format, of the given world of `wit/` (with further WIT packages).
pub(crate) fn component(world: &str, more_wit: &str, core: &str) -> Vec<u8> {
    let mut resolve = wit_parser::Resolve::default();
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
    let (mut package, _) = resolve.push_dir(wit).unwrap();
    if !more_wit.is_empty() {
        package = resolve.push_str("more.wit", more_wit).unwrap();
    }
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    let mut module = wat::parse_str(core).unwrap();
    wit_component::embed_component_metadata(&mut module, &resolve, world, wit_component::StringEncoding::UTF8).unwrap();
    wit_component::ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap()
}

/// A poller whose functions have these bodies. A zeroed result area means success with nothing in it.
pub(crate) fn poller(imports: &str, start: &str, check: &str, poll: &str) -> String {
    format!(
        r#"(module
            {imports}
            (memory (export "memory") 1)
            (global $top (mut i32) (i32.const 4096))
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                (local $at i32)
                (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
                (global.set $top (i32.add (local.get $at) (local.get 3)))
                (local.get $at))
            (func (export "bulkhead:adapter/adapter@0.1.0#start") (param i32 i32) (result i32) {start} (i32.const 1024))
            (func (export "bulkhead:adapter/adapter@0.1.0#check") (result i32) {check} (i32.const 1024))
            (func (export "bulkhead:adapter/adapter@0.1.0#stop"))
            (func (export "bulkhead:adapter/poller@0.1.0#poll") (param i32 i32) (result i32) {poll} (i32.const 1024)))"#
    )
}

/// A sandbox without a cache and a guest in it, written to a file first, as adapters are.
pub(crate) fn guest(component: &[u8], grants: Capabilities, limits: Limits) -> Result<Guest, SandboxError> {
    guest_as(CodeKind::Native, component, grants, limits)
}

/// The same with its code run in another way.
pub(crate) fn guest_as(
    code: CodeKind,
    component: &[u8],
    grants: Capabilities,
    limits: Limits,
) -> Result<Guest, SandboxError> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("guest.wasm");
    std::fs::write(&file, component).unwrap();
    let sandbox: Sandbox = SandboxConfig { code, ..SandboxConfig::default() }.build()?;
    let adapter = sandbox.load("guest", &file)?;
    Guest::new(adapter, grants, Arc::default(), limits, "{}".into())
}

#[derive(Default)]
pub(crate) struct Told(pub(crate) Mutex<Vec<String>>);

impl Journal for Told {
    fn write(&self, _: Level, message: &str) {
        self.0.lock().unwrap().push(message.to_owned());
    }
    fn report(&self, _: Option<&str>, fault: &Fault) {
        self.0.lock().unwrap().push(format!("{}: {}", fault.code, fault.message));
    }
}

struct Counting;

#[async_trait]
impl Catalogue for Counting {
    async fn declare(&self, points: Vec<PointInfo>) -> Result<Vec<Declared>, Fault> {
        let numbers = (0..).map(PointId);
        Ok(numbers.zip(points).map(|(id, info)| Declared { id, info: info.into() }).collect())
    }
}

/// A clock that goes when it is told to.
#[derive(Default)]
pub(crate) struct HandClock(AtomicU64);

impl HandClock {
    pub(crate) fn advance(&self, by: Duration) {
        self.0.fetch_add(u64::try_from(by.as_nanos()).unwrap(), Ordering::Relaxed);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp(i64::try_from(self.monotonic_ns()).unwrap())
    }
    fn monotonic_ns(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A device that never answers.
pub(crate) struct Silent;

#[async_trait]
impl Modbus for Silent {
    async fn read(&self, _: Vec<Span>) -> Result<Words, Fault> {
        std::future::pending().await
    }
    async fn write(&self, _: Vec<Change>) -> Vec<Result<(), Fault>> {
        std::future::pending().await
    }
}

/// What is always granted, and nothing more.
pub(crate) fn nothing_granted() -> Capabilities {
    Capabilities {
        catalogue: Arc::new(Counting),
        journal: Arc::new(Told::default()),
        clock: Arc::new(HandClock::default()),
        state: None,
        modbus: BTreeMap::new(),
        serial: BTreeMap::new(),
        tcp: BTreeMap::new(),
        mqtt: BTreeMap::new(),
        http: BTreeMap::new(),
        tap: Default::default(),
    }
}

/// Short limits, so that passing them takes no time.
pub(crate) fn short_limits() -> Limits {
    Limits {
        call_timeout: Duration::from_millis(100),
        host_call_timeout: Duration::from_millis(100),
        rebuild_first: Duration::from_millis(20),
        rebuild_max: Duration::from_millis(40),
        ..Limits::default()
    }
}
