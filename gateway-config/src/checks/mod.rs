//! What a schema cannot say: parts of the config that must agree with each other, and texts with a grammar of their own.
//!
//! The checks read the tree, not the typed config, so that they find what they can in a config that has other mistakes;
//! what has the wrong type is skipped here, because the walker has said so.

mod address;
mod api;
mod connections;
mod http_grants;
mod lines;
mod log;
mod mqtt;
mod routes;
mod transports;

use crate::Diagnostic;
use crate::tree::{Entry, KeyPath, Node};

/// Everything that is wrong across the config.
pub(crate) fn all(root: &Node, base_dir: &std::path::Path) -> Vec<Diagnostic> {
    let mut out = Vec::new();
    api::check(root, base_dir, &mut out);
    connections::check(root, &mut out);
    transports::check(root, base_dir, &mut out);
    lines::check(root, &mut out);
    log::check(root, &mut out);
    mqtt::check_client_ids(root, &mut out);
    routes::check(root, &mut out);
    connections::check_secrets(root, base_dir, &mut out);
    out
}

/// A value with its place in the config.
#[derive(Clone)]
struct At<'n> {
    node: &'n Node,
    path: KeyPath,
}

impl<'n> At<'n> {
    fn root(node: &'n Node) -> Self {
        Self { node, path: KeyPath::default() }
    }

    fn get(&self, key: &str) -> Option<At<'n>> {
        self.node.get(key).map(|node| At { node, path: self.path.key(key) })
    }

    /// The entries of a table.
    fn entries(&self) -> impl Iterator<Item = (&'n Entry, At<'n>)> + use<'n> {
        let path = self.path.clone();
        self.node.entries().iter().map(move |entry| (entry, At { node: &entry.node, path: path.key(&entry.key) }))
    }

    /// The entries of the table under a key.
    fn entries_of(&self, key: &str) -> impl Iterator<Item = (&'n Entry, At<'n>)> + use<'n> {
        self.get(key).into_iter().flat_map(|at| at.entries())
    }

    /// The items of a list.
    fn items(&self) -> impl Iterator<Item = At<'n>> + use<'n> {
        let path = self.path.clone();
        self.node.items().iter().enumerate().map(move |(index, node)| At { node, path: path.index(index) })
    }

    /// The items of the list under a key.
    fn items_of(&self, key: &str) -> impl Iterator<Item = At<'n>> + use<'n> {
        self.get(key).into_iter().flat_map(|at| at.items())
    }

    /// A text under a key, with its place.
    fn text_of(&self, key: &str) -> Option<(At<'n>, &'n str)> {
        let at = self.get(key)?;
        Some((at.clone(), at.node.text()?))
    }

    fn integer_of(&self, key: &str) -> Option<i64> {
        self.node.get(key).and_then(Node::integer)
    }

    fn is_enabled(&self) -> bool {
        self.node.get("enabled").and_then(Node::boolean).unwrap_or(true)
    }

    fn error(&self, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(&self.node.span, self.path.clone(), message)
    }

    fn warning(&self, message: impl Into<String>) -> Diagnostic {
        Diagnostic::warning(&self.node.span, self.path.clone(), message)
    }

    /// An error when the number under one key is above the one under another; absent ones have their defaults.
    fn ordered(&self, low: (&str, i64), high: (&str, i64), out: &mut Vec<Diagnostic>) {
        let number = |(key, default): (&str, i64)| self.integer_of(key).unwrap_or(default);
        let (low_number, high_number) = (number(low), number(high));
        if low_number > high_number {
            let (shown, message) = match (self.get(low.0), self.get(high.0)) {
                (Some(at), _) => {
                    (at, format!("found {low_number}, expected at most `{}`, which is {high_number}", high.0))
                }
                (None, Some(at)) => {
                    (at, format!("found {high_number}, expected at least `{}`, which is {low_number}", low.0))
                }
                (None, None) => return,
            };
            out.push(shown.error(message));
        }
    }
}

/// Every connection with its name.
fn connections(root: &Node) -> impl Iterator<Item = (&Entry, At<'_>)> {
    At::root(root).entries_of("connections")
}

/// Every transport with the connection's name, its kind and its place; those of unknown kind are left out.
fn transports(root: &Node) -> impl Iterator<Item = Transport<'_>> {
    connections(root).flat_map(|(entry, connection)| {
        let enabled = connection.is_enabled();
        connection.entries_of("transports").filter_map(move |(role, at)| {
            Some(Transport { connection: &entry.key, role: &role.key, kind: at.text_of("kind")?.1, enabled, at })
        })
    })
}

/// A transport of the tree.
struct Transport<'n> {
    connection: &'n str,
    role: &'n str,
    kind: &'n str,
    /// Whether its connection runs.
    enabled: bool,
    at: At<'n>,
}
