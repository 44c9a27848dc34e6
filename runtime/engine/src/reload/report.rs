//! What a reload came to: for the journal, the API and the command line.

use super::plan::{Fate, Plan};
use serde::Serialize;
use std::time::Duration;

/// What a reload has done. Parts are named as in the config: `connections.boiler`, `routes.up`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Reloaded {
    /// New parts.
    pub added: Vec<String>,
    /// Parts that are gone.
    pub removed: Vec<String>,
    /// Parts that ended and began anew.
    pub restarted: Vec<Told>,
    /// Parts that went on and noticed nothing.
    pub kept: Vec<String>,
    /// Connections among the new and restarted that did not start.
    pub failed: Vec<Told>,
    /// Keys whose change takes effect at the next start only.
    pub needs_restart: Vec<&'static str>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// A part and what there is to say of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Told {
    /// The part.
    pub part: String,
    /// Why.
    pub reason: String,
}

impl Reloaded {
    pub(crate) fn of(plan: &Plan) -> Self {
        let mut report = Self::default();
        let connections = plan.connections.iter().map(|(name, fate)| (format!("connections.{name}"), fate));
        let routes = plan.routes.iter().map(|(name, fate)| (format!("routes.{name}"), fate));
        for (part, fate) in connections.chain(routes) {
            match fate {
                Fate::Added => report.added.push(part),
                Fate::Removed => report.removed.push(part),
                Fate::Restarted(reason) => report.restarted.push(Told { part, reason: reason.clone() }),
                Fate::Kept => report.kept.push(part),
            }
        }
        report
    }

    /// Whether any connection or route was touched.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.restarted.is_empty()
    }

    /// One line each of what was added, removed, restarted, kept and did not work; those that say something.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let told = |all: &[Told]| all.iter().map(|one| format!("{} ({})", one.part, one.reason)).collect::<Vec<_>>();
        let needs: Vec<String> = self.needs_restart.iter().map(|key| (*key).to_owned()).collect();
        let lines = [
            ("added", self.added.clone()),
            ("removed", self.removed.clone()),
            ("restarted", told(&self.restarted)),
            ("kept", self.kept.clone()),
            ("did not start", told(&self.failed)),
            ("takes effect at the next start", needs),
        ];
        lines.into_iter().filter(|(_, parts)| !parts.is_empty()).map(|(what, parts)| listed(what, &parts)).collect()
    }

    /// Writes them to the journal, and how long it took.
    pub(crate) fn tell(&self, took: Duration) {
        for line in self.lines() {
            tracing::info!("reload: {line}");
        }
        tracing::info!(took_ms = took.as_millis(), "reload: the config was applied");
    }
}

/// Most parts that one line names.
const NAMED_MAX: usize = 20;

fn listed(what: &str, parts: &[String]) -> String {
    let shown = parts[..parts.len().min(NAMED_MAX)].join(", ");
    match parts.len().saturating_sub(NAMED_MAX) {
        0 => format!("{what}: {shown}"),
        more => format!("{what}: {shown}, and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_a_line_and_long_lists_are_cut() {
        let report = Reloaded {
            added: vec!["connections.press".into()],
            restarted: vec![Told { part: "routes.up".into(), reason: "its section changed".into() }],
            kept: (0..25).map(|index| format!("connections.c{index}")).collect(),
            ..Reloaded::default()
        };
        let lines = report.lines();
        assert_eq!(lines[..2], ["added: connections.press", "restarted: routes.up (its section changed)"]);
        assert!(lines[2].starts_with("kept: connections.c0,") && lines[2].ends_with("and 5 more"), "{}", lines[2]);
        assert_eq!(lines.len(), 3);
    }
}
