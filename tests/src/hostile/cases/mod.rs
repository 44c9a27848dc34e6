//! The cases, a file for what belongs together. The texts of the guests lay their data out by hand: the transport's role `device` at
//! 200, a point `p` that can be written at 400, what a case needs beside from 256 and from 2048 on.

pub(super) mod bundles;
mod computing;
mod files;
mod grants;
mod journal_texts;
mod memory;
mod points;
mod results;
mod storms;
mod traps;

use super::case::Case;
use super::guest::{Guest, Role};

/// The cases of a group.
pub(super) fn of(group: u8) -> Vec<Case> {
    match group {
        1 => computing::cases(),
        2 => memory::cases(),
        3 => results::cases(),
        4 => journal_texts::cases(),
        5 => storms::cases(),
        6 => traps::cases(),
        7 => grants::cases(),
        8 => points::cases(),
        9 => files::cases(),
        10 => points::memory_cases(),
        11 => bundles::cases(),
        _ => Vec::new(),
    }
}

/// The data of a point `p` of kind real that can be written, at 400, with its name at 500.
const POINT: &str =
    r#"(data (i32.const 400) "\f4\01\00\00\01\00\00\00\02") (data (i32.const 440) "\01") (data (i32.const 500) "p")"#;
/// Declares it.
const DECLARE: &str = "(call $declare (i32.const 400) (i32.const 1) (i32.const 600))";

/// A guest that has declared the point `p` and knows its number at 608.
fn with_point(guest: Guest) -> Guest {
    guest
        .import("points", "declare", "declare", "(param i32 i32 i32)")
        .item(POINT)
        .start(&format!("{DECLARE} (i32.store (i32.const 608) (i32.load (i32.load (i32.const 604))))"))
}

/// A guest of a role that is called in what way the harness calls that role.
fn called(role: Role) -> Guest {
    let guest = Guest::new(role);
    match role {
        Role::Listener => guest
            .import("clock", "set-timer", "set_timer", "(param i32 i32 i32) (result i32)")
            .item(r#"(data (i32.const 200) "device")"#)
            .start("(drop (call $set_timer (i32.const 200) (i32.const 6) (i32.const 10)))"),
        Role::Writer => with_point(guest),
        Role::Poller | Role::Sink | Role::Responder => guest,
    }
}

/// A guest with a resource of its own, whose destructor has this body: `$new` makes one, `$drop` drops it.
fn with_resource(guest: Guest, destructor: &str) -> Guest {
    guest
        .world("export things;", "interface things { resource thing { constructor(); } }")
        .import_from("[export]test:more/things", "[resource-new]thing", "new", "(param i32) (result i32)")
        .import_from("[export]test:more/things", "[resource-drop]thing", "drop", "(param i32)")
        .item(r#"(func (export "test:more/things#[constructor]thing") (result i32) (call $new (i32.const 1)))"#)
        .item(&format!(r#"(func (export "test:more/things#[dtor]thing") (param i32) {destructor})"#))
}
