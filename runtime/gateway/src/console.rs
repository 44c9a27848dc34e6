//! What is written to the terminal: tables, complaints, progress. Colour and redrawing only where one is.

use bulkhead_config::Diagnostics;
use bulkhead_model::{escaped_json, printable, printable_lines, scrubbed};
use serde::Serialize;
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// Writes a line to stdout: no text in it makes another. That nobody reads it any more is no reason to fail.
pub(crate) fn say(line: &str) {
    _ = writeln!(std::io::stdout().lock(), "{}", printable(line));
}

/// Writes several lines to stdout. Texts of others in them have to be [`printable`] already, else they make lines of their own.
pub(crate) fn say_lines(lines: &str) {
    _ = writeln!(std::io::stdout().lock(), "{}", printable_lines(lines));
}

/// Writes a value as JSON of several lines to stdout.
pub(crate) fn say_json(value: &(impl Serialize + ?Sized)) -> Result<(), serde_json::Error> {
    let json = serde_json::to_string_pretty(value)?;
    _ = writeln!(std::io::stdout().lock(), "{}", escaped_json(&json));
    Ok(())
}

/// Clears a terminal and writes to stdout.
pub(crate) fn say_on_cleared_screen(text: &str) {
    _ = writeln!(std::io::stdout().lock(), "\x1b[2J\x1b[H{}", printable_lines(text));
}

/// Writes a line to stdout, for a command that has no end of its own. False: nobody reads it any more.
pub(crate) fn is_heard(line: &str) -> bool {
    writeln!(std::io::stdout().lock(), "{}", printable_lines(line)).is_ok()
}

/// Writes a note about progress to stderr, on a line.
pub(crate) fn note(line: &str) {
    _ = writeln!(std::io::stderr().lock(), "{}", printable(line));
}

/// As [`say_lines`], but to stderr.
pub(crate) fn note_lines(lines: &str) {
    _ = writeln!(std::io::stderr().lock(), "{}", printable_lines(lines));
}

/// Writes what is wrong with a config to stderr, in colours where [`stderr_is_coloured`].
pub(crate) fn note_diagnostics(diagnostics: &Diagnostics) {
    let is_coloured = stderr_is_coloured();
    let is_kept = |character| matches!(character, '\n' | '\t') || is_coloured && character == '\x1b';
    let text = scrubbed(&diagnostics.pretty(is_coloured), is_kept);
    _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Puts a line in the place of the one that was drawn before, on a terminal's stderr.
pub(crate) fn redraw(line: &str) {
    _ = write!(std::io::stderr().lock(), "\r\x1b[K{line}");
}

/// Writes the reason of a failure to stderr.
pub(crate) fn complain(message: &str) {
    note_lines(&indented(&format!("error: {message}")));
}

/// A text whose further lines are indented, so that none of them passes for a line of the command's own.
pub(crate) fn indented(text: &str) -> String {
    let mut lines = text.split('\n');
    let first = lines.next().unwrap_or_default().to_owned();
    lines.fold(first, |shown, line| {
        let indent = if line.is_empty() || line.starts_with([' ', '\t']) { "" } else { "  " };
        format!("{shown}\n{indent}{line}")
    })
}

/// Waits for something that can take long; after two seconds, and then every five, it says on stderr what it waits for.
pub(crate) async fn while_waiting<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    let started = std::time::Instant::now();
    let mut quiet_for = QUIET_FIRST;
    loop {
        tokio::select! {
            outcome = &mut work => return outcome,
            () = tokio::time::sleep(quiet_for) => note(&format!("{what} … {} s", started.elapsed().as_secs())),
        }
        quiet_for = QUIET_NEXT;
    }
}

/// How long a command works before it says what it waits for, and how long until it says so again.
const QUIET_FIRST: Duration = Duration::from_secs(2);
const QUIET_NEXT: Duration = Duration::from_secs(5);

/// Whether stdout is a terminal.
pub(crate) fn stdout_is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// Whether stderr may be coloured.
pub(crate) fn stderr_is_coloured() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// A number with its word: `1 segment`, `2 segments`.
pub(crate) fn counted(number: u64, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}

/// A table with aligned columns and no frame.
pub(crate) fn table<const COLUMNS: usize>(
    header: [&str; COLUMNS],
    rows: impl IntoIterator<Item = [String; COLUMNS]>,
) -> String {
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::NOTHING).set_header(header);
    for row in rows {
        table.add_row(row.map(|cell| printable(&cell)));
    }
    table.to_string().lines().map(|line| line.trim_end().strip_prefix(' ').unwrap_or(line).trim_end()).fold(
        String::new(),
        |mut text, line| {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(line);
            text
        },
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn further_lines_of_a_reason_are_indented() {
        let reason = "error: it is wrong\nerror: all is well\n\n  at line 1\n";
        assert_eq!(super::indented(reason), "error: it is wrong\n  error: all is well\n\n  at line 1\n");
    }

    #[test]
    fn a_table_is_aligned_without_a_frame() {
        let table = super::table(["point", "value"], [["flow".to_owned(), "1.5".to_owned()]]);
        assert_eq!(table, "point  value\nflow   1.5");
        let table = super::table(["point"], [["a\nflow \u{202e}5.1\u{1b}[2J".to_owned()]]);
        assert_eq!(table, "point\na flow  5.1 [2J", "a text of a device makes no row of its own");
    }
}
