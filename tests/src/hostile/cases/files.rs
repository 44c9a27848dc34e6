//! Files that are no adapter, or not one that this gateway runs.

use crate::hostile::case::{Case, Expect, File};
use crate::hostile::guest::{Guest, Role};
use anyhow::{Result, anyhow, ensure};

fn component_of(text: &str) -> Result<Vec<u8>> {
    wat::parse_str(text).map_err(|error| anyhow!("{error}"))
}

/// A good adapter of which every name of the package bears another version.
fn of_another_version() -> Result<Vec<u8>> {
    let (ours, theirs) = (b"@0.1.0", b"@0.9.0");
    let mut bytes = Guest::polls("").component()?;
    let mut found = 0;
    for place in 0..bytes.len() - ours.len() {
        if bytes[place..].starts_with(ours) {
            bytes[place..place + ours.len()].copy_from_slice(theirs);
            found += 1;
        }
    }
    ensure!(found > 0, "the adapter names no version");
    Ok(bytes)
}

const TWICE: &str = r#"(component (instance $none)
    (export "bulkhead:adapter/adapter@0.1.0" (instance $none))
    (export "bulkhead:adapter/poller@0.1.0" (instance $none))
    (export "bulkhead:adapter/poller@0.1.0" (instance $none)))"#;

const TWO_VERSIONS: &str = r#"(component (instance $none)
    (export "bulkhead:adapter/adapter@0.1.0" (instance $none))
    (export "bulkhead:adapter/poller@0.1.0" (instance $none))
    (export "bulkhead:adapter/poller@0.2.0" (instance $none)))"#;

const EMPTY_ROLE: &str = r#"(component (instance $none)
    (export "bulkhead:adapter/adapter@0.1.0" (instance $none))
    (export "bulkhead:adapter/poller@0.1.0" (instance $none)))"#;

pub(super) fn cases() -> Vec<Case> {
    let bytes = |name, bytes, says| Case::new(9, name, File::Bytes(bytes), Expect::NotStarted { says });
    let greedy = Guest::polls("(call $set_pin)")
        .world("import gpio;", "interface gpio { set-pin: func(); }")
        .import_from("test:more/gpio", "set-pin", "set_pin", "");
    vec![
        Case::new(
            9,
            "imports what is not on offer",
            File::Guest(greedy),
            Expect::NotStarted { says: "test:more/gpio" },
        ),
        bytes("is made for another version", of_another_version, "0.9.0"),
        bytes("has no role", || component_of("(component)"), "no role"),
        bytes("has a role twice", || component_of(TWICE), "poller"),
        bytes("has a role in two versions", || component_of(TWO_VERSIONS), "poller@0.2.0"),
        bytes("has a role without its function", || component_of(EMPTY_ROLE), "does not have export"),
        bytes("is a core module", || component_of("(module)"), "core module"),
        Case::new(9, "is 300 MB of zeros", File::Zeros(300 << 20), Expect::NotStarted { says: "at most" }),
        bytes(
            "is cut off",
            || {
                let mut bytes = Guest::polls("").component()?;
                bytes.truncate(bytes.len() / 2);
                Ok(bytes)
            },
            "longer than the file",
        ),
        Case::new(
            9,
            "changes while it is loaded",
            File::Flickering(Guest::polls(""), Guest::new(Role::Poller).pages(4)),
            Expect::Anything,
        ),
    ]
}
