//! What becomes of each connection and route when one config follows another: a pure policy.

use bulkhead_config::{Config, Connection, Route, RouteStart};
use bulkhead_model::transport::Transport;
use std::collections::{BTreeMap, BTreeSet};

/// What becomes of a connection or a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It ends and begins anew, for this reason.
    Restarted(String),
    /// It goes on and notices nothing.
    Kept,
}

impl Fate {
    /// Whether what ran before has to end.
    pub(crate) fn ends_the_old(&self) -> bool {
        matches!(self, Fate::Removed | Fate::Restarted(_))
    }

    /// Whether something begins.
    pub(crate) fn begins_a_new(&self) -> bool {
        matches!(self, Fate::Added | Fate::Restarted(_))
    }
}

/// The fate of every connection and route of two configs, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Plan {
    pub(crate) connections: BTreeMap<String, Fate>,
    pub(crate) routes: BTreeMap<String, Fate>,
}

impl Plan {
    /// What to do to get from one config to the other. `disturbed` names connections that must begin anew although their
    /// sections may be the same, with the reason: a file they use has changed, or they had failed.
    pub(crate) fn of(old: &Config, new: &Config, disturbed: &BTreeMap<String, String>) -> Self {
        let renamed = old.gateway.name != new.gateway.name;
        let connections = fates(&old.connections, &new.connections, |name, before, after| {
            connection_reason(before, after)
                .or_else(|| disturbed.get(name).cloned())
                .or_else(|| (renamed && bears_the_name(after)).then(|| "gateway.name changed".to_owned()))
        });
        let routes = fates(&old.routes, &new.routes, |_, before, after| {
            route_reason(before, after).or_else(|| match connections.get(&after.to) {
                Some(Fate::Kept) => None,
                _ => Some(format!("its sink {} begins anew", after.to)),
            })
        });
        Self { connections, routes }
    }
}

fn fates<T>(
    old: &BTreeMap<String, T>,
    new: &BTreeMap<String, T>,
    reason: impl Fn(&str, &T, &T) -> Option<String>,
) -> BTreeMap<String, Fate> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let fate = |name: &String| match (old.get(name), new.get(name)) {
        (Some(before), Some(after)) => reason(name, before, after).map_or(Fate::Kept, Fate::Restarted),
        (Some(_), None) => Fate::Removed,
        (None, _) => Fate::Added,
    };
    names.into_iter().map(|name| (name.clone(), fate(name))).collect()
}

/// Why a connection has to begin anew. The level of its journal lines, the time its readings are kept and what OData shows of
/// it are followed without.
fn connection_reason(before: &Connection, after: &Connection) -> Option<String> {
    if before.enabled != after.enabled {
        return Some(switched(after.enabled));
    }
    let before = Connection {
        log_level: after.log_level,
        retention_max_age_s: after.retention_max_age_s,
        wide_set: after.wide_set,
        ..before.clone()
    };
    (before != *after).then(|| "its section changed".to_owned())
}

/// Why a route has to begin anew. Where it would begin without a cursor means nothing to one that runs.
fn route_reason(before: &Route, after: &Route) -> Option<String> {
    if before.enabled != after.enabled {
        return Some(switched(after.enabled));
    }
    let place = |route: &Route| Route { from: RouteStart::Oldest, renamed_from: None, ..route.clone() };
    (place(before) != place(after)).then(|| "its section changed".to_owned())
}

fn switched(on: bool) -> String {
    if on { "switched on".to_owned() } else { "switched off".to_owned() }
}

/// Whether a connection shows the gateway's name to others.
fn bears_the_name(connection: &Connection) -> bool {
    connection.transports.values().any(|transport| match transport {
        Transport::Mqtt(mqtt) => mqtt.client_id.is_none(),
        _ => false,
    })
}

