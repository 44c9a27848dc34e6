//! Puts secrets back into a text that was made from one in which they were covered: an editor that fetches the config,
//! changes a line and sends it back has never seen them, and must not overwrite them with asterisks.

use crate::tree::{KeyPath, Node, Value, read};
use crate::{Diagnostic, Diagnostics};
use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

/// The text `edited` with each value that stands covered in `shown` under the same key replaced by the one of `own`.
/// `shown` is `own` with its secrets covered, byte for byte.
pub(crate) fn uncover(edited: &str, own: &str, shown: &str, path: &Path) -> Result<String, Diagnostics> {
    let mut known = HashMap::new();
    texts(&read(own).root, &KeyPath::default(), &mut |path, span, _| _ = known.insert(path, span));
    let mut pieces: Vec<(Range<usize>, &str)> = Vec::new();
    let mut unknown = Vec::new();
    texts(&read(edited).root, &KeyPath::default(), &mut |path, span, text| {
        let Some(written) = edited.get(span.clone()) else { return };
        let here = known.get(&path).cloned().filter(|here| shown.get(here.clone()) == Some(written));
        match here.and_then(|here| own.get(here)) {
            Some(secret) => pieces.push((span, secret)),
            None if is_covered(text) => {
                let message = "found a covered secret, expected the secret itself: the running config has another here";
                let hint = "write it anew, or name where it is: { file = \"…\" } or { env = \"…\" }";
                unknown.push(Diagnostic::error(&span, path, message).hint(hint));
            }
            None => {}
        }
    });
    if !unknown.is_empty() {
        // What is shown of it could hold secrets that are not covered: the places say enough.
        let blank = " ".repeat(edited.len());
        return Err(Diagnostics::new(&path.to_string_lossy(), edited, blank, unknown));
    }
    pieces.sort_by_key(|(span, _)| span.start);
    let mut text = String::with_capacity(edited.len());
    let mut end = 0;
    for (span, secret) in pieces {
        text.push_str(&edited[end..span.start]);
        text.push_str(secret);
        end = span.end;
    }
    text.push_str(&edited[end..]);
    Ok(text)
}

/// Whether a text looks like a covered secret: asterisks alone, or in a URL's place for user and password.
fn is_covered(text: &str) -> bool {
    let stars = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte == b'*');
    let user = text.split_once("://").and_then(|(_, rest)| rest.split_once('@')).map(|(user, _)| user);
    stars(text) || user.is_some_and(stars)
}

/// Every text of a tree with its key and its place.
fn texts(node: &Node, path: &KeyPath, found: &mut impl FnMut(KeyPath, Range<usize>, &str)) {
    match &node.value {
        Value::Text(text) => found(path.clone(), node.span.clone(), text),
        Value::List(items) => {
            items.iter().enumerate().for_each(|(index, item)| texts(item, &path.index(index), found));
        }
        Value::Table(entries) => {
            entries.iter().for_each(|entry| texts(&entry.node, &path.key(&entry.key), found));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use crate::{AnyAdapter, parse};
    use std::path::Path;

    const OWN: &str = "[api.credentials.a]\ntoken = \"hunter2\"\nrole = \"operator\"\n\
        [connections.c]\nadapter = \"x\"\nsettings = { url = \"http://u:p@h/x\", password = 'pw' }\n";

    fn path() -> &'static Path {
        Path::new("gateway.toml")
    }

    #[test]
    fn what_was_fetched_covered_comes_back_as_it_was() {
        let loaded = parse(OWN, path(), &AnyAdapter).unwrap();
        assert!(!loaded.shown().contains("hunter2") && !loaded.shown().contains("pw"), "{}", loaded.shown());
        let edited = format!("# a comment\n{}poll_interval_ms = 50\n", loaded.shown());
        let whole = loaded.uncover(OWN, &edited, path()).unwrap();
        assert_eq!(whole, format!("# a comment\n{OWN}poll_interval_ms = 50\n"));
    }

    #[test]
    fn a_covered_secret_in_another_place_is_refused_and_a_new_one_is_taken() {
        let loaded = parse(OWN, path(), &AnyAdapter).unwrap();
        let moved = loaded.shown().replace("credentials.a", "credentials.b").replace("@h/", "@other/");
        let refused = loaded.uncover(OWN, &moved, path()).unwrap_err();
        assert_eq!(
            refused.items.iter().map(|item| item.key.as_str()).collect::<Vec<_>>(),
            ["api.credentials.b.token", "connections.c.settings.url"]
        );
        let renewed = loaded.shown().replace("\"*******\"", "\"letmein\"");
        assert!(loaded.uncover(OWN, &renewed, path()).unwrap().contains("letmein"));
    }
}
