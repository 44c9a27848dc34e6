//! Results that are huge, or are none.

use super::called;
use crate::hostile::case::{Case, File, Stimulus, traps};
use crate::hostile::guest::{Guest, Role};

/// Writes a number to an address.
fn store(address: u32, value: i64) -> String {
    format!("(i32.store (i32.const {address}) (i32.const {value}))")
}

/// A fault with a message of these bytes, from 131072 on.
fn fault_of(bytes: i64) -> String {
    [store(1024, 1), store(1032, 131_072), store(1036, 1), store(1040, 131_072), store(1044, bytes)].concat()
}

pub(super) fn cases() -> Vec<Case> {
    let case = |name, guest, says| Case::new(3, name, File::Guest(guest), traps(says));
    let list = |at: i64, length: i64| [store(1028, at), store(1032, length)].concat();
    // A reading is 72 bytes, its status at 24, its value at 32.
    let reading = "(i32.store (i32.const 1028) (i32.const 2048)) (i32.store (i32.const 1032) (i32.const 1))
                   (i32.store8 (i32.const 2080) (i32.const 1)) (i32.store8 (i32.const 2088) (i32.const 99))";
    vec![
        case("returns a text of 100 MB", Guest::polls(&fault_of(100_000_000)).pages(1600), "handed more than")
            .memory_mb(128),
        case("returns 300,000 readings", Guest::polls(&list(131_072, 300_000)).pages(400), "handed more than"),
        case(
            "returns a million empty texts",
            called(Role::Responder)
                .body(&[store(1028, 200), store(1032, 131_072), store(1036, 1_000_000)].concat())
                .pages(300),
            "handed more than",
        )
        .stimulus(Stimulus::Post),
        case(
            "declares 300,000 points at once",
            Guest::polls("(call $declare (i32.const 131072) (i32.const 300000) (i32.const 600))")
                .import("points", "declare", "declare", "(param i32 i32 i32)")
                .pages(500),
            "handed more than",
        ),
        case("returns a text beyond its memory", Guest::polls(&fault_of(1 << 30)), "out of bounds"),
        case("returns a list beyond its memory", Guest::polls(&list(-65_536, 100_000)), "out of bounds"),
        case("returns a list at no even address", Guest::polls(&list(131_073, 1)).pages(4), "not aligned"),
        case(
            "returns a text that is no UTF-8",
            Guest::polls(&fault_of(4)).pages(4).item(r#"(data (i32.const 131072) "\ff\fe\c0\80")"#),
            "utf-8",
        ),
        case("returns neither success nor fault", Guest::polls(&store(1024, 7)), "discriminant"),
        case(
            "returns a fault with a remedy that is none",
            Guest::polls(&[store(1024, 1), store(1028, 9)].concat()),
            "discriminant",
        ),
        case("returns a value of a kind that is none", Guest::polls(reading), "discriminant"),
    ]
}
