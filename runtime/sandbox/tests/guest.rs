//! What a guest cannot do to its host: spin, trap, hoard memory, wait for ever, import what was not granted.

#![allow(clippy::unwrap_used, reason = "a test that fails is what it is for")]

mod support;

use bulkhead_sandbox::capability::Capabilities;
use bulkhead_sandbox::{CallError, CodeKind, Guest, Limits, SandboxError};
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::{HandClock, Silent, component, guest, guest_as, nothing_granted, poller, short_limits};

const SPIN: &str = "(loop $for_ever (br $for_ever))";
const READ_MODBUS: &str = r#"(import "bulkhead:adapter/modbus@0.1.0" "read" (func $read (param i32 i32 i32 i32 i32)))"#;

fn made(imports: &str, start: &str, poll: &str) -> Vec<u8> {
    component("poller-world", "", &poller(imports, start, "", poll))
}

fn running(bytes: &[u8], limits: Limits) -> Guest {
    guest(bytes, nothing_granted(), limits).unwrap()
}

#[tokio::test]
async fn a_good_guest_is_built_once_and_kept() {
    let mut guest = running(&made("", "", ""), Limits::default());
    for _ in 0..3 {
        assert_eq!(guest.poll("default").await.unwrap(), []);
    }
    assert_eq!((guest.counters().instances, guest.counters().calls), (1, 3));
}

#[tokio::test(flavor = "current_thread")]
async fn a_spinning_guest_ends_at_its_deadline_and_its_neighbours_run_meanwhile() {
    // One thread: a guest that did not yield would let no beat through before its end.
    let limits = Limits { call_timeout: Duration::from_millis(500), ..short_limits() };
    let mut guest = running(&made("", "", SPIN), limits);
    let started = Instant::now();
    let mut beat = tokio::time::interval(Duration::from_millis(2));
    let mut beats = 0;
    let outcome = {
        let call = guest.poll("default");
        tokio::pin!(call);
        loop {
            tokio::select! {
                outcome = &mut call => break outcome,
                _ = beat.tick() => beats += 1,
            }
        }
    };
    assert!(matches!(outcome, Err(CallError::TimedOut { .. })), "{outcome:?}");
    assert!(started.elapsed() < Duration::from_secs(10), "took {:?}", started.elapsed());
    assert!(beats > 3, "the neighbour had {beats} beats");
    assert_eq!(guest.counters().timeouts, 1);
}

#[tokio::test]
async fn a_trapped_guest_rests_and_is_built_anew() {
    let clock = Arc::new(HandClock::default());
    let grants = Capabilities { clock: clock.clone(), ..nothing_granted() };
    let mut guest = guest(&made("", "", "unreachable"), grants, short_limits()).unwrap();
    let CallError::Trapped { message, rebuild_in } = guest.poll("default").await.unwrap_err() else { panic!() };
    assert!(message.contains("unreachable"), "{message}");
    assert!(matches!(guest.poll("default").await, Err(CallError::Resting { .. })));
    clock.advance(rebuild_in);
    let again = guest.poll("default").await;
    assert!(matches!(again, Err(CallError::Trapped { .. })), "{again:?}");
    assert_eq!((guest.counters().traps, guest.counters().instances), (2, 2));
}

/// Imports the journal, with a line in memory at 16.
const WRITE_LINE: &str = r#"(import "bulkhead:adapter/log@0.1.0" "write" (func $say (param i32 i32 i32)))
    (data (i32.const 16) "the adapter panicked at src/lib.rs:61:9: too short")"#;

