//! Points, readings and the durable memory.

use super::grants::or_trap;
use super::with_point;
use crate::hostile::case::{Case, Expect, File, Seen};
use crate::hostile::guest::Guest;
use anyhow::{Context, Result, ensure};
use serde_json::Value as Json;

const DECLARE_INTO_RESULT: &str = "(call $declare (i32.const 256) (i32.const 1) (i32.const 1024))";

/// Declares a thousand points at a time, each with a name of its own, until it is told no. At 131072 their 96 bytes each, at
/// 262144 their names of eight letters.
const MANY_POINTS: &str = "
  (loop $batch
    (local.set $i (i32.const 0))
    (loop $point
      (i32.store (i32.add (i32.const 131072) (i32.mul (local.get $i) (i32.const 96)))
                 (i32.add (i32.const 262144) (i32.mul (local.get $i) (i32.const 8))))
      (i32.store offset=4 (i32.add (i32.const 131072) (i32.mul (local.get $i) (i32.const 96))) (i32.const 8))
      (call $name (i32.add (i32.const 262144) (i32.mul (local.get $i) (i32.const 8))) (global.get $next))
      (global.set $next (i32.add (global.get $next) (i32.const 1)))
      (br_if $point (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1000))))
    (call $declare (i32.const 131072) (i32.const 1000) (i32.const 1024))
    (br_if $batch (i32.eqz (i32.load8_u (i32.const 1024)))))";

/// Writes a number as eight letters.
const NAME: &str = "(global $next (mut i32) (i32.const 0))
  (func $name (param $at i32) (param $number i32)
    (local $k i32)
    (loop $letter
      (i32.store8 (i32.add (local.get $at) (local.get $k))
        (i32.add (i32.const 97) (i32.and (local.get $number) (i32.const 15))))
      (local.set $number (i32.shr_u (local.get $number) (i32.const 4)))
      (br_if $letter (i32.lt_u (local.tee $k (i32.add (local.get $k) (i32.const 1))) (i32.const 8)))))";

/// The readings of one poll: value bits and times, and a body that returns them. A reading is 72 bytes: its point at 0, whether
/// it has a time at 8, the time at 16, its status at 24, whether it has a value at 32, the value's kind at 40, the value at 48.
fn readings(values: &[(u64, i64)]) -> String {
    let mut body = String::new();
    for (number, (bits, time)) in values.iter().enumerate() {
        let at = 4096 + 72 * number;
        body += &format!(
            "(i32.store (i32.const {at}) (i32.load (i32.const 608))) (i32.store8 offset=8 (i32.const {at}) (i32.const 1))
             (i64.store offset=16 (i32.const {at}) (i64.const {time})) (i32.store8 offset=32 (i32.const {at}) (i32.const 1))
             (i32.store8 offset=40 (i32.const {at}) (i32.const 2)) (i64.store offset=48 (i32.const {at}) (i64.const {}))\n",
            bits.cast_signed()
        );
    }
    body + &format!(
        "(i32.store (i32.const 1028) (i32.const 4096)) (i32.store (i32.const 1032) (i32.const {}))",
        values.len()
    )
}

fn latest(seen: &Seen, point: &str) -> Result<Json> {
    let shown: Json = serde_json::from_str(&seen.readings).context("the latest readings are no JSON")?;
    let readings = shown["readings"].as_array().context("no list of readings")?;
    let found =
        readings.iter().find(|reading| reading["connection"] == crate::hostile::NAME && reading["point"] == point);
    found.cloned().with_context(|| format!("the hostile connection's point {point} has no reading"))
}

