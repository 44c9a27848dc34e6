//! What became of a hostile adapter, as one row of a table.

use serde::Serialize;

/// A case's row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The number of its group in docs/specs/hostile-adapters.md.
    pub group: u8,
    /// What the adapter does.
    pub case: String,
    /// What the gateway shows of it.
    pub shown: String,
    /// From the beginning of its last hostile act to the line that tells of its end, beyond its deadline; negative: it ended
    /// before. None: it is not ended, or never begins.
    pub beyond_deadline_ms: Option<i64>,
    /// The most memory the gateway had in RAM meanwhile, beyond what it had before.
    pub grown_bytes: u64,
    /// What it may have: the guest's own limit and 16 MiB.
    pub may_grow_bytes: u64,
    /// The 99th percentile of the time between two polls of the neighbours' devices.
    pub neighbours_p99_ms: f64,
    /// The same before the first case.
    pub neighbours_p99_before_ms: f64,
    /// How often it was built anew.
    pub restarts: u64,
    /// What of the promise is broken, in words; empty: it is kept.
    pub broken: Vec<String>,
}

impl Row {
    /// Whether the promise is kept.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.broken.is_empty()
    }
}

/// The rows as a table in Markdown, with what is broken below.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    let mut lines = vec![
        ["", "the adapter …", "beyond its deadline", "memory", "neighbours' p99", "restarts", "", "the gateway shows"]
            .map(str::to_owned),
    ];
    lines.extend(rows.iter().map(cells));
    let widths: [usize; 8] =
        std::array::from_fn(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0));
    let show = |line: &[String; 8]| {
        let cells: Vec<String> = line
            .iter()
            .zip(widths)
            .enumerate()
            .map(|(column, (cell, width))| match column {
                0 | 2..=5 => format!("{cell:>width$}"),
                _ => format!("{cell:<width$}"),
            })
            .collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let rule = widths.map(|width| "-".repeat(width.max(3)));
    let mut text = show(&lines[0]) + &format!("| {} |\n", rule.join(" | "));
    text.extend(lines[1..].iter().map(show));
    for row in rows {
        text.extend(row.broken.iter().map(|broken| format!("BROKEN: {}: {broken}\n", row.case)));
    }
    text
}

fn cells(row: &Row) -> [String; 8] {
    [
        row.group.to_string(),
        row.case.clone(),
        row.beyond_deadline_ms.map_or_else(|| "–".to_owned(), |ms| format!("{ms} ms")),
        format!("{:.1} of {} MiB", mib(row.grown_bytes), row.may_grow_bytes >> 20),
        format!("{:.0} ({:.0}) ms", row.neighbours_p99_ms, row.neighbours_p99_before_ms),
        row.restarts.to_string(),
        if row.is_kept() { "kept" } else { "BROKEN" }.to_owned(),
        row.shown.clone(),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "one digit is shown")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_row_a_case_and_says_what_is_broken() {
        let kept = Row {
            group: 1,
            case: "spins in poll".into(),
            shown: "deadline".into(),
            beyond_deadline_ms: Some(7),
            grown_bytes: 3 << 19,
            may_grow_bytes: 48 << 20,
            neighbours_p99_ms: 52.0,
            neighbours_p99_before_ms: 51.0,
            restarts: 3,
            broken: Vec::new(),
        };
        let broken = Row { broken: vec!["the gateway is dead".into()], beyond_deadline_ms: None, ..kept.clone() };
        let text = table(&[kept, broken]);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[2].contains("7 ms") && lines[2].contains("1.5 of 48 MiB") && lines[2].contains("kept"), "{text}");
        assert!(lines[3].contains("BROKEN") && lines[4] == "BROKEN: spins in poll: the gateway is dead", "{text}");
    }
}