/// The keys of a config that cannot follow while the gateway runs, compared with those it was started with.
#[must_use]
pub fn needs_restart(started_with: &Config, now: &Config) -> Vec<&'static str> {
    let differs = [
        ("gateway.data_dir", started_with.gateway.data_dir != now.gateway.data_dir),
        ("logging.format", started_with.logging.format != now.logging.format),
        ("sandbox.engine", started_with.sandbox.engine != now.sandbox.engine),
        ("api.listen", started_with.api.listen != now.api.listen),
        ("security", started_with.security != now.security),
        ("log", started_with.log != now.log),
    ];
    differs.into_iter().filter_map(|(key, differs)| differs.then_some(key)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_config::{AnyAdapter, parse};

    const BASE: &str = "
[connections.boiler]
adapter = \"a\"
[connections.erp]
adapter = \"b\"
[routes.up]
select = [\"boiler/*\"]
to = \"erp\"
";

    fn config(text: &str) -> Config {
        parse(text, "gateway.toml".as_ref(), &AnyAdapter).unwrap().config
    }

    fn plan(old: &str, new: &str) -> Plan {
        Plan::of(&config(old), &config(new), &BTreeMap::new())
    }

    fn restarted(plan: &Plan) -> Vec<&str> {
        let all = plan.connections.iter().chain(&plan.routes);
        all.filter(|(_, fate)| matches!(fate, Fate::Restarted(_))).map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn the_same_config_changes_nothing() {
        let plan = plan(BASE, &format!("# a comment\n{BASE}"));
        assert!(plan.connections.values().chain(plan.routes.values()).all(|fate| *fate == Fate::Kept), "{plan:?}");
    }

    #[test]
    fn only_what_changed_and_the_routes_to_a_changed_sink_begin_anew() {
        let faster = BASE.replace("adapter = \"a\"", "adapter = \"a\"\npoll_interval_ms = 50");
        assert_eq!(restarted(&plan(BASE, &faster)), ["boiler"]);
        let other_sink = BASE.replace("adapter = \"b\"", "adapter = \"c\"");
        assert_eq!(restarted(&plan(BASE, &other_sink)), ["erp", "up"]);
        let wider = BASE.replace("boiler/*", "*/*");
        assert_eq!(restarted(&plan(BASE, &wider)), ["up"]);
        let off = BASE.replace("to = \"erp\"", "to = \"erp\"\nenabled = false");
        assert_eq!(plan(BASE, &off).routes["up"], Fate::Restarted("switched off".into()));
    }

    #[test]
    fn what_is_new_is_added_and_what_is_gone_is_removed() {
        let more = format!("{BASE}\n[connections.press]\nadapter = \"a\"\n");
        assert_eq!(plan(BASE, &more).connections["press"], Fate::Added);
        assert_eq!(plan(&more, BASE).connections["press"], Fate::Removed);
        let renamed = BASE.replace("[routes.up]", "[routes.onward]\nrenamed_from = \"up\"");
        let plan = plan(BASE, &renamed);
        assert_eq!((&plan.routes["up"], &plan.routes["onward"]), (&Fate::Removed, &Fate::Added));
    }

    #[test]
    fn a_level_of_the_journal_a_time_to_keep_and_a_start_that_is_past_disturb_nobody() {
        let louder = "adapter = \"a\"\nlog_level = \"debug\"\nretention_max_age_s = 3600\nwide_set = true";
        let louder = BASE.replace("adapter = \"a\"", louder);
        let later = louder.replace("to = \"erp\"", "to = \"erp\"\nfrom = \"now\"\nrenamed_from = \"x\"");
        assert_eq!(restarted(&plan(BASE, &later)), [""; 0]);
    }

    #[test]
    fn a_connection_whose_files_changed_begins_anew() {
        let disturbed = BTreeMap::from([("boiler".to_owned(), "its adapter's file changed".to_owned())]);
        let plan = Plan::of(&config(BASE), &config(BASE), &disturbed);
        assert_eq!(plan.connections["boiler"], Fate::Restarted("its adapter's file changed".into()));
        assert_eq!(restarted(&plan), ["boiler"]);
    }

    #[test]
    fn the_gateways_name_matters_to_those_who_show_it() {
        let mqtt = "[connections.hall]\nadapter = \"a\"\n[connections.hall.transports.broker]\nkind = \"mqtt\"\n\
                    address = \"h\"\nsubscribe = [\"x\"]\n";
        let named = format!("[gateway]\nname = \"cell4\"\n{BASE}{mqtt}");
        assert_eq!(restarted(&plan(&format!("{BASE}{mqtt}"), &named)), ["hall"]);
    }

    #[test]
    fn what_cannot_follow_is_named() {
        let moved = format!("[api]\nlisten = \"127.0.0.1:1\"\n[log]\ncommit_max_ms = 5\n{BASE}");
        assert_eq!(needs_restart(&config(BASE), &config(&moved)), ["api.listen", "log"]);
        assert_eq!(needs_restart(&config(BASE), &config(BASE)), [""; 0]);
    }
}
