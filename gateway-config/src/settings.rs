//! Adapters and their settings: is the component there, do the settings fit its schema, which files do they name; and do
//! the transports fit the adapter.

use crate::schema::is_name;
use crate::tree::{Entry, KeyPath, Node};
use crate::walk::{FileText, Outcome, did_you_mean, walk};
use crate::{AdapterLookup, AdapterSchemas, Diagnostic, Gateway, Security, wanted};
use std::collections::{BTreeSet, HashMap};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Longest file that settings may name, in bytes.
pub(crate) const FILE_MAX_BYTES: u64 = 1 << 20;

/// What checking all settings gave.
#[derive(Default)]
pub(crate) struct Checked {
    /// What is wrong, and where secrets stand.
    pub(crate) outcome: Outcome,
    /// What stands in the place of file names: the files' content.
    pub(crate) contents: Vec<(KeyPath, String)>,
    /// Their names, as they are given.
    pub(crate) files: BTreeSet<PathBuf>,
}

/// Looks up every connection's adapter and checks settings and transports against its schema.
pub(crate) fn check(root: &Node, base_dir: &Path, schemas: &dyn AdapterSchemas) -> Checked {
    let adapters_dir = root.get("gateway").and_then(|gateway| gateway.text_of("adapters_dir"));
    let adapters_dir = base_dir.join(adapters_dir.map_or(Gateway::default().adapters_dir, Into::into));
    let security = security(root);
    let mut known: HashMap<&str, AdapterLookup> = HashMap::new();
    let mut checked = Checked::default();
    for connection in root.get("connections").map(Node::entries).unwrap_or_default() {
        let Some(adapter) = connection.node.entry("adapter") else { continue };
        // What is no name is no part of a path either; the walker has said so.
        let Some(name) = adapter.node.text().filter(|name| is_name(name)) else { continue };
        let lookup = known.entry(name).or_insert_with(|| schemas.look_up_under(&adapters_dir, name, &security));
        let path = KeyPath::of(&["connections", &connection.key]);
        match lookup {
            AdapterLookup::Found(Some(schema)) => {
                check_one(schema, connection, &path, base_dir, &mut checked);
                wanted::check(schema, name, connection, &path, &mut checked.outcome.diagnostics);
            }
            AdapterLookup::Found(None) => {}
            AdapterLookup::Missing { searched, available } => {
                let available: Vec<&str> = available.iter().map(String::as_str).collect();
                let diagnostic = missing(name, searched, &available, adapter, &path);
                checked.outcome.diagnostics.push(diagnostic);
            }
            AdapterLookup::Unusable { file, reason } => checked.outcome.diagnostics.push(Diagnostic::error(
                &adapter.node.span,
                path.key("adapter"),
                format!("found {}, which is no usable adapter: {reason}", file.display()),
            )),
        }
    }
    checked
}

/// The section `security`, as far as it is right. Where it is not, the walker says so, and signatures are required, so that a
/// mistake in it does not have anything parsed that nobody vouches for.
fn security(root: &Node) -> Security {
    let Some(section) = root.get("security") else { return Security::default() };
    let strict = Security { require_signed: true, ..Security::default() };
    serde_json::from_value(section.to_json()).unwrap_or(strict)
}

fn missing(name: &str, searched: &Path, available: &[&str], adapter: &Entry, path: &KeyPath) -> Diagnostic {
    let message = format!("found no component {}, expected the file of the adapter `{name}`", searched.display());
    let hint = did_you_mean(name, available).unwrap_or_else(|| match available {
        [] => "`gateway.adapters_dir` says where adapters are; there are none in that folder".into(),
        _ => format!("there are `{}`", available.join("`, `")),
    });
    Diagnostic::error(&adapter.node.span, path.key("adapter"), message).hint(hint)
}

fn check_one(schema: &serde_json::Value, connection: &Entry, path: &KeyPath, base_dir: &Path, checked: &mut Checked) {
    let path = path.key("settings");
    // Absent settings are an empty table: what is missing in it is said at the connection.
    let empty = Node { span: connection.node.span.clone(), value: crate::tree::Value::Table(Vec::new()) };
    let settings = connection.node.get("settings").unwrap_or(&empty);
    if !matches!(settings.value, crate::tree::Value::Table(_)) {
        return;
    }
    let mut outcome = walk(schema, settings, &path);
    for file in std::mem::take(&mut outcome.files) {
        match read_text(&base_dir.join(&file.file)) {
            Ok(text) => {
                checked.files.insert(file.file.into());
                checked.contents.push((file.path, text));
            }
            Err(reason) => outcome.diagnostics.push(unreadable(&file, &reason)),
        }
    }
    checked.outcome.append(outcome);
}

fn unreadable(file: &FileText, reason: &str) -> Diagnostic {
    let message = format!("found the file name {:?}, expected a readable file: {reason}", file.file);
    Diagnostic::error(&file.span, file.path.clone(), message).hint("the name is relative to the config file")
}

/// A file's text, without a byte order mark; at most [`FILE_MAX_BYTES`].
fn read_text(path: &Path) -> Result<String, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    if !file.metadata().map_err(|error| error.to_string())?.is_file() {
        return Err("it is no regular file".into());
    }
    let mut bytes = Vec::new();
    file.take(FILE_MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > FILE_MAX_BYTES {
        return Err(format!("it is longer than {FILE_MAX_BYTES} bytes"));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        format!("line {} is not UTF-8", line + 1)
    })?;
    Ok(text.strip_prefix('\u{feff}').map_or_else(|| text.clone(), ToOwned::to_owned))
}
