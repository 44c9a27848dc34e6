//! The rules of source files: each Rust file opens by saying what it is about, and none is so long that its structure
//! hides.

use std::path::Path;

/// Lines above which a file is mentioned.
const LONG_LINES: usize = 400;

/// Lines above which a file is refused.
const TOO_LONG_LINES: usize = 600;

/// Most lines of the gateway's `main.rs`, which only composes.
const COMPOSITION_LINES: usize = 150;

/// The gateway's `main.rs`.
const COMPOSITION_ROOT: &str = "runtime/gateway/src/main.rs";

/// Whether the rules apply to a file.
pub(crate) fn is_source(path: &Path) -> bool {
    const ENDINGS: [&str; 5] = ["rs", "wit", "py", "js", "sh"];
    path.extension().is_some_and(|end| ENDINGS.iter().any(|ending| end == *ending))
}

/// A complaint when a Rust file does not open with `//!` and words after it.
pub(crate) fn check_header(shown: &str, text: &str) -> Option<String> {
    let first = text.lines().next().unwrap_or_default();
    let opens = first.strip_prefix("//!").is_some_and(|words| !words.trim().is_empty());
    (shown.ends_with(".rs") && !opens)
        .then(|| format!("{shown}:1: must open with `//!` and a sentence on what lives here and why"))
}

/// How a file's length is taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Length {
    /// Short enough.
    Fine,
    /// Allowed, and mentioned.
    Long(String),
    /// Refused.
    TooLong(String),
}

/// How long a file is, by the rules.
pub(crate) fn check_length(shown: &str, text: &str) -> Length {
    let lines = text.lines().count();
    if shown == COMPOSITION_ROOT && lines >= COMPOSITION_LINES {
        return Length::TooLong(format!("{shown}: {lines} lines; a composition root has under {COMPOSITION_LINES}"));
    }
    match lines {
        0..=LONG_LINES => Length::Fine,
        _ if lines <= TOO_LONG_LINES => Length::Long(format!("{shown}: {lines} lines; most have under {LONG_LINES}")),
        _ => Length::TooLong(format!("{shown}: {lines} lines; at most {TOO_LONG_LINES}: split it by subject")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rust_file_opens_with_what_it_is_about() {
        assert_eq!(check_header("a.rs", "//! Ticks.\nfn f() {}"), None);
        for text in ["fn f() {}", "", "//!\nfn f() {}", "// Ticks.\n", "#![allow(dead_code)]\n//! Ticks."] {
            assert!(check_header("a.rs", text).is_some(), "{text:?}");
        }
        assert_eq!(check_header("a.wit", "package a:b;"), None);
    }

    #[test]
    fn length_is_mentioned_then_refused() {
        let lines = |count: usize| "x\n".repeat(count);
        assert_eq!(check_length("a.rs", &lines(400)), Length::Fine);
        assert!(matches!(check_length("a.rs", &lines(401)), Length::Long(_)));
        assert!(matches!(check_length("a.rs", &lines(600)), Length::Long(_)));
        assert!(matches!(check_length("a.rs", &lines(601)), Length::TooLong(_)));
    }

    #[test]
    fn the_composition_root_is_short() {
        assert_eq!(check_length(COMPOSITION_ROOT, &"x\n".repeat(149)), Length::Fine);
        assert!(matches!(check_length(COMPOSITION_ROOT, &"x\n".repeat(150)), Length::TooLong(_)));
    }
}
