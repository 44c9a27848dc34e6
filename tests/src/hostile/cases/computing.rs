//! Computing for ever, wherever a guest is called.

use super::{called, with_resource};
use crate::hostile::case::{Case, Expect, File, Stimulus, computes_too_long};
use crate::hostile::guest::{BEGIN, Guest, Role, SPIN};

pub(super) fn cases() -> Vec<Case> {
    let spins = |name, guest| Case::new(1, name, File::Guest(guest), computes_too_long());
    let begin_and_spin = format!("{BEGIN} {SPIN}");
    vec![
        spins("computes for ever in start", Guest::new(Role::Poller).start(&begin_and_spin)),
        spins("computes for ever in poll", Guest::polls(SPIN)),
        spins("computes for ever in receive", called(Role::Listener).body(SPIN)),
        spins("computes for ever in write", called(Role::Writer).body(SPIN)).stimulus(Stimulus::Write),
        spins("computes for ever in deliver", called(Role::Sink).body(SPIN)).stimulus(Stimulus::Route),
        spins("computes for ever in respond", called(Role::Responder).body(SPIN)).stimulus(Stimulus::Post),
        Case::new(
            1,
            "computes for ever in stop",
            File::Guest(Guest::new(Role::Poller).stop(&begin_and_spin)),
            Expect::Stopped { says: "when it was stopped: the adapter did not finish in time" },
        )
        .stimulus(Stimulus::Stop),
        spins(
            "computes for ever in a destructor",
            with_resource(Guest::polls("(call $drop (call $new (i32.const 1)))"), SPIN),
        ),
        spins("computes for ever when it gives memory", Guest::polls("").realloc(SPIN)).mute(),
        spins("computes for ever after its result", Guest::polls("").post_return(SPIN)),
        spins(
            "computes for ever while it is instantiated",
            Guest::new(Role::Poller).item(&format!("(func $first {SPIN}) (start $first)")),
        )
        .mute(),
    ]
}
