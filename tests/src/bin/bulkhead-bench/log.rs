//! The log by itself: its example `log_bench` runs a case a process, so that memory and bytes written are the case's own;
//! here are the cases, their sizes and their targets.

use crate::figure::Figure;
use crate::place::Place;
use anyhow::{Context, Result, bail};
use std::process::Command;

/// What a figure should be.
#[derive(Clone, Copy)]
enum Target {
    /// This part of the same by hand.
    Ratio(f64),
    /// No more than this.
    AtMost(f64),
}

/// What figures should be, by name; others are for information.
const TARGETS: &[(&str, Target)] = &[
    ("log-append-1", Target::Ratio(0.6)),
    ("log-append-100", Target::Ratio(0.6)),
    ("log-append-10000", Target::Ratio(0.6)),
    ("log-longest-commit-sealing", Target::AtMost(50.0)),
    ("log-flat-rows", Target::Ratio(0.9)),
    ("log-flat-points", Target::Ratio(0.9)),
    ("log-memory", Target::AtMost(32.0)),
    ("log-point-day", Target::AtMost(20.0)),
    ("log-by-seq", Target::AtMost(20.0)),
    ("log-bytes-open-random", Target::AtMost(50.0)),
    ("log-bytes-open-registers", Target::AtMost(50.0)),
    ("log-bytes-sealed-random", Target::AtMost(12.0)),
    ("log-bytes-sealed-registers", Target::AtMost(4.0)),
    ("log-written-day", Target::AtMost(1.0)),
];

/// Runs one case at its usual size.
pub(crate) fn measure(place: &Place, case: &str) -> Result<Vec<Figure>> {
    let folder = place.folder()?;
    let program = place.log_bench()?;
    let output = Command::new(&program)
        .arg(case)
        .arg(folder.path())
        .output()
        .with_context(|| format!("{} cannot be started", program.display()))?;
    if !output.status.success() {
        bail!("{case} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout)?.lines().map(figure_of).collect()
}

/// A figure out of a line: name, value, unit, and the same by hand, separated by tabs.
fn figure_of(line: &str) -> Result<Figure> {
    let fields: Vec<&str> = line.split('\t').collect();
    let [name, value, unit, by_hand @ ..] = fields.as_slice() else { bail!("{line:?} is no figure") };
    let by_hand = by_hand.first().map(|by_hand| by_hand.parse::<f64>()).transpose()?;
    let figure = Figure::of(*name, value.parse()?, unit_of(unit));
    let target = TARGETS.iter().find(|(known, _)| known == name).map(|(_, target)| *target);
    Ok(match (target, by_hand) {
        (Some(Target::Ratio(min)), Some(by_hand)) => figure.beside(by_hand, min),
        (Some(Target::Ratio(_)), None) => bail!("{name} lacks what it is compared with"),
        (Some(Target::AtMost(max)), _) => figure.at_most(max),
        (None, Some(by_hand)) => Figure { reference: Some(by_hand), ..figure },
        (None, None) => figure,
    })
}

fn unit_of(unit: &str) -> &'static str {
    let units = ["rows/s", "ns/row", "ms", "MB", "bytes", "rows", "commits/s", "GB/day", "segments"];
    units.into_iter().find(|known| *known == unit).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_figures_with_their_targets() {
        let figure = figure_of("log-append-1\t700\trows/s\t1000").unwrap();
        assert_eq!((figure.ratio, figure.ok), (Some(0.7), Some(true)));
        let figure = figure_of("log-by-seq\t20.5\tms").unwrap();
        assert_eq!((figure.unit, figure.ok), ("ms", Some(false)));
        assert_eq!(figure_of("log-points-100\t5\trows/s").unwrap().ok, None);
        assert!(figure_of("log-append-1\t700\trows/s").is_err() && figure_of("nothing").is_err());
    }
}