#[tokio::test]
async fn what_a_guest_wrote_before_it_trapped_is_why_it_crashed() {
    let clock = Arc::new(HandClock::default());
    let grants = Capabilities { clock: clock.clone(), ..nothing_granted() };
    let line = "the adapter panicked at src/lib.rs:61:9: too short";
    let write = |level: u32| format!("(call $say (i32.const {level}) (i32.const 16) (i32.const {}))", line.len());
    // As an error while it checks; as a mere remark while it is polled.
    let core = poller(WRITE_LINE, "", &(write(3) + " unreachable"), &(write(1) + " unreachable"));
    let mut guest = guest(&component("poller-world", "", &core), grants, short_limits()).unwrap();
    let CallError::Trapped { message, rebuild_in } = guest.check().await.unwrap_err() else { panic!() };
    assert!(message.starts_with(&format!("{line}; wasm trap: ")), "{message}");
    assert!(guest.last_crash().unwrap().message.starts_with(line));
    clock.advance(rebuild_in);
    let CallError::Trapped { message, .. } = guest.poll("default").await.unwrap_err() else { panic!() };
    assert!(message.starts_with("wasm trap: "), "{message}");
}

#[tokio::test]
async fn memory_beyond_the_limit_is_not_given() {
    // Traps when growing by 32 MiB works.
    let grow = "(if (i32.ne (memory.grow (i32.const 512)) (i32.const -1)) (then unreachable))";
    let small = Limits { memory_max_bytes: 16 << 20, ..short_limits() };
    running(&made("", "", grow), small).poll("default").await.unwrap();
    let large = running(&made("", "", grow), short_limits()).poll("default").await;
    assert!(matches!(large, Err(CallError::Trapped { .. })), "{large:?}");
}

#[tokio::test]
async fn a_host_call_that_never_returns_is_ended_and_the_guest_goes_on() {
    let mut grants = nothing_granted();
    grants.modbus.insert(String::new(), Arc::new(Silent));
    // After the call the result's discriminant at 1024 is 1: a fault. Traps otherwise.
    let read = "(call $read (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1024))
                (if (i32.ne (i32.load8_u (i32.const 1024)) (i32.const 1)) (then unreachable))
                (i32.store8 (i32.const 1024) (i32.const 0)) (i32.store (i32.const 1028) (i32.const 0)) (i32.store (i32.const 1032) (i32.const 0))";
    let mut guest = guest(&made(READ_MODBUS, "", read), grants, short_limits()).unwrap();
    let started = Instant::now();
    guest.poll("default").await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(100) && started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn an_import_without_its_grant_is_named_before_anything_runs() {
    let read = "(call $read (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1024))";
    let outcome = guest(&made(READ_MODBUS, "", read), nothing_granted(), Limits::default()).err();
    let Some(SandboxError::NotGranted { .. }) = &outcome else { panic!("{outcome:?}") };
    let message = outcome.unwrap().to_string();
    assert!(
        message.contains("bulkhead:adapter/modbus@0.1.0") && message.contains("modbus-tcp or modbus-rtu"),
        "{message}"
    );
}

#[tokio::test]
async fn an_import_that_is_not_on_offer_is_named() {
    let wit = "package test:more; interface gpio { set: func(); } world greedy { include bulkhead:adapter/poller-world@0.1.0; import gpio; }";
    let core = poller(r#"(import "test:more/gpio" "set" (func $set))"#, "(call $set)", "", "");
    let error = guest(&component("greedy", wit, &core), nothing_granted(), Limits::default()).err().unwrap();
    assert!(matches!(error, SandboxError::UnknownImport { .. }), "{error}");
    assert!(error.to_string().contains("test:more/gpio"), "{error}");
}

#[tokio::test]
async fn a_wasi_guest_runs_and_finds_nothing() {
    let wit = "package test:more;
        world wasi-poller { include bulkhead:adapter/poller-world@0.1.0; import wasi:cli/environment@0.2.0; }
        package wasi:cli@0.2.0 { interface environment { get-environment: func() -> list<tuple<string, string>>; get-arguments: func() -> list<string>; } }";
    // Traps when there is a variable or an argument.
    let imports = r#"(import "wasi:cli/environment@0.2.0" "get-environment" (func $variables (param i32)))
                     (import "wasi:cli/environment@0.2.0" "get-arguments" (func $arguments (param i32)))"#;
    let look = "(call $variables (i32.const 2048)) (call $arguments (i32.const 2064))
                (if (i32.or (i32.load (i32.const 2052)) (i32.load (i32.const 2068))) (then unreachable))";
    let bytes = component("wasi-poller", wit, &poller(imports, "", "", look));
    running(&bytes, Limits::default()).poll("default").await.unwrap();
}

#[tokio::test]
async fn pulley_keeps_what_machine_code_keeps() {
    let interpreted =
        |poll: &str| guest_as(CodeKind::Pulley, &made("", "", poll), nothing_granted(), short_limits()).unwrap();
    let mut good = interpreted("");
    assert_eq!(good.poll("default").await.unwrap(), []);
    let started = Instant::now();
    let outcome = interpreted(SPIN).poll("default").await;
    assert!(matches!(outcome, Err(CallError::TimedOut { .. })), "{outcome:?}");
    assert!(started.elapsed() >= Duration::from_millis(100) && started.elapsed() < Duration::from_secs(10));
    let mut trapping = interpreted("unreachable");
    let outcome = trapping.poll("default").await;
    assert!(matches!(outcome, Err(CallError::Trapped { .. })), "{outcome:?}");
    assert!(trapping.last_crash().is_some_and(|crash| !crash.backtrace.is_empty()));
}

#[tokio::test]
async fn what_a_guest_computes_and_holds_is_measured_and_its_last_crash_kept() {
    let busy = "(local $i i32) (loop $more
        (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 20000000))))";
    let mut busy = running(&made("", "", busy), Limits::default());
    busy.poll("default").await.unwrap();
    let first = busy.counters();
    assert!(first.computed_ns > 1_000_000 && first.longest_ns <= first.computed_ns, "{first:?}");
    assert_eq!((first.memory_bytes, first.memory_peak_bytes), (65_536, 65_536));
    assert!(busy.last_crash().is_none());
    let mut crashing = running(&made("", "", "unreachable"), short_limits());
    crashing.poll("default").await.unwrap_err();
    let crash = crashing.last_crash().unwrap();
    assert_eq!(crash.code, "trap");
    assert!(crash.message.contains("unreachable"), "{crash:?}");
    assert_eq!((crashing.counters().memory_bytes, crashing.counters().memory_peak_bytes), (0, 65_536));
}

