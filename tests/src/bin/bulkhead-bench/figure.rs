//! A measured number with what it is compared with, and how figures are shown.

use anyhow::Result;
use serde::Serialize;
use std::io::Write;

/// One figure.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(crate) struct Figure {
    /// Its name: that of the measurement, with a suffix where that gives several.
    pub(crate) name: String,
    /// What was measured; none when that failed.
    pub(crate) value: Option<f64>,
    /// Its unit.
    pub(crate) unit: &'static str,
    /// The same, done by hand with the bare libraries, in the same run.
    pub(crate) reference: Option<f64>,
    /// Value by reference.
    pub(crate) ratio: Option<f64>,
    /// What it should be, in words; none: for information.
    pub(crate) target: Option<String>,
    /// Whether it is that.
    pub(crate) ok: Option<bool>,
}

impl Figure {
    /// A figure for information.
    pub(crate) fn of(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        let (reference, ratio, target, ok) = (None, None, None, None);
        Self { name: name.into(), value: Some(value), unit, reference, ratio, target, ok }
    }

    /// A measurement that did not come to a figure.
    pub(crate) fn failed(name: &str) -> Self {
        let target = Some("to be measured".to_owned());
        Self { value: None, ok: Some(false), target, ..Self::of(name, 0.0, "") }
    }

    /// It beside the same done by hand, which it should reach to this part.
    pub(crate) fn beside(self, reference: f64, ratio_min: f64) -> Self {
        let ratio = self.value.map(|value| value / reference);
        let ok = ratio.map(|ratio| ratio >= ratio_min);
        Self { reference: Some(reference), ratio, target: Some(format!("ratio ≥ {ratio_min}")), ok, ..self }
    }

    /// It with a lowest value.
    pub(crate) fn at_least(self, min: f64) -> Self {
        Self { target: Some(format!("≥ {}", number(min))), ok: self.value.map(|value| value >= min), ..self }
    }

    /// It with a highest value.
    pub(crate) fn at_most(self, max: f64) -> Self {
        Self { target: Some(format!("≤ {}", number(max))), ok: self.value.map(|value| value <= max), ..self }
    }

    fn cells(&self) -> [String; 7] {
        let optional = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), number);
        let verdict = match self.ok {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "–",
        };
        [
            self.name.clone(),
            optional(self.value),
            self.unit.to_owned(),
            optional(self.reference),
            optional(self.ratio),
            self.target.clone().unwrap_or_else(|| "–".to_owned()),
            verdict.to_owned(),
        ]
    }

    /// It in one line.
    pub(crate) fn line(&self) -> String {
        let [name, value, unit, reference, ratio, target, verdict] = self.cells();
        format!("{name}: {value} {unit} (by hand {reference}, ratio {ratio}, target {target}: {verdict})")
    }
}

/// Whole numbers from 100 on, grouped by thousands; three significant digits or two decimals below.
fn number(value: f64) -> String {
    if value.abs() < 1.0 {
        return format!("{value:.3}");
    }
    if value.abs() < 100.0 {
        return format!("{value:.2}");
    }
    let digits = format!("{:.0}", value.abs());
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if value < 0.0 { format!("-{grouped}") } else { grouped }
}

/// Writes one line of progress to standard error.
pub(crate) fn say(line: &str) {
    // Whoever closed standard error wants no progress.
    _ = writeln!(std::io::stderr(), "{line}");
}

/// Prints the figures as a JSON array.
pub(crate) fn print_json(figures: &[Figure]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, figures)?;
    Ok(writeln!(out)?)
}

/// Prints the figures as a table.
pub(crate) fn print_table(figures: &[Figure]) -> Result<()> {
    let head = ["figure", "value", "unit", "by hand", "ratio", "target", ""].map(str::to_owned);
    let rows: Vec<[String; 7]> = std::iter::once(head).chain(figures.iter().map(Figure::cells)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 7] = std::array::from_fn(width);
    let mut out = std::io::stdout().lock();
    for row in &rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            match column {
                1 | 3 | 4 => line += &format!("{cell:>width$}  "),
                _ => line += &format!("{cell:<width$}  "),
            }
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_judged_by_its_target() {
        assert_eq!(Figure::of("a", 71.0, "/s").beside(100.0, 0.7).ok, Some(true));
        assert_eq!(Figure::of("a", 69.0, "/s").beside(100.0, 0.7).ok, Some(false));
        assert_eq!(Figure::of("a", 61.0, "ms").at_most(60.0).ok, Some(false));
        assert_eq!(Figure::of("a", 61.0, "ms").at_least(60.0).ok, Some(true));
        assert_eq!(Figure::of("a", 61.0, "ms").ok, None);
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(number(1_234_567.8), "1,234,568");
        assert_eq!(number(-1234.0), "-1,234");
        assert_eq!((number(0.1234), number(12.345)), ("0.123".to_owned(), "12.35".to_owned()));
    }
}
