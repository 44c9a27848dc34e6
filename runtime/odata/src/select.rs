//! `$select` as the grammar has it (ABNF `select`), before any model: items with paths, stars and nested options.

use crate::expr::ParseError;
use crate::limits::LIST_MAX_ITEMS;

/// An item of `$select`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SelectItem {
    /// Its path: names, qualified names, `*`, `Namespace.*`, `@Vocabulary.Term`. Never empty.
    pub path: Vec<String>,
    /// The text of parentheses at its end: nested options, or the parameters of a function.
    pub parentheses: Option<String>,
    /// Where it begins, in bytes.
    pub at: usize,
}

impl SelectItem {
    /// The property's name, if the item is nothing but one.
    #[must_use]
    pub fn property(&self) -> Option<&str> {
        match (self.path.as_slice(), &self.parentheses) {
            ([name], None) if crate::model::is_identifier(name) => Some(name),
            _ => None,
        }
    }
}

/// Parses the items of `$select`.
///
/// # Errors
/// [`ParseError`] at the first byte that does not fit.
pub fn parse_select(text: &str) -> Result<Vec<SelectItem>, ParseError> {
    let mut items = Vec::new();
    let mut at = 0;
    loop {
        at = skip_spaces(text, at);
        let (item, end) = item(text, at)?;
        items.push(item);
        if items.len() > LIST_MAX_ITEMS {
            return Err(ParseError { at, message: format!("more than {LIST_MAX_ITEMS} items") });
        }
        at = skip_spaces(text, end);
        match text[at..].chars().next() {
            None if at == end => return Ok(items),
            Some(',') => at += 1,
            _ => return Err(ParseError { at, message: "`,` or the end is expected".into() }),
        }
    }
}

fn skip_spaces(text: &str, at: usize) -> usize {
    text.len() - text[at..].trim_start_matches([' ', '\t']).len()
}

fn item(text: &str, at: usize) -> Result<(SelectItem, usize), ParseError> {
    let mut path = Vec::new();
    let mut end = at;
    loop {
        let part = text[end..].find(['/', ',', '(', ' ', '\t']).map_or(text.len(), |offset| end + offset);
        let name = &text[end..part];
        if !is_part(name) {
            return Err(ParseError { at: end, message: format!("a property is expected, not `{name}`") });
        }
        path.push(name.to_owned());
        end = part;
        if name.ends_with('*') || !text[end..].starts_with('/') {
            break;
        }
        end += 1;
    }
    let parentheses = if text[end..].starts_with('(') { Some(parentheses(text, end)?) } else { None };
    end += parentheses.as_ref().map_or(0, |inner| inner.len() + 2);
    Ok((SelectItem { path, parentheses, at }, end))
}

/// A star, or a name: identifiers with dots between, an `@` before, a star as the last.
fn is_part(name: &str) -> bool {
    let mut parts = name.strip_prefix('@').unwrap_or(name).split('.').peekable();
    let starts_at = name.starts_with('@');
    while let Some(part) = parts.next() {
        let star = part == "*" && parts.peek().is_none() && !starts_at;
        if !star && !crate::model::is_identifier(part) {
            return false;
        }
    }
    true
}

/// The text between parentheses; those in quotes do not count.
fn parentheses(text: &str, open: usize) -> Result<String, ParseError> {
    let mut depth = 0_usize;
    let mut quoted = false;
    for (offset, c) in text[open..].char_indices() {
        match c {
            '\'' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Ok(text[open + 1..open + offset].to_owned());
        }
    }
    Err(ParseError { at: text.len(), message: "`)` is expected, not the end".into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_taken_apart() {
        let items = parse_select("A, Address/City,*,Model.*,@Core.Messages($top=5;$filter=a eq ')')").unwrap();
        assert_eq!(items.iter().map(SelectItem::property).collect::<Vec<_>>(), [Some("A"), None, None, None, None]);
        assert_eq!(items[1].path, ["Address", "City"]);
        assert_eq!(items[4].parentheses.as_deref(), Some("$top=5;$filter=a eq ')'"));
    }

    #[test]
    fn errors_say_where() {
        for (text, at) in [("", 0), ("a,", 2), ("a b", 2), ("a/", 2), ("a(b", 3), ("9", 0), ("*.a", 0), ("a ", 2)] {
            assert_eq!(parse_select(text).unwrap_err().at, at, "{text}");
        }
    }
}
