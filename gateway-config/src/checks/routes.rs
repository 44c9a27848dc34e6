//! Routes: the connections and points they name.

use super::http_grants::only_reads;
use super::{At, connections};
use crate::glob::{Selector, highest_capture};
use crate::tree::{Node, Value};
use crate::walk::did_you_mean;
use crate::{Diagnostic, HEALTH_CONNECTION, Route};

pub(super) fn check(root: &Node, out: &mut Vec<Diagnostic>) {
    let names: Vec<&str> = connections(root).map(|(entry, _)| entry.key.as_str()).collect();
    let off: Vec<&str> =
        connections(root).filter(|(_, at)| !at.is_enabled()).map(|(entry, _)| entry.key.as_str()).collect();
    former_names(root, out);
    for (_, route) in At::root(root).entries_of("routes") {
        let selectors = select(&route, &names, out);
        health(root, &route, out);
        sink(root, &route, &names, &off, &selectors, out);
        for rule in route.items_of("rename") {
            rename(&rule, &selectors, out);
        }
        for rule in route.items_of("convert") {
            convert(&rule, &selectors, out);
        }
        let defaults = (Route::RETRY_FIRST_MS.into(), Route::RETRY_MAX_MS.into());
        route.ordered(("retry_first_ms", defaults.0), ("retry_max_ms", defaults.1), out);
    }
}

/// A former name is that of no route there is, and of one route only: two cannot go on behind the same cursor.
fn former_names(root: &Node, out: &mut Vec<Diagnostic>) {
    let routes: Vec<&str> = At::root(root).entries_of("routes").map(|(entry, _)| entry.key.as_str()).collect();
    let mut taken: Vec<&str> = Vec::new();
    for (_, route) in At::root(root).entries_of("routes") {
        let Some((at, former)) = route.text_of("renamed_from") else { continue };
        if routes.contains(&former) {
            let message = format!("found {former:?}, which is still a route, expected the name of one that is gone");
            out.push(at.error(message).hint("a second route with a start of its own says `from`"));
        } else if taken.contains(&former) {
            out.push(at.error(format!("found {former:?}, which another route has taken over already")));
        }
        taken.push(former);
    }
}

/// The patterns of a route; each must take points of a connection that exists.
fn select(route: &At<'_>, names: &[&str], out: &mut Vec<Diagnostic>) -> Vec<Selector> {
    let mut selectors = Vec::new();
    for item in route.items_of("select") {
        let Some(text) = item.node.text() else { continue };
        let Some(selector) = pattern(&item, text, out) else { continue };
        let is_known = selector.is_of(HEALTH_CONNECTION) || names.iter().any(|name| selector.matches_connection(name));
        if !is_known {
            let message = format!(
                "found {text:?}, expected a pattern whose connection exists: there is no `{}`",
                selector.connection()
            );
            out.push(item.error(message).hint(near_connection(selector.connection(), names)));
        }
        selectors.push(selector);
    }
    selectors
}

/// The gateway's own points, where it records none.
fn health(root: &Node, route: &At<'_>, out: &mut Vec<Diagnostic>) {
    let is_off = At::root(root).get("health").and_then(|health| health.integer_of("interval_s")) == Some(0);
    let of_health = |at: &At<'_>| at.node.text().is_some_and(|text| text.starts_with(&format!("{HEALTH_CONNECTION}/")));
    if let Some(at) = route.items_of("select").find(of_health).filter(|_| is_off) {
        out.push(at.warning("found points of the gateway's own health, but `health.interval_s` is 0: there are none"));
    }
}

fn pattern(at: &At<'_>, text: &str, out: &mut Vec<Diagnostic>) -> Option<Selector> {
    match Selector::parse(text) {
        Ok(selector) => Some(selector),
        Err(error) => {
            let hint = format!("every point of a connection is \"{}/*\"", text.trim_matches('/'));
            out.push(at.error(format!("{error}: {text:?}")).hint(hint));
            None
        }
    }
}

fn near_connection(name: &str, names: &[&str]) -> String {
    did_you_mean(name, names).unwrap_or_else(|| match names {
        [] => "there are no connections".into(),
        _ => format!("there are `{}`", names.join("`, `")),
    })
}

fn sink(root: &Node, route: &At<'_>, names: &[&str], off: &[&str], selectors: &[Selector], out: &mut Vec<Diagnostic>) {
    let Some((at, to)) = route.text_of("to") else { return };
    if !names.contains(&to) {
        let message = format!("found {to:?}, expected the name of a connection");
        out.push(at.error(message).hint(near_connection(to, names)));
        return;
    }
    // A wildcard that takes the sink along is meant for the others: the route leaves its own sink out.
    if let Some(selector) = selectors.iter().find(|selector| selector.single_connection() == Some(to)) {
        let message =
            format!("found {to:?}, which the pattern \"{selector}\" takes points from, expected another sink");
        out.push(at.error(message).hint("a route does not lead back to one of its sources"));
    }
    if off.contains(&to) && route.is_enabled() {
        out.push(at.warning(format!("found {to:?}, a connection that is not enabled: the route waits")));
    }
    if only_reads(root, to) {
        let message = format!("found {to:?}, a connection whose `allow_methods` only read: every delivery is refused");
        out.push(
            at.warning(message)
                .hint(format!("for example `allow_methods = [\"POST\"]` in `connections.{to}.transports`")),
        );
    }
}

/// Checks the pattern of a rule; one that takes nothing of what the route selects is doubtful.
fn rule_pattern(rule: &At<'_>, selectors: &[Selector], out: &mut Vec<Diagnostic>) -> Option<Selector> {
    let (at, text) = rule.text_of("points")?;
    let selector = pattern(&at, text, out)?;
    if let Some(connection) = selector.single_connection()
        && !selectors.is_empty()
        && !selectors.iter().any(|selected| selected.matches_connection(connection))
    {
        out.push(at.warning(format!("found {text:?}, but this route selects nothing of `{connection}`")));
    }
    Some(selector)
}

fn rename(rule: &At<'_>, selectors: &[Selector], out: &mut Vec<Diagnostic>) {
    let Some(selector) = rule_pattern(rule, selectors, out) else { return };
    let Some((at, to)) = rule.text_of("to") else { return };
    let (highest, stars) = (highest_capture(to), selector.stars());
    if highest > stars {
        let message = format!("found `${highest}` in {to:?}, expected at most `${stars}`: the pattern has {stars} `*`");
        out.push(at.error(message).hint("`$$` is a dollar sign"));
    }
    if to.chars().any(char::is_control) {
        out.push(at.error(format!("found {to:?}, expected a name without control characters")));
    }
}

fn convert(rule: &At<'_>, selectors: &[Selector], out: &mut Vec<Diagnostic>) {
    rule_pattern(rule, selectors, out);
    if let Some(at) = rule.get("scale") {
        let is_zero = match at.node.value {
            Value::Integer(number) => number == 0,
            Value::Real(number) => number == 0.0,
            _ => false,
        };
        if is_zero {
            out.push(at.error("found 0, expected another number: it makes every value the same"));
        }
    }
}
