//! Traps, wherever a guest is called.

use super::{DECLARE, called, with_point, with_resource};
use crate::hostile::case::{Case, Expect, File, Stimulus, traps};
use crate::hostile::guest::{BEGIN, Guest, Role};

pub(super) fn cases() -> Vec<Case> {
    let case = |name, guest| Case::new(6, name, File::Guest(guest), traps("unreachable"));
    vec![
        case("traps in start", Guest::new(Role::Poller).start(&format!("{BEGIN} unreachable"))),
        case("traps in poll", Guest::polls("unreachable")),
        case("traps in receive", called(Role::Listener).body("unreachable")),
        case("traps in write", called(Role::Writer).body("unreachable")).stimulus(Stimulus::Write),
        case("traps in deliver", called(Role::Sink).body("unreachable")).stimulus(Stimulus::Route),
        case("traps in respond", called(Role::Responder).body("unreachable")).stimulus(Stimulus::Post),
        Case::new(
            6,
            "traps in stop",
            File::Guest(Guest::new(Role::Poller).stop(&format!("{BEGIN} unreachable"))),
            Expect::Stopped { says: "when it was stopped: the adapter crashed" },
        )
        .stimulus(Stimulus::Stop),
        case("traps after its result", Guest::polls("").post_return("unreachable")),
        case(
            "traps in a destructor",
            with_resource(Guest::polls("(call $drop (call $new (i32.const 1)))"), "unreachable"),
        ),
        case("traps when it is handed its arguments", Guest::polls("").realloc("unreachable")).mute(),
        case(
            "traps while a host call is on its way back",
            with_point(Guest::polls(&format!("(global.set $armed (i32.const 1)) {DECLARE}")))
                .item("(global $armed (mut i32) (i32.const 0))")
                .realloc("(if (global.get $armed) (then unreachable))"),
        ),
        case(
            "traps while it is instantiated",
            Guest::new(Role::Poller).item("(func $first unreachable) (start $first)"),
        )
        .mute(),
    ]
}
