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
    items(text, false)
}

/// Parses the items of `$expand`, whose paths may end in `/$ref` and `/$count` and go on behind a star.
///
/// # Errors
/// [`ParseError`] at the first byte that does not fit.
pub fn parse_expand(text: &str) -> Result<Vec<SelectItem>, ParseError> {
    items(text, true)
}

fn items(text: &str, expand: bool) -> Result<Vec<SelectItem>, ParseError> {
    let mut items = Vec::new();
    let mut at = 0;
    loop {
        at = skip_spaces(text, at);
        let (item, end) = item(text, at, expand)?;
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

fn item(text: &str, at: usize, expand: bool) -> Result<(SelectItem, usize), ParseError> {
    let mut path: Vec<String> = Vec::new();
    let mut end = at;
    loop {
        let part = text[end..].find(['/', ',', '(', ' ', '\t']).map_or(text.len(), |offset| end + offset);
        let name = &text[end..part];
        let tail = expand && matches!(name, "$ref" | "$count") && !path.is_empty();
        let stream = expand && name == "$value" && path.is_empty();
        if !is_part(name) && !tail && !stream {
            return Err(ParseError { at: end, message: format!("a property is expected, not `{name}`") });
        }
        path.push(name.to_owned());
        end = part;
        if tail || (name.ends_with('*') && !expand) || !text[end..].starts_with('/') {
            break;
        }
        end += 1;
    }
    let parentheses = if text[end..].starts_with('(') { Some(parentheses(text, end)?) } else { None };
    // Only the parameters of a function may be none.
    let function = !expand && path.last().is_some_and(|name| name.contains('.'));
    if !function && parentheses.as_ref().is_some_and(String::is_empty) {
        return Err(ParseError { at: end + 1, message: "an option is expected between the parentheses".into() });
    }
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
    match top_level(&text[open..]).find(|(_, c, depth)| *c == ')' && *depth == 0) {
        Some((offset, _, _)) => Ok(text[open + 1..open + offset].to_owned()),
        None => Err(ParseError { at: text.len(), message: "`)` is expected, not the end".into() }),
    }
}

/// The characters of a text outside of quotes, with their offsets and how many parentheses, brackets and braces are open
/// behind them.
fn top_level(text: &str) -> impl Iterator<Item = (usize, char, usize)> + '_ {
    let (mut quote, mut depth) = (None, 0_usize);
    text.char_indices().filter_map(move |(at, c)| {
        match (quote, c) {
            (Some(open), _) => {
                if c == open {
                    quote = None;
                }
                return None;
            }
            (None, '\'' | '"') => {
                quote = Some(c);
                return None;
            }
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth = depth.saturating_sub(1),
            _ => {}
        }
        Some((at, c, depth))
    })
}

/// Whether a place in a text stands outside of quotes and parentheses.
#[must_use]
pub fn is_top(text: &str, place: usize) -> bool {
    top_level(text).find(|(at, _, _)| *at == place).is_some_and(|(_, _, depth)| depth == 0)
}

/// How deep the parentheses of a text are nested.
#[must_use]
pub fn nesting(text: &str) -> usize {
    top_level(text).map(|(_, _, depth)| depth).max().unwrap_or(0)
}

/// The parts of a text between separators that stand outside of quotes and parentheses, with their offsets.
#[must_use]
pub fn split_top(text: &str, separator: char) -> Vec<(usize, &str)> {
    let mut parts = Vec::new();
    let mut start = 0;
    for (at, c, depth) in top_level(text) {
        if c == separator && depth == 0 {
            parts.push((start, &text[start..at]));
            start = at + c.len_utf8();
        }
    }
    parts.push((start, &text[start..]));
    parts
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
    fn expansions_have_tails_and_stars() {
        let items = parse_expand("A($levels=2),*/$ref,Address/N.B/C/$count($search=x)").unwrap();
        assert_eq!(items[1].path, ["*", "$ref"]);
        assert_eq!(items[2].path, ["Address", "N.B", "C", "$count"]);
        assert!(parse_expand("A()").is_err() && parse_select("A()").is_err() && parse_select("N.F()").is_ok());
        assert!(parse_expand("A/$ref/B").is_err() && parse_expand("$ref").is_err() && parse_select("A/$ref").is_err());
    }

    #[test]
    fn separators_in_quotes_and_parentheses_do_not_split() {
        let parts: Vec<_> = split_top("a eq ';';(b;c);[d;e]", ';').into_iter().map(|(_, part)| part).collect();
        assert_eq!(parts, ["a eq ';'", "(b;c)", "[d;e]"]);
    }

    #[test]
    fn errors_say_where() {
        for (text, at) in [("", 0), ("a,", 2), ("a b", 2), ("a/", 2), ("a(b", 3), ("9", 0), ("*.a", 0), ("a ", 2)] {
            assert_eq!(parse_select(text).unwrap_err().at, at, "{text}");
        }
    }
}
