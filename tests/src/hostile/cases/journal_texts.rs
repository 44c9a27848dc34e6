//! The journal: lines that are long, many, or pretend to be something else.

use crate::hostile::case::{Case, Expect, File, Seen, computes_too_long, traps};
use crate::hostile::guest::{Guest, bytes};
use anyhow::{Result, ensure};

/// Longest line of the journal that an adapter can cause: its text, and what the gateway puts around it.
const LINE_MAX_BYTES: usize = 2048;

/// A text with everything that moves a terminal, ends a line, or turns the direction of writing.
const EVIL: &str = "evil\r\n2026-01-01T00:00:00Z ERROR forged\0\x1b[2J\x1b]0;title\x07\u{9b}31m\u{202e}\u{2028}end";

/// Nothing in API and journal is a character that could be taken for something else.
fn is_plain(seen: &Seen) -> Result<()> {
    for line in &seen.journal {
        let found = line.chars().find(|c| c.is_control() || matches!(c, '\u{202e}' | '\u{2028}'));
        ensure!(found.is_none(), "a line of the journal has {found:?}: {line:?}");
        ensure!(line.len() <= LINE_MAX_BYTES, "a line of the journal has {} bytes", line.len());
    }
    // In JSON they would be escaped.
    for text in [seen.connection.to_string(), seen.points.clone(), seen.readings.clone()] {
        let escape =
            ["\\u001b", "\\u0000", "\\r", "\\u0007", "\u{9b}", "\u{202e}"].into_iter().find(|it| text.contains(it));
        ensure!(escape.is_none(), "the API shows {escape:?}: {text}");
    }
    Ok(())
}

fn has_the_evil_line(seen: &Seen) -> Result<()> {
    is_plain(seen)?;
    let line = seen.journal.iter().find(|line| line.contains("evil"));
    let Some(line) = line else { anyhow::bail!("the line is not in the journal") };
    ensure!(line.contains("forged") && line.contains("end"), "the line was divided: {line}");
    ensure!(!seen.journal.iter().any(|line| line.starts_with("2026-01-01")), "a line was forged");
    Ok(())
}

fn is_bounded(seen: &Seen) -> Result<()> {
    is_plain(seen)?;
    let long = seen.journal.iter().find(|line| line.contains("AAAA"));
    ensure!(long.is_some(), "the beginning of the long line is not in the journal");
    Ok(())
}

pub(super) fn cases() -> Vec<Case> {
    let case = |name, guest, expect| Case::new(4, name, File::Guest(guest), expect);
    let evil = format!(r#"(data (i32.const 2048) "{}")"#, bytes(EVIL.as_bytes()));
    let length = EVIL.len();
    let faulty = format!(
        "(i32.store (i32.const 1024) (i32.const 1)) (i32.store8 (i32.const 1028) (i32.const 2))
         (i32.store (i32.const 1032) (i32.const 2048)) (i32.store (i32.const 1036) (i32.const {length}))
         (i32.store (i32.const 1040) (i32.const 2048)) (i32.store (i32.const 1044) (i32.const {length}))"
    );
    let long = |megabytes: u32| {
        let bytes = megabytes * 1_000_000;
        Guest::polls(&format!(
            "(memory.fill (i32.const 131072) (i32.const 65) (i32.const {bytes}))
             (call $log (i32.const 1) (i32.const 131072) (i32.const {bytes}))"
        ))
        .pages(200)
    };
    let report = "(param i32 i32 i32 i32 i32 i32 i32 i32 i32)";
    let report_evil = format!(
        "(call $report (i32.const 0) (i32.const 0) (i32.const 2) (i32.const 2048) (i32.const {length})
                       (i32.const 2048) (i32.const {length}) (i32.const 0) (i32.const 0))"
    );
    vec![
        case("writes a line of 10 MB", long(10), traps("handed more than")),
        case("writes a line of 4 MB", long(4), Expect::Goes { look: is_bounded }),
        case(
            "writes lines as fast as it can",
            Guest::polls("(loop $more (call $log (i32.const 1) (i32.const 8) (i32.const 3)) (br $more))"),
            computes_too_long(),
        ),
        case(
            "reports faults as fast as it can",
            Guest::polls(&format!("(loop $more {report_evil} (br $more))"))
                .import("log", "report", "report", report)
                .item(&evil),
            computes_too_long(),
        ),
        case(
            "writes what moves a terminal and forges a line",
            Guest::polls(&format!("(call $log (i32.const 1) (i32.const 2048) (i32.const {length}))")).item(&evil),
            Expect::Goes { look: has_the_evil_line },
        ),
        case(
            "reports a fault with such a text and such a code",
            Guest::polls(&report_evil).import("log", "report", "report", report).item(&evil),
            Expect::Goes { look: is_plain },
        ),
        case(
            "returns a fault with such a text and such a code",
            Guest::polls(&faulty).item(&evil),
            Expect::Goes { look: is_plain },
        ),
        case(
            "declares a point with such a name",
            super::grants::told(Guest::polls(""), "(call $declare (i32.const 256) (i32.const 1) (i32.const 1024))")
                .import("points", "declare", "declare", "(param i32 i32 i32)")
                .item(&evil)
                .item(&format!(r#"(data (i32.const 256) "\00\08\00\00\{length:02x}\00\00\00\02")"#)),
            Expect::Told { code: "bad-point-name" },
        ),
    ]
}
