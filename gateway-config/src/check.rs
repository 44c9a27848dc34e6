//! The way of a text to a config: TOML, schema, settings, agreement of the parts, types. Every step reports what it finds
//! and the next goes on, so that all mistakes come at once.

use crate::tree::{KeyPath, Node};
use crate::walk::{Outcome, walk};
use crate::{
    AdapterSchemas, Config, Diagnostic, Diagnostics, Loaded, Severity, checks, json_schema, redact, settings, tree,
};
use std::collections::BTreeSet;
use std::path::Path;

pub(crate) fn check(text: &str, path: &Path, schemas: &dyn AdapterSchemas) -> Result<Loaded, Diagnostics> {
    let base_dir = path.parent().unwrap_or(Path::new(""));
    let read = tree::read(text);
    let mut outcome = walk(&json_schema(), &read.root, &KeyPath::default());
    let (mut contents, mut files) = (Vec::new(), BTreeSet::new());
    if read.whole {
        let mut checked = settings::check(&read.root, base_dir, schemas);
        (contents, files) = (std::mem::take(&mut checked.contents), std::mem::take(&mut checked.files));
        outcome.append(checked.outcome);
        outcome.diagnostics.extend(checks::all(&read.root, base_dir));
        outcome.diagnostics.retain(|item| !read.diagnostics.iter().any(|known| known.span == item.span));
    } else {
        // What is missing in half a tree says nothing; where secrets are in it does.
        outcome.diagnostics.clear();
    }
    outcome.diagnostics.extend(read.diagnostics);
    let has_errors = outcome.diagnostics.iter().any(|item| item.severity == Severity::Error);
    let typed = if has_errors { None } else { typed(&read.root, &contents, base_dir, &mut outcome) };
    redact::find_telltales(&read.root, &mut outcome.secrets);
    let shown = match typed {
        Some(_) => redact::cover_whole(text, &read.root, &outcome.secrets),
        None => redact::cover(text, &outcome.secrets),
    };
    let diagnostics = Diagnostics::new(&path.to_string_lossy(), text, shown, outcome.diagnostics);
    match typed {
        Some(config) => Ok(Loaded { config: Config { settings_files: files, ..config }, warnings: diagnostics }),
        None => Err(diagnostics),
    }
}

/// The typed config, files put in the place of their names. What the walker let through and the types do not take is a
/// fault of this crate, reported as what it is.
fn typed(root: &Node, contents: &[(KeyPath, String)], base_dir: &Path, outcome: &mut Outcome) -> Option<Config> {
    let mut json = root.to_json();
    for (path, text) in contents {
        if let Some(place) = path.find_mut(&mut json) {
            *place = text.as_str().into();
        }
    }
    match serde_json::from_value::<Config>(json) {
        Ok(config) => Some(Config { base_dir: base_dir.to_owned(), ..config }),
        Err(error) => {
            outcome.diagnostics.push(Diagnostic::error(
                &(0..0),
                "",
                format!("the config does not fit its types: {error}"),
            ));
            None
        }
    }
}
