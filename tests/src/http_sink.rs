//! The sink `http-json` at a simulated upstream, a route to it, and what the upstream has accepted.

use anyhow::{Context, Result, bail};
use bulkhead_simulators::upstream::Accepted;
use std::collections::{BTreeMap, BTreeSet};

/// What the sinks of most tests make of a reading.
const SEQ_AND_NUMBER: &str = r#"{"seq": {{ reading.seq }}, "n": {{ reading.value }}}"#;

/// The connection `name`, which posts `{"seq": 7, "n": 1}` of each reading of a batch to `/ingest` below a URL, as one list.
/// `transport` has further keys of its transport.
#[must_use]
pub fn http_sink(name: &str, base_url: &str, transport: &str) -> String {
    http_sink_of(SEQ_AND_NUMBER, name, base_url, transport)
}

/// The same with another template of a reading.
pub(crate) fn http_sink_of(reading: &str, name: &str, base_url: &str, transport: &str) -> String {
    let methods = if transport.contains("allow_methods") { "" } else { "allow_methods = [\"POST\"]\n" };
    format!(
        r#"
[connections.{name}]
adapter = "http-json"

[connections.{name}.transports.upstream]
kind = "http"
base_url = "{base_url}"
{methods}{transport}

[connections.{name}.settings]
path = "/ingest"
body = '''[{{% for reading in readings %}}{reading}{{% if not loop.last %}},{{% endif %}}{{% endfor %}}]'''
"#
    )
}

/// A route from one selection of points to one connection that sends what there is and tries again without much delay.
/// `more` has further keys.
#[must_use]
pub fn prompt_route(name: &str, select: &str, to: &str, more: &str) -> String {
    format!(
        "\n[routes.{name}]\nselect = [\"{select}\"]\nto = \"{to}\"\nbatch_max_age_ms = 5\nretry_first_ms = 10\n\
         retry_max_ms = 100\n{more}\n"
    )
}

/// The numbers that a [`http_sink`] sent, in the order of their acceptance.
#[must_use]
pub fn accepted_numbers(accepted: &[Accepted]) -> Vec<i64> {
    accepted.iter().map(|one| one.body["n"].as_i64().unwrap_or(i64::MIN)).collect()
}

/// The same in the order in which each came for the first time.
#[must_use]
pub fn first_arrivals(accepted: &[Accepted]) -> Vec<i64> {
    let mut seen = BTreeSet::new();
    accepted_numbers(accepted).into_iter().filter(|number| seen.insert(*number)).collect()
}

/// What came more than once.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Repeats {
    /// Arrivals of readings that were there already.
    pub twice: u64,
    /// Those of them under a key that the reading had not come under: a sink that honours keys cannot know it again.
    pub under_two_keys: u64,
}

/// Counts what came more than once.
///
/// # Errors
/// Names what came without seq or without key.
pub fn repeats(accepted: &[Accepted]) -> Result<Repeats> {
    let mut repeats = Repeats::default();
    let mut keys: BTreeMap<u64, BTreeSet<&str>> = BTreeMap::new();
    for one in accepted {
        let seq = one.body["seq"].as_u64().with_context(|| format!("no seq: {one:?}"))?;
        let under = keys.entry(seq).or_default();
        let (is_first, is_new_key) = (
            under.is_empty(),
            under.insert(one.idempotency_key.as_deref().with_context(|| format!("no key: {one:?}"))?),
        );
        repeats.twice += u64::from(!is_first);
        repeats.under_two_keys += u64::from(!is_first && is_new_key);
    }
    Ok(repeats)
}

/// Holds what came against the log's readings, as (seq, number): all there, none invented, each first time in the log's order.
///
/// # Errors
/// Shows where they part, and as [`repeats`].
pub fn compare(accepted: &[Accepted], logged: &[(u64, u64)]) -> Result<Repeats> {
    let (mut seen, mut first_times) = (BTreeSet::new(), Vec::new());
    for one in accepted {
        let field = |name: &str| one.body[name].as_u64().with_context(|| format!("no {name}: {one:?}"));
        if seen.insert(field("seq")?) {
            first_times.push((field("seq")?, field("n")?));
        }
    }
    if first_times != logged {
        let at = first_times.iter().zip(logged).position(|(sent, logged)| sent != logged);
        let at = at.unwrap_or(first_times.len().min(logged.len()));
        let around = |list: &[(u64, u64)]| format!("{:?}", &list[at.saturating_sub(3)..list.len().min(at + 3)]);
        bail!("sent {} logged {}", around(&first_times), around(logged));
    }
    repeats(accepted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Readings as (key, seq, number).
    fn accepted(of: &[(&str, u64, u64)]) -> Vec<Accepted> {
        let one = |&(key, seq, number): &(&str, u64, u64)| Accepted {
            number: 0,
            method: "POST".into(),
            collection: "ingest".into(),
            key: None,
            idempotency_key: Some(key.into()),
            body: json!({ "seq": seq, "n": number }),
        };
        of.iter().map(one).collect()
    }

    #[test]
    fn repeats_are_counted_and_what_is_missing_or_in_another_order_is_found() {
        let sent = accepted(&[("a", 1, 10), ("a", 2, 20), ("a", 1, 10), ("b", 2, 20), ("b", 3, 10)]);
        let logged = [(1, 10), (2, 20), (3, 10)];
        assert_eq!(compare(&sent, &logged).unwrap(), Repeats { twice: 2, under_two_keys: 1 });
        assert_eq!((accepted_numbers(&sent).len(), first_arrivals(&sent)), (5, vec![10, 20]));
        for wrong in [&logged[..2], &[(1, 10), (3, 10), (2, 20)], &[(1, 10), (2, 21), (3, 10)], &[]] {
            assert!(compare(&sent, wrong).unwrap_err().to_string().contains("logged"), "{wrong:?}");
        }
        let keyless = Accepted { idempotency_key: None, ..sent[0].clone() };
        assert!(repeats(&[keyless]).unwrap_err().to_string().contains("no key"));
    }
}
