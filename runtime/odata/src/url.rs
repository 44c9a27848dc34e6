//! URLs apart: path segments, keys, query options. The order matters (Part 2 §2): first split at the delimiters, then
//! undo percent-encoding, once, in each part, then parse the part.

use crate::Error;
use crate::limits::{OPTIONS_MAX, SEGMENTS_MAX};

/// The resource a path names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Resource {
    /// The service document.
    Root,
    /// `$metadata`
    Metadata,
    /// `Set` and what comes after it.
    Set {
        /// The set's name.
        name: String,
        /// The text between the parentheses of a key, decoded: `1`, `Id='a'`.
        key: Option<Key>,
        /// Whether `/$count` follows.
        count: bool,
    },
}

/// A key as it stands in a path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Key {
    /// `Set(…)`: the text between the parentheses.
    Parentheses(String),
    /// `Set/value`: the key as a segment of its own, without quotes.
    Segment(String),
}

/// Undoes percent-encoding, once.
///
/// # Errors
/// [`Error::Syntax`] for a `%` without two hexadecimal digits, and for bytes that are not UTF-8.
pub fn decode(encoded: &str, target: &str) -> Result<String, Error> {
    let bytes = encoded.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'%' {
            let byte = encoded.get(at + 1..at + 3).filter(|pair| pair.bytes().all(|byte| byte.is_ascii_hexdigit()));
            let Some(byte) = byte.and_then(|pair| u8::from_str_radix(pair, 16).ok()) else {
                let message = "two hexadecimal digits are expected after `%`".to_owned();
                let at = encoded[..at].chars().count();
                return Err(Error::Syntax { target: target.to_owned(), at, message });
            };
            decoded.push(byte);
            at += 3;
        } else {
            decoded.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8(decoded).map_err(|error| Error::Syntax {
        target: target.to_owned(),
        at: String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]).chars().count(),
        message: "the percent-encoded bytes are no UTF-8 text".to_owned(),
    })
}

/// Percent-encodes a value of a query option, leaving what RFC 3986 allows there but for `+`, which some readers take
/// for a space.
#[must_use]
pub fn encode(text: &str) -> String {
    encode_except(text, b"-._~!$'()*,;:@/?")
}

/// Percent-encodes a path segment, the slash included.
#[must_use]
pub fn encode_segment(text: &str) -> String {
    encode_except(text, b"-._~!$'()*,;:@=")
}

/// Percent-encodes what a path may not hold, leaving its slashes and what is encoded already.
#[must_use]
pub fn encode_path(text: &str) -> String {
    encode_except(text, b"-._~!$'()*,;:@=/%")
}

fn encode_except(text: &str, plain: &[u8]) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || plain.contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// Reads a path below the service root, still encoded: `Readings(7)/$count`. A slash at its end is ignored.
///
/// # Errors
/// [`Error::Syntax`], [`Error::Limit`]; [`Error::Unsupported`] for resources that OData has and this service has not.
pub fn parse_path(path: &str) -> Result<Resource, Error> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = path.strip_suffix('/').unwrap_or(path);
    if path.is_empty() {
        return Ok(Resource::Root);
    }
    let mut segments = Vec::new();
    for segment in path.split('/') {
        segments.push(decode(segment, "path")?);
        if segments.len() > SEGMENTS_MAX {
            return Err(Error::Limit { target: "path".into(), limit: "path segments", max: SEGMENTS_MAX });
        }
    }
    let (first, rest) = segments.split_first().expect("splitting gives at least one part");
    match first.as_str() {
        "$metadata" if rest.is_empty() => Ok(Resource::Metadata),
        "$metadata" => Err(Error::NotFound("there is nothing below $metadata".into())),
        "$batch" | "$all" | "$entity" | "$crossjoin" => Err(Error::unsupported(first, "use the entity sets")),
        name if name.starts_with("$crossjoin(") => Err(Error::unsupported("$crossjoin", "use the entity sets")),
        _ => set(first, rest),
    }
}

