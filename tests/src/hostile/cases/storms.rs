//! Storms of host calls, handles, waiting, and re-entrance.

use super::{DECLARE, with_point, with_resource};
use crate::hostile::case::{Case, Expect, File, Grants, HOST_CALL_MS, TOTAL_MS, computes_too_long, traps};
use crate::hostile::guest::Guest;
use std::time::Duration;

const READ: &str = "(call $read (i32.const 200) (i32.const 6) (i32.const 256) (i32.const 1) (i32.const 1024))";

/// A guest that reads the holding register 1 of its device.
fn reading(body: &str) -> Guest {
    Guest::polls(body)
        .import("modbus", "read", "read", "(param i32 i32 i32 i32 i32)")
        .item(r#"(data (i32.const 200) "device") (data (i32.const 256) "\03\00\01\00\01\00")"#)
}

fn for_ever(call: &str) -> String {
    format!("(loop $more {call} (br $more))")
}

/// Interfaces of WASI with which a guest can wait.
const WAITING: &str = "package wasi:io@0.2.0 { interface poll { resource pollable { block: func(); } } }
package wasi:clocks@0.2.0 { interface monotonic-clock { use wasi:io/poll@0.2.0.{pollable}; subscribe-duration: func(when: u64) -> pollable; } }";
const RANDOM: &str = "package wasi:random@0.2.0 { interface random { get-random-bytes: func(len: u64) -> list<u8>; } }";

fn waiting(body: &str) -> Guest {
    Guest::polls(body)
        .world("import wasi:clocks/monotonic-clock@0.2.0;", "")
        .beside(WAITING)
        .import_from("wasi:clocks/monotonic-clock@0.2.0", "subscribe-duration", "subscribe", "(param i64) (result i32)")
        .import_from("wasi:io/poll@0.2.0", "[method]pollable.block", "block", "(param i32)")
}

/// Whichever comes first: what the host does for it counts as computing, what it waits for does not.
fn storm() -> Expect {
    Expect::Ends { code: "deadline", says: "more than", within: Duration::from_millis(TOTAL_MS) }
}

pub(super) fn cases() -> Vec<Case> {
    let case = |name, guest, expect| Case::new(5, name, File::Guest(guest), expect);
    let random = Guest::polls("(call $random (i64.const 1099511627776) (i32.const 2048))")
        .world("import wasi:random/random@0.2.0;", "")
        .beside(RANDOM)
        .import_from("wasi:random/random@0.2.0", "get-random-bytes", "random", "(param i64 i32)");
    let set = "(call $set (i32.const 200) (i32.const 6) (i32.const 200) (i32.const 6) (i32.const 1024))";
    vec![
        case("reads its device as fast as it can", reading(&for_ever(READ)), storm()).grants(Grants::Modbus("")),
        case(
            "asks for the time as fast as it can",
            Guest::polls(&for_ever("(drop (call $now))")).import("clock", "now", "now", "(result i64)"),
            computes_too_long(),
        ),
        case("declares its point as fast as it can", with_point(Guest::polls(&for_ever(DECLARE))), storm()),
        case(
            "changes its durable memory as fast as it can",
            Guest::polls(&for_ever(set))
                .import("state", "set", "set", "(param i32 i32 i32 i32 i32)")
                .item(r#"(data (i32.const 200) "device")"#),
            storm(),
        ),
        case(
            "makes 100,000 handles",
            with_resource(
                Guest::polls(
                    "(loop $more (drop (call $new (i32.const 1)))
                       (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 100000))))",
                ),
                "",
            ),
            traps("handle"),
        ),
        case(
            "makes 100,000 handles of the host's",
            waiting(
                "(loop $more (drop (call $subscribe (i64.const 1)))
                   (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 100000))))",
            ),
            traps("no free keys"),
        ),
        case(
            "waits for an hour in WASI",
            waiting("(call $block (call $subscribe (i64.const 3600000000000)))"),
            Expect::Ends { code: "trap", says: "the limit of one host call", within: Duration::from_millis(HOST_CALL_MS) },
        ),
        case("asks WASI for a terabyte of random bytes", random, traps("exceeds limit")),
        case("reads a device that never answers", reading(&super::grants::or_trap(READ)), Expect::Told { code: "timeout" })
            .grants(Grants::SilentModbus),
        case("reads such a device again and again", reading(&for_ever(READ)), storm()).grants(Grants::SilentModbus),
        case(
            "calls the host while it is handed its arguments",
            Guest::polls("").realloc("(call $log (i32.const 1) (i32.const 8) (i32.const 6))"),
            traps("cannot leave"),
        )
        .mute(),
        case(
            "calls the host while it is handed a result",
            with_point(Guest::polls(&format!("(global.set $armed (i32.const 1)) {DECLARE}")))
                .item("(global $armed (mut i32) (i32.const 0))")
                .realloc("(if (global.get $armed) (then (call $log (i32.const 1) (i32.const 8) (i32.const 6))))"),
            traps("cannot leave"),
        ),
    ]
}
