//! The smallest world for an adapter: what its manifest says and its sources use, and nothing else. An interpreter's component
//! imports all of its world, used or not.

use crate::grants;
use crate::language::Language;
use bulkhead_bundle::{Asks, WIT_VERSION};
use std::collections::BTreeSet;

/// The world's name.
pub(crate) const WORLD: &str = "project";

/// The world's text, to stand beside the package's own files.
pub(crate) fn world(roles: &BTreeSet<String>, capabilities: &BTreeSet<String>) -> String {
    let imports = capabilities.iter().map(|name| format!("  import {name};\n"));
    let exports = std::iter::once("adapter").chain(roles.iter().map(String::as_str));
    let exports = exports.map(|name| format!("  export {name};\n"));
    let body: String = imports.chain(exports).collect();
    format!(
        "package bulkhead:adapter@{WIT_VERSION};\n\n/// What this adapter imports and exports.\nworld {WORLD} {{\n{body}}}\n"
    )
}

/// The capabilities of an adapter: those it gives reasons for, and of those that need none the ones its sources name. The
/// SDK's guard uses the log.
pub(crate) fn capabilities<'a>(
    asks: impl Iterator<Item = &'a String>,
    language: Language,
    sources: &[String],
) -> BTreeSet<String> {
    let needs_no_reason = ["points", "clock", "state"];
    let named = |name: &&str| sources.iter().any(|source| imports(language, source, name));
    let own = needs_no_reason.into_iter().filter(named).map(str::to_owned);
    asks.cloned().chain(own).chain(std::iter::once("log".to_owned())).collect()
}

/// A capability for which a reason is given and that no source imports. An interpreter's component imports all of its world,
/// so that only the sources can say; a component of Rust or C says it itself.
pub(crate) fn idle_ask<'a>(asks: &'a Asks, language: Language, sources: &[String]) -> Option<&'a str> {
    let interpreted = matches!(language, Language::JavaScript | Language::Python);
    let imported = |name: &str| sources.iter().any(|source| imports(language, source, name));
    asks.keys().map(String::as_str).find(|name| interpreted && !imported(name))
}

/// A capability that a source seems to import and for which no reason is given; a word in a comment can look like it.
pub(crate) fn silent_import(asks: &Asks, language: Language, sources: &[String]) -> Option<&'static str> {
    let imported = |name: &str| sources.iter().any(|source| imports(language, source, name));
    grants::capabilities().find(|name| !asks.contains_key(*name) && imported(name))
}

/// Whether a source imports an interface.
fn imports(language: Language, source: &str, interface: &str) -> bool {
    match language {
        // `from wit_world import imports`, and then `imports.a`.
        Language::Python if source.contains("from wit_world import") && names_member(source, interface) => true,
        Language::Python => source.split("wit_world").skip(1).any(|rest| {
            // `from wit_world.imports import a, b`, over several lines in brackets, or `wit_world.imports.a`.
            let statement = match rest.split_once('\n') {
                Some((line, _)) if line.trim_end().ends_with('(') => rest.split(')').next().unwrap_or(rest),
                Some((line, _)) => line,
                None => rest,
            };
            statement.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == interface)
        }),
        _ => source.contains(&format!("bulkhead:adapter/{interface}@")),
    }
}

/// Whether `.member` stands in a source.
fn names_member(source: &str, member: &str) -> bool {
    let ends = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    source.split('.').skip(1).any(|rest| rest.strip_prefix(member).is_some_and(ends))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_world_has_what_is_named_and_no_more() {
        let text = world(&set(&["poller"]), &set(&["log", "modbus"]));
        assert!(
            text.contains("world project {\n  import log;\n  import modbus;\n  export adapter;\n  export poller;\n}")
        );
    }

    #[test]
    fn what_needs_no_reason_is_taken_from_the_sources() {
        let of = |language, source: &str| capabilities(set(&["modbus"]).iter(), language, &[source.to_owned()]);
        let js = "import { declare } from \"bulkhead:adapter/points@0.1.0\";\n// the state of the clock\n";
        assert_eq!(of(Language::JavaScript, js), set(&["log", "modbus", "points"]));
        let python = "from wit_world.imports import clock, points\nstate = 1\n";
        assert_eq!(of(Language::Python, python), set(&["clock", "log", "modbus", "points"]));
        let lines = "from wit_world.imports import (\n    modbus,\n    state,\n)\npoints = 1\n";
        assert_eq!(of(Language::Python, lines), set(&["log", "modbus", "state"]));
        let members = "from wit_world import imports\nimports.clock.now()\nx.points_of()\n";
        assert_eq!(of(Language::Python, members), set(&["clock", "log", "modbus"]));
    }

    #[test]
    fn a_reason_is_given_for_what_a_source_imports_and_for_nothing_else() {
        let asks = Asks::from([("serial".to_owned(), "Asks.".to_owned())]);
        let idle = |language, source: &str| idle_ask(&asks, language, &[source.to_owned()]);
        let js = "import * as serial from \"bulkhead:adapter/serial@0.1.0\";\n";
        assert_eq!(idle(Language::JavaScript, js), None);
        assert_eq!(idle(Language::Python, "from wit_world.imports import points, serial\n"), None);
        assert_eq!(idle(Language::JavaScript, "// it is serial\n"), Some("serial"));
        assert_eq!(idle(Language::Python, "from wit_world.imports import points\nserial = 1\n"), Some("serial"));
        assert_eq!(idle(Language::C, ""), None);
        let silent = |language, source: &str| silent_import(&asks, language, &[source.to_owned()]);
        assert_eq!(silent(Language::JavaScript, js), None);
        assert_eq!(silent(Language::JavaScript, "import \"bulkhead:adapter/http@0.1.0\";\n"), Some("http"));
        assert_eq!(silent(Language::Python, "from wit_world.imports import serial, mqtt\n"), Some("mqtt"));
    }
}