fn set(first: &str, rest: &[String]) -> Result<Resource, Error> {
    let (name, mut key) = match first.split_once('(') {
        None => (first, None),
        Some((name, inner)) => {
            let inner = inner.strip_suffix(')').ok_or_else(|| Error::Syntax {
                target: "path".into(),
                at: first.chars().count(),
                message: "`)` is expected at the end of the key".into(),
            })?;
            (name, Some(Key::Parentheses(inner.to_owned())))
        }
    };
    if !crate::model::is_identifier(name) {
        return Err(Error::NotFound(format!("there is no entity set `{name}`")));
    }
    let mut rest = rest;
    if let Some((segment, after)) = rest.split_first()
        && key.is_none()
        && !segment.starts_with('$')
    {
        key = Some(Key::Segment(segment.clone()));
        rest = after;
    }
    let count = match rest {
        [] => false,
        [segment] if segment == "$count" && key.is_none() => true,
        [segment, ..] => {
            return Err(Error::unsupported(
                format!("path segment {segment}"),
                "address a set, an entity, or Set/$count",
            ));
        }
    };
    Ok(Resource::Set { name: name.to_owned(), key, count })
}

/// A query option as it was sent, decoded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RawOption {
    /// Its name as it was sent.
    pub name: String,
    /// Its value; empty where there is no `=`.
    pub value: String,
    /// The value as it would be if the client wrote spaces as `+`, as HTML forms do; none if it has no plain `+`.
    pub form_value: Option<String>,
}

/// Reads a query, still encoded, without its `?`.
///
/// # Errors
/// [`Error::Syntax`] for wrong percent-encoding, [`Error::Limit`].
pub fn parse_query(query: &str) -> Result<Vec<RawOption>, Error> {
    let mut options = Vec::new();
    for part in query.split('&').filter(|part| !part.is_empty()) {
        if options.len() == OPTIONS_MAX {
            return Err(Error::Limit { target: "query".into(), limit: "query options", max: OPTIONS_MAX });
        }
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let name = decode(name, "query")?;
        let form_value = value.contains('+').then(|| decode(&value.replace('+', " "), &name)).transpose()?;
        options.push(RawOption { value: decode(value, &name)?, name, form_value });
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(path: &str) -> (String, Option<Key>, bool) {
        match parse_path(path) {
            Ok(Resource::Set { name, key, count }) => (name, key, count),
            other => panic!("{path}: {other:?}"),
        }
    }

    #[test]
    fn paths_are_split_before_they_are_decoded() {
        assert_eq!(parse_path(""), Ok(Resource::Root));
        assert_eq!(parse_path("/"), Ok(Resource::Root));
        assert_eq!(parse_path("%24metadata"), Ok(Resource::Metadata));
        assert_eq!(parts("Points('a%2Fb')"), ("Points".into(), Some(Key::Parentheses("'a/b'".into())), false));
        assert_eq!(parts("Points/a%2Fb"), ("Points".into(), Some(Key::Segment("a/b".into())), false));
        assert_eq!(parts("Points/$count"), ("Points".into(), None, true));
        assert_eq!(parts("Points('%2525')").1, Some(Key::Parentheses("'%25'".into())));
    }

    #[test]
    fn wrong_paths_are_refused_by_kind() {
        let status = |path: &str| parse_path(path).unwrap_err().status();
        assert_eq!(status("Points(1"), 400);
        assert_eq!(status("Points(%zz)"), 400);
        assert_eq!(status("Points(%FF)"), 400);
        assert_eq!(status("Points(%C3"), 400);
        assert_eq!(status("Points.x"), 404);
        assert_eq!(status("$batch"), 501);
        assert_eq!(status("Points(1)/Name"), 501);
        assert_eq!(status(&"a/".repeat(40)), 400);
    }

    #[test]
    fn queries_are_split_before_they_are_decoded() {
        let options = parse_query("%24filter=a%26b%3Dc=d&&$top=1&x").unwrap();
        let pairs: Vec<_> = options.iter().map(|option| (option.name.as_str(), option.value.as_str())).collect();
        assert_eq!(pairs, [("$filter", "a&b=c=d"), ("$top", "1"), ("x", "")]);
        let plus = parse_query("$filter=a+b%2Bc").unwrap();
        assert_eq!((plus[0].value.as_str(), plus[0].form_value.as_deref()), ("a+b+c", Some("a b+c")));
    }

    #[test]
    fn what_is_encoded_is_decoded_to_the_same() {
        let text = "a b&c=d#e+f%20/ü'";
        assert_eq!(decode(&encode(text), "x").as_deref(), Ok(text));
        assert!(!encode(text).contains(['&', '=', '#', '+', ' ']));
    }
}
