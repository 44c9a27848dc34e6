//! The grammar rules of the OData ABNF by their names, for checking the parsers against test cases from outside. A case
//! is a rule and an input as it stands in a URL, percent-encoded or not.

use crate::expr::{self, ParseError};
use crate::geo::Geo;
use crate::limits::Limits;
use crate::literal::{self, Literal, Match};
use crate::select::parse_select;
use crate::{search, url};

/// Whether the whole input matches the rule. The position in an error is that in the input, in bytes.
///
/// # Errors
/// [`ParseError`] where it does not match, or for a rule that is not parsed here.
pub fn check(rule: &str, input: &str) -> Result<(), ParseError> {
    match rule.to_ascii_lowercase().as_str() {
        "filter" => option(input, "filter", |text| expr::parse(text, Limits::default()).map(drop)),
        "orderby" => option(input, "orderby", |text| expr::parse_order(text, Limits::default()).map(drop)),
        "compute" => option(input, "compute", |text| expr::parse_compute(text, Limits::default()).map(drop)),
        "select" => option(input, "select", |text| parse_select(text).map(drop)),
        "search" => option(input, "search", search::check),
        "searchexpr" => decoded(input, search::check),
        "commonexpr" | "boolcommonexpr" | "notexpr" | "isofexpr" | "firstmemberexpr" | "propertypathexpr" => {
            decoded(input, |text| expr::parse(text, Limits::default()).map(drop))
        }
        name if name.ends_with("value") => whole(input, |text| value(name, text)),
        name => decoded(input, |text| literal_rule(name, text)),
    }
}

type Checked = Result<(), ParseError>;

/// `$name=value` or `name=value`.
fn option(input: &str, name: &str, check: impl Fn(&str) -> Checked) -> Checked {
    let refused = |at: usize, message: String| Err(ParseError { at, message });
    let Some((sent, value)) = input.split_once('=') else {
        return refused(input.len(), format!("`{name}=` is expected"));
    };
    if !sent.trim_start_matches('$').eq_ignore_ascii_case(name) {
        return refused(name.len() + usize::from(sent.starts_with('$')), format!("`{name}=` is expected"));
    }
    if let Some(at) = value.find('&') {
        return refused(sent.len() + 1 + at, "the option ends here".into());
    }
    decoded(value, check).map_err(|error| ParseError { at: error.at + sent.len() + 1, ..error })
}

/// Checks a text after undoing its percent-encoding.
fn decoded(input: &str, check: impl Fn(&str) -> Checked) -> Checked {
    let text = url::decode(input, "input").map_err(|error| ParseError { at: 0, message: error.to_string() })?;
    check(&text).map_err(|error| ParseError { at: encoded_offset(input, error.at), ..error })
}

/// Where a byte of the decoded text stands in the encoded one.
fn encoded_offset(encoded: &str, decoded_bytes: usize) -> usize {
    let bytes = encoded.as_bytes();
    let mut at = 0;
    for _ in 0..decoded_bytes {
        at += if bytes.get(at) == Some(&b'%') { 3 } else { 1 };
    }
    at.min(encoded.len())
}

fn whole(text: &str, matcher: impl Fn(&str) -> Match) -> Checked {
    match matcher(text) {
        Ok(length) if length == text.len() => Ok(()),
        Ok(length) => Err(ParseError { at: length, message: "the end is expected".into() }),
        Err(at) => Err(ParseError { at, message: "the value stops being one here".into() }),
    }
}

