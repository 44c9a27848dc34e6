//! From the bytes of a frame to readings: decoding, checksum, patterns, and what becomes of lines that fit nothing.

use crate::nmea;
use crate::pattern::Pattern;
use bulkhead_sdk::text::Encoding;
use bulkhead_sdk::{Fault, Reading, Status, log};
use regex_lite::Regex;

/// Most characters of a line that a message shows.
const SHOWN_CHARS: usize = 80;

/// How lines are read.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) patterns: Vec<Pattern>,
    pub(crate) ignore: Vec<Regex>,
    pub(crate) nmea: bool,
    pub(crate) encoding: Encoding,
}

/// What became of a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// It made readings, Bad ones perhaps.
    Read,
    /// It was expected and means nothing.
    Ignored,
    /// It fits nothing, and was reported.
    Unmatched,
}

impl Reader {
    /// Reads one line and adds its readings. With a poll group only the patterns of that group are asked.
    pub(crate) fn read(
        &self,
        frame: &[u8],
        time: Option<i64>,
        group: Option<&str>,
        readings: &mut Vec<Reading>,
    ) -> Outcome {
        let text = match self.encoding.decode(frame) {
            Ok(text) => text,
            Err(malformed) => {
                let seen = String::from_utf8_lossy(frame);
                report("bad-encoding", &format!("{malformed} in the connection's encoding: {}", shown(&seen)));
                return Outcome::Unmatched;
            }
        };
        let line = text.trim_end_matches(['\r', '\n']);
        let patterns = || self.patterns.iter().filter(|pattern| group.is_none() || pattern.group.as_deref() == group);
        let mut body = line;
        if self.nmea {
            let (sentence, checked) = nmea::sentence(line);
            body = sentence;
            if let Err(bad) = checked {
                let status = Status::BAD_DECODING_ERROR;
                let known = patterns().any(|pattern| pattern.read_bad(body, time, status, readings));
                if !known && self.is_ignored(line, body) {
                    return Outcome::Ignored;
                }
                report("bad-checksum", &format!("{bad}: {}", shown(line)));
                return if known { Outcome::Read } else { Outcome::Unmatched };
            }
        }
        if patterns().any(|pattern| pattern.read(body, time, readings)) {
            return Outcome::Read;
        }
        if self.is_ignored(line, body) {
            return Outcome::Ignored;
        }
        report("unmatched-line", &format!("no pattern matches {}", shown(line)));
        Outcome::Unmatched
    }

    fn is_ignored(&self, line: &str, body: &str) -> bool {
        line.is_empty() || self.ignore.iter().any(|regex| regex.is_match(line) || regex.is_match(body))
    }
}

fn report(code: &str, message: &str) {
    log::report(None, &Fault::reject(code, message));
}

/// A line in a message: quoted, control characters escaped, cut where it is long.
pub(crate) fn shown(line: &str) -> String {
    let cut: String = line.chars().take(SHOWN_CHARS).collect();
    let rest = line.chars().count() - cut.chars().count();
    if rest == 0 { format!("`{}`", cut.escape_debug()) } else { format!("`{}…` and {rest} more", cut.escape_debug()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_and_control_characters_are_shown_short_and_safe() {
        assert_eq!(shown("a\x1b[2J"), r"`a\u{1b}[2J`");
        assert!(shown(&"x".repeat(1000)).ends_with("…` and 920 more"));
    }
}