pub(super) fn cases() -> Vec<Case> {
    let case = |name, guest, expect| Case::new(8, name, File::Guest(guest), expect);
    let declare = |guest: Guest| guest.import("points", "declare", "declare", "(param i32 i32 i32)");
    let special = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE / 4.0, -0.0, f64::MAX];
    let special: Vec<(u64, i64)> = special.iter().map(|value| (value.to_bits(), 1_700_000_000_000_000_000)).collect();
    // 1970, before it, the first and the last moment of the range, and back.
    let times = [1_700_000_000_000_000_000, 0, -1, i64::MAX, i64::MIN, 1_600_000_000_000_000_000];
    let times: Vec<(u64, i64)> = times.iter().map(|time| (1.5_f64.to_bits(), *time)).collect();
    let long_text =
        "(i32.store (i32.const 4096) (i32.load (i32.const 608))) (i32.store8 (i32.const 4128) (i32.const 1))
        (i32.store8 (i32.const 4136) (i32.const 4)) (i32.store (i32.const 4144) (i32.const 131072))
        (i32.store (i32.const 4148) (i32.const 2000000))
        (i32.store (i32.const 1028) (i32.const 4096)) (i32.store (i32.const 1032) (i32.const 1))";
    vec![
        case(
            "declares a point with a name of 1 MB",
            declare(Guest::polls(&format!(
                "(memory.fill (i32.const 131072) (i32.const 97) (i32.const 1000000)) {}",
                or_trap(DECLARE_INTO_RESULT)
            )))
            .pages(32)
            .item(r#"(data (i32.const 256) "\00\00\02\00\40\42\0f\00\02")"#),
            Expect::Told { code: "bad-point-name" },
        ),
        case(
            "reads what is no number, infinite, or next to nothing",
            with_point(Guest::polls(&readings(&special))),
            Expect::Goes { look: |seen| latest(seen, "p").map(drop) },
        ),
        case(
            "reads in 1970, in 2262, and before its last reading",
            with_point(Guest::polls(&readings(&times))),
            Expect::Goes { look: |seen| latest(seen, "p").map(drop) },
        ),
        case(
            "reads a text of 2 MB",
            declare(Guest::polls(long_text))
                .pages(100)
                .item(r#"(data (i32.const 400) "\f4\01\00\00\01\00\00\00\04") (data (i32.const 500) "t")"#)
                .start("(call $declare (i32.const 400) (i32.const 1) (i32.const 600)) (i32.store (i32.const 608) (i32.load (i32.load (i32.const 604))))"),
            Expect::Goes {
                look: |seen| {
                    let reading = latest(seen, "t")?;
                    ensure!(reading["status_name"] == "BadOutOfRange" && reading["value"].is_null(), "{reading}");
                    Ok(())
                },
            },
        ),
        case(
            "returns readings of points that it never declared",
            with_point(Guest::polls(&format!("(i32.store (i32.const 608) (i32.const 77)) {}", readings(&times)))),
            Expect::Goes {
                look: |seen| {
                    ensure!(seen.connection["faults"]["unknown-point"].as_u64() > Some(0), "{}", seen.connection);
                    Ok(())
                },
            },
        ),
        // The last: the log keeps the points of a connection, and has no room for another after these.
        case(
            "declares points without end",
            declare(Guest::polls(MANY_POINTS)).pages(8).item(NAME),
            Expect::Told { code: "too-many-points" },
        ),
    ]
}

pub(super) fn memory_cases() -> Vec<Case> {
    let case = |name, guest, expect| Case::new(10, name, File::Guest(guest), expect);
    let set = |body: &str| Guest::polls(body).import("state", "set", "set", "(param i32 i32 i32 i32 i32)").pages(8);
    let large =
        or_trap("(call $set (i32.const 8) (i32.const 6) (i32.const 131072) (i32.const 100000) (i32.const 1024))");
    let many = "(loop $more
        (call $name (i32.const 2048) (global.get $next)) (global.set $next (i32.add (global.get $next) (i32.const 1)))
        (call $set (i32.const 2048) (i32.const 8) (i32.const 2048) (i32.const 8) (i32.const 1024))
        (br_if $more (i32.eqz (i32.load8_u (i32.const 1024)))))";
    vec![
        case("keeps more than its durable memory holds", set(&large), Expect::Told { code: "state-full" }),
        case("keeps keys without end", set(many).item(NAME), Expect::Told { code: "state-full" }),
    ]
}
