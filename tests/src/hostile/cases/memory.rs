//! Memory, tables, the stack, and what a large module makes of them.

use crate::hostile::case::{Case, Expect, File, traps};
use crate::hostile::guest::{Guest, Role};
use std::fmt::Write as _;

/// Takes memory until there is none, writing to all of it.
const BOMB: &str = "(loop $more
    (local.set $i (memory.grow (i32.const 16)))
    (if (i32.ne (local.get $i) (i32.const -1))
      (then
        (memory.fill (i32.mul (local.get $i) (i32.const 65536)) (i32.const 7) (i32.const 1048576))
        (br $more))))
  unreachable";

pub(super) fn cases() -> Vec<Case> {
    let case = |name, guest, expect| Case::new(2, name, File::Guest(guest), expect);
    let globals = (0..10_000).fold(String::new(), |mut text, number| {
        // Writing to a text cannot fail.
        _ = write!(text, "(global $g{number} (mut i64) (i64.const {number})) ");
        text
    });
    let fine = || Expect::Goes { look: |_| Ok(()) };
    vec![
        case("takes memory until there is none", Guest::polls(BOMB), traps("unreachable")),
        case(
            "takes table elements until there are none",
            Guest::polls(
                "(loop $more (br_if $more (i32.ne (table.grow $t (ref.null func) (i32.const 10000)) (i32.const -1)))) unreachable",
            )
            .item("(table $t 1 funcref)"),
            traps("unreachable"),
        ),
        case("calls itself for ever", Guest::polls("(call $down)").item("(func $down (call $down) (call $down))"), traps("stack")),
        case("has 10,000 globals", Guest::polls("").item(&globals), fine()),
        case(
            "has 10 MB of data",
            Guest::polls("").pages(200).item(&format!("(data (i32.const 131072) \"{}\")", "x".repeat(10 << 20))),
            fine(),
        ),
        case(
            "asks for more memory at the start than it may have",
            Guest::new(Role::Poller).pages(1000),
            Expect::NotStarted { says: "memory" },
        ),
    ]
}
