//! Covers secrets in a text that is about to be shown, byte for byte, so that places in it stay right.

use crate::tree::Node;
use std::ops::Range;

/// A key with one of these in its name has a value that is covered, whether a schema calls it secret or not.
const TELLTALES: [&str; 6] = ["passw", "pasw", "pwd", "token", "secret", "api_key"];

/// Unless its name ends so: then it says where something is.
const HARMLESS_ENDS: [&str; 3] = ["_url", "_file", "_path"];

/// Places of secrets that are found without knowing what the text is: values of telling keys and users in URLs.
pub(crate) fn loose_secrets(text: &str) -> Vec<Range<usize>> {
    telltale_values(text).into_iter().chain(user_infos(text)).collect()
}

/// The lines of a text, line ends included, and whether each is inside of a private key (PEM, RFC 7468).
fn lines_of_keys(text: &str) -> impl Iterator<Item = (&str, bool)> {
    let mut inside = false;
    text.split_inclusive('\n').map(move |line| {
        let marks = |what: &str| line.contains(what) && line.contains("PRIVATE KEY-----");
        inside &= !marks("-----END ");
        let is_key = inside;
        inside |= marks("-----BEGIN ");
        (line, is_key)
    })
}

/// What stands inside of private keys in a text, line by line.
pub(crate) fn key_lines(text: &str) -> impl Iterator<Item = &str> {
    lines_of_keys(text).filter(|(_, is_key)| *is_key).map(|(line, _)| line.trim())
}

/// The text without private keys: between the lines that mark one only `*` is left.
pub(crate) fn cover_keys(text: &str) -> String {
    let cover = |character: char| if character.is_whitespace() { character } else { '*' };
    let shown = |(line, is_key): (&str, bool)| if is_key { line.chars().map(cover).collect() } else { line.to_owned() };
    lines_of_keys(text).map(shown).collect()
}

/// The text with the given places and the values of telling keys covered.
pub(crate) fn cover(text: &str, secrets: &[Range<usize>]) -> String {
    cover_at(text, secrets.iter().cloned().chain(telltale_values(text)).chain(user_infos(text)))
}

fn cover_at(text: &str, places: impl Iterator<Item = Range<usize>>) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for span in places {
        for byte in bytes.get_mut(span).into_iter().flatten() {
            if !matches!(byte, b'"' | b'\'' | b'\n' | b'\r') {
                *byte = b'*';
            }
        }
    }
    // Spans end at characters, so that what is left is UTF-8; were it not, nothing is shown.
    String::from_utf8(bytes).unwrap_or_else(|_| "*".repeat(text.len()))
}

/// The same for a text that was read whole: what the tree does not hold, such as comments, is searched by its look, and
/// what it holds is covered by the given places alone, so that the text stays TOML.
pub(crate) fn cover_whole(text: &str, root: &Node, secrets: &[Range<usize>]) -> String {
    let mut values = Vec::new();
    leaves(root, &mut values);
    values.sort_by_key(|span| span.start);
    let in_tree = |span: &Range<usize>| {
        let behind = values.partition_point(|value| value.end <= span.start);
        values.get(behind).is_some_and(|value| value.start < span.end)
    };
    let outside = telltale_values(text).into_iter().filter(|span| !in_tree(span));
    cover_at(text, secrets.iter().cloned().chain(outside).chain(user_infos(text)))
}

/// The places of all values that hold no others.
fn leaves(node: &Node, out: &mut Vec<Range<usize>>) {
    if node.entries().is_empty() && node.items().is_empty() {
        out.push(node.span.clone());
    }
    node.items().iter().chain(node.entries().iter().map(|entry| &entry.node)).for_each(|inside| leaves(inside, out));
}

/// Adds the places of texts in a tree whose key tells that they are secrets, those of lists included.
pub(crate) fn find_telltales(node: &Node, out: &mut Vec<Range<usize>>) {
    for entry in node.entries() {
        let listed = entry.node.items().iter().chain(std::iter::once(&entry.node));
        if tells(&entry.key.to_lowercase()) {
            out.extend(listed.clone().filter(|node| node.text().is_some()).map(|node| node.span.clone()));
        }
        listed.for_each(|node| find_telltales(node, out));
    }
}