#[tokio::test]
async fn many_slow_host_calls_are_waiting_and_not_computing() {
    let mut grants = nothing_granted();
    grants.modbus.insert(String::new(), Arc::new(Silent));
    // Thirty calls of 20 ms each: six times as long as it may compute.
    let read = "(local $i i32) (loop $more
        (call $read (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1024))
        (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 30))))
        (i32.store8 (i32.const 1024) (i32.const 0)) (i32.store (i32.const 1028) (i32.const 0)) (i32.store (i32.const 1032) (i32.const 0))";
    let limits = Limits { host_call_timeout: Duration::from_millis(20), ..short_limits() };
    let mut guest = guest(&made(READ_MODBUS, "", read), grants, limits).unwrap();
    guest.poll("default").await.unwrap();
    assert_eq!(guest.counters().timeouts, 0);
}

#[tokio::test]
async fn a_guest_whose_start_spins_or_traps_does_not_start() {
    for start in [SPIN, "unreachable"] {
        let mut guest = running(&made("", start, ""), short_limits());
        assert!(guest.start().await.is_err());
        assert!(matches!(guest.poll("default").await, Err(CallError::Resting { .. })));
    }
}

#[test]
fn what_is_no_adapter_says_so() {
    let load = |bytes: &[u8]| guest(bytes, nothing_granted(), Limits::default()).err().unwrap().to_string();
    assert!(load(b"not wasm").contains("is not a WebAssembly component"));
    assert!(load(&wat::parse_str("(module)").unwrap()).contains("is not a WebAssembly component"));
    assert!(load(&wat::parse_str("(component)").unwrap()).contains("exports no role"));
}
