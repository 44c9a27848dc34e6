//! Switching a connection on or off in the text of a config, with everything else left as its author wrote it.

use toml::de::{DeTable, DeValue};

/// The text with the connection's `enabled` as asked; none where the text does not have the connection as a table of its own
/// (`[connections.name]`), so that a person must change it.
#[must_use]
pub fn switched(text: &str, connection: &str, enabled: bool) -> Option<String> {
    let changed = replaced(text, connection, enabled).or_else(|| inserted(text, connection, enabled))?;
    // The change is believed only if the text now says so.
    (stated(&changed, connection) == Some(enabled)).then_some(changed)
}

/// What the text says about the connection.
fn stated(text: &str, connection: &str) -> Option<bool> {
    let document = DeTable::parse(text).ok()?;
    match place(document.get_ref(), connection)?.get("enabled")?.get_ref() {
        DeValue::Boolean(value) => Some(*value),
        _ => None,
    }
}

fn place<'d, 't>(document: &'d DeTable<'t>, connection: &str) -> Option<&'d DeTable<'t>> {
    document.get("connections")?.get_ref().as_table()?.get(connection)?.get_ref().as_table()
}

/// The text with another value where there is one.
fn replaced(text: &str, connection: &str, enabled: bool) -> Option<String> {
    let document = DeTable::parse(text).ok()?;
    let span = place(document.get_ref(), connection)?.get("enabled")?.span();
    let (before, after) = (text.get(..span.start)?, text.get(span.end..)?);
    Some(format!("{before}{enabled}{after}"))
}

/// The text with a line more behind the connection's header.
fn inserted(text: &str, connection: &str, enabled: bool) -> Option<String> {
    let headers = [
        format!("[connections.{connection}]"),
        format!("[connections.\"{connection}\"]"),
        format!("[connections.'{connection}']"),
    ];
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        at += line.len();
        let header = line.split('#').next().unwrap_or_default();
        let plain: String = header.chars().filter(|c| !c.is_whitespace()).collect();
        if headers.contains(&plain) {
            let end = if line.ends_with('\n') { "" } else { "\n" };
            return Some(format!("{}{end}enabled = {enabled}\n{}", &text[..at], &text[at..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_switch_of_the_connection_changes() {
        let text = "# mine\n[connections.a] # first\nadapter = \"x\"\n\n[connections.b]\nadapter = \"y\"\nenabled = true # yes\n";
        let off = "# mine\n[connections.a] # first\nenabled = false\nadapter = \"x\"\n\n[connections.b]\nadapter = \"y\"\n\
                   enabled = true # yes\n";
        assert_eq!(switched(text, "a", false).as_deref(), Some(off));
        assert_eq!(switched(off, "a", true), Some(off.replace("enabled = false", "enabled = true")));
        assert_eq!(switched(text, "b", false), Some(text.replace("enabled = true", "enabled = false")));
        assert_eq!(
            switched("[connections.\"a-b\"]", "a-b", true).as_deref(),
            Some("[connections.\"a-b\"]\nenabled = true\n")
        );
    }

    #[test]
    fn what_cannot_be_changed_in_place_is_left_to_a_person() {
        assert_eq!(switched("connections.a.adapter = \"x\"\n", "a", false), None);
        assert_eq!(switched("[connections.a]\n", "b", false), None);
        assert_eq!(switched("[connections.a\n", "a", false), None);
        // A header in a text is none.
        let text = "x = '''\n[connections.a]\n'''\n[connections]\na = { adapter = \"x\" }\n";
        assert_eq!(switched(text, "a", false), None);
    }
}
