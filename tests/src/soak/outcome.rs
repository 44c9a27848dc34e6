//! What a fault's trials came to, as one row of a table.

use serde::Serialize;
use std::time::Duration;

/// A fault's row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// The fault, and where it has several kinds, the kind.
    pub fault: String,
    /// How often it was brought about.
    pub trials: u64,
    /// Readings that the gateway had acknowledged to their source.
    pub acknowledged: u64,
    /// Those of them that the sink does not have; with those that it has damaged, or that nobody sent.
    pub lost: u64,
    /// Readings that the gateway sent again.
    pub duplicates: u64,
    /// Those of them that came under another key than the first time.
    pub duplicates_by_key: u64,
    /// Readings that their source sent again and that the log has twice.
    pub redelivered: u64,
    /// Longest time from the fault's end until a reading was acknowledged and another one accepted by the sink.
    pub longest_recovery_ms: Option<u64>,
    /// Further figures, in words.
    pub notes: Vec<String>,
    /// What of the promise is broken, in words; empty: it is kept.
    pub broken: Vec<String>,
}

impl Outcome {
    /// Of a fault whose trials could not be carried out.
    #[must_use]
    pub fn failed(fault: &str, error: &anyhow::Error) -> Self {
        Self {
            fault: fault.to_owned(),
            trials: 0,
            acknowledged: 0,
            lost: 0,
            duplicates: 0,
            duplicates_by_key: 0,
            redelivered: 0,
            longest_recovery_ms: None,
            notes: Vec::new(),
            broken: vec![format!("the trials ended: {error:#}")],
        }
    }

    /// Whether the promise is kept.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.broken.is_empty()
    }
}

/// Milliseconds of a time, for a row.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The rows as a table in Markdown, with what is broken below.
#[must_use]
pub fn table(outcomes: &[Outcome]) -> String {
    let head = ["fault", "trials", "acknowledged", "lost", "duplicates", "by key", "sent again", "recovery", "", ""];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(outcomes.iter().map(cells));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 10] = std::array::from_fn(width);
    let line = |row: &[String; 10]| {
        let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, width))| match column {
            1..=7 => format!("{cell:>width$}"),
            _ => format!("{cell:<width$}"),
        });
        format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
    };
    let rule = widths.map(|width| "-".repeat(width.max(3)));
    let mut text = line(&rows[0]) + &format!("| {} |\n", rule.join(" | "));
    text.extend(rows[1..].iter().map(line));
    for outcome in outcomes {
        text.extend(outcome.broken.iter().map(|broken| format!("BROKEN: {}: {broken}\n", outcome.fault)));
    }
    text
}

fn cells(outcome: &Outcome) -> [String; 10] {
    let number = |number: u64| grouped(number);
    [
        outcome.fault.clone(),
        number(outcome.trials),
        number(outcome.acknowledged),
        number(outcome.lost),
        number(outcome.duplicates),
        number(outcome.duplicates_by_key),
        number(outcome.redelivered),
        outcome.longest_recovery_ms.map_or_else(|| "–".to_owned(), |ms| format!("{} ms", grouped(ms))),
        if outcome.is_kept() { "kept" } else { "BROKEN" }.to_owned(),
        outcome.notes.join("; "),
    ]
}

/// A number with its thousands apart.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_row_a_fault_and_says_what_is_broken() {
        let kept = Outcome {
            fault: "kill".into(),
            trials: 200,
            acknowledged: 123_456,
            lost: 0,
            duplicates: 1200,
            duplicates_by_key: 0,
            redelivered: 30,
            longest_recovery_ms: Some(1234),
            notes: vec!["fast".into()],
            broken: Vec::new(),
        };
        let broken = Outcome { lost: 1, longest_recovery_ms: None, broken: vec!["1 is lost".into()], ..kept.clone() };
        let text = table(&[kept, broken]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 5, "{text}");
        assert!(lines[2].contains("123,456") && lines[2].contains("1,234 ms") && lines[2].contains("kept"));
        assert!(lines[3].contains("BROKEN") && lines[4] == "BROKEN: kill: 1 is lost");
    }
}
