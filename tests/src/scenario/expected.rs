//! What a scenario expects, and how it is compared with what there is.

use super::devices::Devices;
use crate::api::{Api, Reading};
use anyhow::Result;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// Stands for any text or number in an expected value: times and keys are new each time.
const ANY: &str = "*";

/// `expected.json`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expected {
    /// The latest reading of every point there is, as `"connection/point": [kind, status, value, unit]`.
    latest: BTreeMap<String, Json>,
    /// How often each fault was counted at least, by connection and code. Connections not named must have none.
    #[serde(default)]
    faults: BTreeMap<String, BTreeMap<String, u64>>,
    /// Counts of routes: `accepted` and `rejected`.
    #[serde(default)]
    routes: BTreeMap<String, Counts>,
    /// Everything an upstream has accepted, in order.
    #[serde(default)]
    upstreams: BTreeMap<String, Vec<Json>>,
    /// Entities of upstreams as they are in the end, by upstream, entity set and key.
    #[serde(default)]
    entities: BTreeMap<String, BTreeMap<String, BTreeMap<String, Json>>>,
}

/// What a route has done.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Counts {
    accepted: u64,
    rejected: u64,
}

impl Expected {
    /// What is not as expected, one line each; empty: all is.
    pub(super) async fn differences(&self, api: &Api, devices: &Devices) -> Result<String> {
        let mut found = Differences::default();
        self.compare_latest(&api.latest().await?, &mut found);
        self.compare_faults(api, &mut found).await?;
        for (name, counts) in &self.routes {
            let route = api.route(name).await?;
            found.compare(&format!("route {name} accepted"), &json!(counts.accepted), &json!(route.accepted));
            found.compare(&format!("route {name} rejected"), &json!(counts.rejected), &json!(route.rejected));
        }
        for (name, accepted) in &self.upstreams {
            let seen = devices.upstream(name)?.accepted();
            let seen = seen.iter().map(
                |one| json!({"method": one.method, "collection": one.collection, "key": one.key, "body": one.body}),
            );
            found.compare(&format!("accepted by {name}"), &json!(accepted), &seen.collect());
        }
        for (name, sets) in &self.entities {
            let upstream = devices.upstream(name)?;
            for (set, entities) in sets {
                for (key, entity) in entities {
                    let seen = upstream.entity(set, key).unwrap_or(Json::Null);
                    found.compare(&format!("{name}'s {set}({key})"), entity, &seen);
                }
            }
        }
        Ok(found.0)
    }

    fn compare_latest(&self, latest: &[Reading], found: &mut Differences) {
        let mut seen: BTreeMap<String, Json> = latest
            .iter()
            .map(|reading| {
                let name = format!("{}/{}", reading.connection, reading.point);
                (name, json!([reading.kind, reading.status_name, reading.value, reading.unit]))
            })
            .collect();
        for (name, expected) in &self.latest {
            found.compare(name, expected, &seen.remove(name).unwrap_or(Json::Null));
        }
        for (name, unexpected) in seen {
            found.compare(&name, &Json::Null, &unexpected);
        }
    }

    async fn compare_faults(&self, api: &Api, found: &mut Differences) -> Result<()> {
        for connection in api.connections().await? {
            let expected = self.faults.get(&connection.name);
            for (code, least) in expected.into_iter().flatten() {
                let seen = connection.faults.get(code).copied().unwrap_or(0);
                if seen < *least {
                    found.compare(&format!("faults {code} of {}", connection.name), &json!(least), &json!(seen));
                }
            }
            for (code, count) in &connection.faults {
                if expected.is_none_or(|expected| !expected.contains_key(code)) {
                    let last = connection.last_fault.as_ref().map(|fault| fault.message.as_str());
                    let name = format!("faults {code} of {} (last: {last:?})", connection.name);
                    found.compare(&name, &json!(0), &json!(count));
                }
            }
        }
        Ok(())
    }
}

/// Differences, one a line.
#[derive(Default)]
struct Differences(String);

impl Differences {
    fn compare(&mut self, what: &str, expected: &Json, seen: &Json) {
        if !matches(expected, seen) {
            self.0.push_str(&format!("\n  {what}: expected {expected}, but it is {seen}"));
        }
    }
}

/// Whether what was seen is as expected, where [`ANY`] stands for any text or number.
fn matches(expected: &Json, seen: &Json) -> bool {
    match (expected, seen) {
        (Json::String(text), seen) if text == ANY => seen.is_string() || seen.is_number(),
        (Json::Array(expected), Json::Array(seen)) => {
            expected.len() == seen.len() && expected.iter().zip(seen).all(|(expected, seen)| matches(expected, seen))
        }
        (Json::Object(expected), Json::Object(seen)) => {
            expected.len() == seen.len()
                && expected.iter().all(|(key, value)| seen.get(key).is_some_and(|seen| matches(value, seen)))
        }
        (expected, seen) => expected == seen,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_star_matches_what_is_not_equal() {
        let expected = json!({"time": "*", "list": [1, "*"]});
        assert!(matches(&expected, &json!({"time": "2026-01-01T00:00:00Z", "list": [1, 7]})));
        assert!(!matches(&expected, &json!({"time": "2026-01-01T00:00:00Z", "list": [1, null]})));
        assert!(!matches(&expected, &json!({"time": "now", "list": [1, 7], "more": 1})));
        assert!(!matches(&expected, &json!({"time": "now", "list": [1]})));
        assert!(!matches(&json!(1), &json!(1.0)));
    }
}