/// The rules whose names end in `Value`, in lower case.
fn value(rule: &str, text: &str) -> Match {
    let integer = |most_digits: usize| {
        let length = literal::integer(text)?;
        let digits = text[..length].trim_start_matches(['+', '-']).len();
        if digits <= most_digits { Ok(length) } else { Err(length - digits + most_digits) }
    };
    let number = || literal::non_finite(text).or_else(|_| literal::number(text));
    match rule {
        "booleanvalue" => boolean(text),
        "bytevalue" if text.starts_with(['+', '-']) => Err(0),
        "bytevalue" => integer(3),
        "sbytevalue" => integer(3),
        "int16value" => integer(5),
        "int32value" => integer(10),
        "int64value" => integer(19),
        "decimalvalue" | "doublevalue" | "singlevalue" => number(),
        "datevalue" => literal::date(text),
        "datetimeoffsetvalue" => literal::date_time_offset(text),
        "timeofdayvalue" => literal::time_of_day(text),
        "durationvalue" => literal::duration(text),
        "guidvalue" => literal::guid(text),
        "binaryvalue" => literal::binary(text),
        "enumvalue" => literal::enumeration(text),
        "primitivevalue" if Geo::parse(text, true).is_some() => Ok(text.len()),
        "primitivevalue" => [
            boolean(text),
            literal::guid(text),
            literal::date_time_offset(text),
            literal::date(text),
            literal::time_of_day(text),
            literal::duration(text),
            number(),
            literal::binary(text),
        ]
        .into_iter()
        .flatten()
        .max()
        .ok_or(0),
        _ => Err(0),
    }
}

fn boolean(text: &str) -> Match {
    let starts_with = |word: &&&str| text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    ["true", "false"].iter().find(starts_with).map(|word| word.len()).ok_or(0)
}

/// The rules of literals as they stand in a URL.
fn literal_rule(rule: &str, text: &str) -> Checked {
    let value_rule = match rule {
        "null" => return whole(text, |text| text.eq_ignore_ascii_case("null").then_some(4).ok_or(0)),
        "boolean" => "booleanvalue".to_owned(),
        "date" => "datevalue".to_owned(),
        "guid" => "guidvalue".to_owned(),
        "primitiveliteral" | "stringliteral" | "binaryliteral" | "durationliteral" | "enumliteral" => {
            return quoted_rule(rule, text);
        }
        name if name.starts_with("geography") || name.starts_with("geometry") => return shape_rule(name, text),
        "stringinurl" => {
            let json = serde_json::from_str::<String>(text);
            return json.map(drop).map_err(|error| ParseError { at: error.column(), message: error.to_string() });
        }
        _ => match rule.strip_suffix("valueinurl").or_else(|| rule.strip_suffix("literal")) {
            Some(stem) => format!("{stem}value"),
            None => return Err(ParseError { at: 0, message: format!("the rule {rule} is not parsed here") }),
        },
    };
    whole(text, |text| value(&value_rule, text))
}

/// Literals of shapes: `geographypoint` and its like.
fn shape_rule(rule: &str, text: &str) -> Checked {
    let refused = || Err(ParseError { at: 0, message: format!("this is no {rule}") });
    let parsed = expr::parse(text, Limits::default())?;
    let expr::ExprKind::Literal(Literal::Geo(prefix, inner)) = parsed.kind else { return refused() };
    let Some(shape) = Geo::parse(&inner, prefix == "geography") else { return refused() };
    let ty = shape.ty().name().replace("Edm.", "").to_lowercase();
    if ty == rule { Ok(()) } else { refused() }
}

/// Literals in quotes, with a prefix or without, and any literal.
fn quoted_rule(rule: &str, text: &str) -> Checked {
    let parsed = expr::parse(text, Limits::default())?;
    let expr::ExprKind::Literal(literal) = parsed.kind else {
        return Err(ParseError { at: 0, message: "a literal is expected".into() });
    };
    let fits = match (rule, &literal) {
        ("primitiveliteral", _)
        | ("stringliteral", Literal::String(_))
        | ("binaryliteral", Literal::Binary(_))
        | ("durationliteral", Literal::Duration(_))
        | ("enumliteral", Literal::Enum(..)) => true,
        ("binaryliteral", Literal::String(inner)) => literal::binary(inner).is_ok(),
        ("durationliteral", Literal::String(inner)) => literal::duration(inner) == Ok(inner.len()),
        ("enumliteral", Literal::String(inner)) => literal::enumeration(inner) == Ok(inner.len()),
        _ => false,
    };
    if fits { Ok(()) } else { Err(ParseError { at: 0, message: format!("this is no {rule}") }) }
}
