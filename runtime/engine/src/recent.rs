//! The journal's last lines, kept in memory for a support bundle: whoever looks for a fault on a gateway without a
//! journal on disk has them.

use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;

/// Most lines kept.
const LINES_MAX: usize = 1_000;
/// Most bytes of all lines kept.
const BYTES_MAX: usize = 256 * 1024;

/// The last lines of the journal. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct RecentLines {
    lines: Arc<Mutex<Lines>>,
}

#[derive(Debug, Default)]
struct Lines {
    lines: VecDeque<Box<str>>,
    bytes: usize,
}

impl RecentLines {
    /// Takes a line in; the oldest go beyond 1,000 lines or 256 KiB. A longer line than that is left out.
    pub fn push(&self, line: &str) {
        let line = line.trim_end_matches(['\r', '\n']);
        if line.len() > BYTES_MAX {
            return;
        }
        let mut kept = self.lines.lock();
        kept.bytes += line.len();
        kept.lines.push_back(line.into());
        while kept.lines.len() > LINES_MAX || kept.bytes > BYTES_MAX {
            let Some(oldest) = kept.lines.pop_front() else { return };
            kept.bytes -= oldest.len();
        }
    }

    /// The lines, the oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<Box<str>> {
        self.lines.lock().lines.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_lines_go_first() {
        let recent = RecentLines::default();
        for number in 0..1_500 {
            recent.push(&format!("line {number}\n"));
        }
        let lines = recent.all();
        assert_eq!((lines.len(), &*lines[0], &*lines[999]), (1_000, "line 500", "line 1499"));
        recent.push(&"x".repeat(BYTES_MAX - 10));
        assert_eq!(recent.all().len(), 2, "one of nine bytes has room beside it");
        recent.push(&"x".repeat(BYTES_MAX + 1));
        assert_eq!(recent.all().len(), 2);
    }
}