/// Whether a key in lower case tells that its value is a secret.
fn tells(key: &str) -> bool {
    TELLTALES.iter().any(|word| key.contains(word)) && !HARMLESS_ENDS.iter().any(|end| key.ends_with(end))
}

/// What stands behind `=` where the key tells that it is a secret: for texts that are no TOML, and for settings without
/// a schema.
fn telltale_values(text: &str) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let mut key_start = 0;
        for (at, _) in line.match_indices('=') {
            let key = line[key_start..at].trim_end().trim_end_matches(['"', '\'']).to_lowercase();
            let key = key.rsplit([' ', '.', '{', ',', '\t', '"', '\'']).next().unwrap_or_default();
            if tells(key) && !names_a_source(&line[at + 1..]) {
                let value = &line[at + 1..];
                spans.push(start + line.len() - value.trim_start().len()..start + line.len());
                break;
            }
            key_start = at + 1;
        }
        start += line.len();
    }
    spans
}

/// What stands between `://` and `@` of a URL.
fn user_infos(text: &str) -> impl Iterator<Item = Range<usize>> {
    text.match_indices("://").filter_map(|(at, scheme_end)| {
        let start = at + scheme_end.len();
        let url = text[start..].split(|c: char| c.is_whitespace() || c == '"' || c == '\'').next()?;
        Some(start..start + url.rfind('@')?)
    })
}

/// Whether a value says where the secret is: `{ file = … }` or `{ env = … }`.
fn names_a_source(value: &str) -> bool {
    let inner = value.trim_start().strip_prefix('{').map(str::trim_start);
    inner.is_some_and(|inner| inner.starts_with("file") || inner.starts_with("env"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_places_and_telling_keys_are_covered_and_lengths_stay() {
        let text = "a = \"gehüim\"\npassword = \"hunter2\nx = { user = \"u\", pasword = 'y' }\ntoken_url = \"u\"\n";
        let at = text.find("\"geh").expect("present");
        let span = at..at + "\"gehüim\"".len();
        let covered = cover(text, std::slice::from_ref(&span));
        assert_eq!(covered.len(), text.len());
        for secret in ["geh", "hunter2", "'y'"] {
            assert!(!covered.contains(secret), "{covered}");
        }
        assert!(covered.contains("user = \"u\"") && covered.contains("token_url = \"u\""), "{covered}");
    }

    #[test]
    fn texts_of_several_lines_and_lists_are_covered_by_the_tree() {
        let text = "[settings]\npassword = '''\nhun\nter2'''\ntokens = [\n  \"abc\",\n]\n";
        let mut secrets = Vec::new();
        find_telltales(&crate::tree::read(text).root, &mut secrets);
        let covered = cover(text, &secrets);
        assert!(!covered.contains("hun") && !covered.contains("ter2") && !covered.contains("abc"), "{covered}");
    }

    #[test]
    fn a_text_that_was_read_whole_stays_toml_and_its_comments_are_searched_too() {
        let text = "# password = \"old\"\na = { x = 1, password = \"new\" } # ok\n";
        let root = crate::tree::read(text).root;
        let mut secrets = Vec::new();
        find_telltales(&root, &mut secrets);
        let covered = cover_whole(text, &root, &secrets);
        assert_eq!(covered, "# password = \"***\"\na = { x = 1, password = \"***\" } # ok\n");
    }

    #[test]
    fn where_a_secret_is_may_be_seen() {
        let text = "token = { file = \"bi.token\" }\n[connections.token-ring]\nx = 1\n";
        assert_eq!(cover(text, &[]), text);
    }

    #[test]
    fn users_in_urls_are_covered() {
        assert_eq!(cover("a = \"https://u:p@h/@\" # x@y", &[]), "a = \"https://******@\" # x@y");
        assert_eq!(cover("a = 'http://h/p' # x@y", &[]), "a = 'http://h/p' # x@y");
    }
}
