//! Text to tokens. Whitespace is no token, but each token knows whether some stood before it: the grammar asks for it
//! around operators and forbids it in paths.

use crate::literal::{self, Literal};

/// What a token is.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum TokenKind {
    /// An identifier, qualified or not, with its `$` or `@`: `Name`, `Model.Type`, `$it`, `@p`.
    Name(String),
    /// A primitive literal other than `true`, `false`, `null`, which are names until the parser sees where they stand.
    Literal(Literal),
    /// `"text"` of JSON.
    JsonString(String),
    /// One of `( ) , / : ; = [ ] { } * -`.
    Punct(char),
    /// Behind the last token.
    End,
    /// Text that is no token, and why. The last token: the parser may well find an error before it.
    Invalid(String),
}

/// A token with its place.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    /// Where it begins, in bytes.
    pub(super) at: usize,
    /// Where it ends, in bytes; where it begins, if it is invalid: `at` is then where it goes wrong.
    pub(super) end: usize,
    /// Whether whitespace stands before it.
    pub(super) spaced: bool,
}

/// All tokens of a text; the last is [`TokenKind::End`] or [`TokenKind::Invalid`].
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut at = 0;
    loop {
        let rest = text[at..].trim_start_matches([' ', '\t']);
        let start = text.len() - rest.len();
        let (kind, at_error, length) = match next(rest) {
            Ok((kind, length)) => (kind, 0, length),
            Err((offset, message)) => (TokenKind::Invalid(message), offset, 0),
        };
        let done = matches!(kind, TokenKind::End | TokenKind::Invalid(_));
        let end = start + length;
        found.push(Token { kind, at: start + at_error, end, spaced: start > at });
        if done {
            return found;
        }
        at = end;
    }
}

type Lexed = Result<(TokenKind, usize), (usize, String)>;

fn next(rest: &str) -> Lexed {
    let Some(first) = rest.chars().next() else { return Ok((TokenKind::End, 0)) };
    match first {
        '\'' => quoted(rest).map(|(text, length)| (TokenKind::Literal(Literal::String(text)), length)),
        '"' => json_string(rest),
        '(' | ')' | ',' | '/' | ':' | ';' | '=' | '[' | ']' | '{' | '}' | '*' => Ok((TokenKind::Punct(first), 1)),
        '-' | '+' | '0'..='9' => numeric(rest).unwrap_or_else(|| sign(first)),
        '$' | '@' => name(rest),
        _ if starts_name(first) => name(rest),
        _ => Err((0, format!("unexpected character `{first}`"))),
    }
}

fn sign(first: char) -> Lexed {
    if first == '-' { Ok((TokenKind::Punct('-'), 1)) } else { Err((0, format!("unexpected character `{first}`"))) }
}

fn starts_name(c: char) -> bool {
    c == '_' || c.is_alphabetic()
}

fn continues_name(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// A literal that begins with a digit or a sign; none if only a sign is there.
fn numeric(rest: &str) -> Option<Lexed> {
    let literal = |length: usize, make: fn(String) -> Literal| (make(rest[..length].to_owned()), length);
    let (found, length) = if let Ok(length) = literal::guid(rest) {
        literal(length, Literal::Guid)
    } else if let Ok(length) = literal::date_time_offset(rest) {
        literal(length, Literal::DateTimeOffset)
    } else if let Ok(length) = literal::date(rest) {
        literal(length, Literal::Date)
    } else if let Ok(length) = literal::time_of_day(rest) {
        literal(length, Literal::TimeOfDay)
    } else if rest.starts_with("-INF") && !rest[4..].starts_with(continues_name) {
        (Literal::NonFinite(f64::NEG_INFINITY), 4)
    } else {
        let whole = literal::integer(rest).ok()?;
        match literal::number(rest) {
            Ok(length) if length > whole => literal(length, Literal::Number),
            _ => literal(whole, Literal::Integer),
        }
    };
    Some(end_of_literal(rest, found, length))
}

/// Nothing that could belong to a name or a number may follow a literal, but the type suffixes of OData 2 and 3, which
/// some clients still send (`10D`, `1.5M`, `7L`), are taken off.
fn end_of_literal(rest: &str, found: Literal, length: usize) -> Lexed {
    let mut after = rest[length..].chars();
    let next = after.next();
    if !next.is_some_and(|c| continues_name(c) || c == '.' || c == '\'') {
        return Ok((TokenKind::Literal(found), length));
    }
    let suffix_ends = !after.next().is_some_and(|c| continues_name(c) || c == '.' || c == '\'');
    match (found, next) {
        (Literal::Integer(digits) | Literal::Number(digits), Some('d' | 'D' | 'f' | 'F' | 'm' | 'M'))
            if suffix_ends =>
        {
            Ok((TokenKind::Literal(Literal::Number(digits)), length + 1))
        }
        (Literal::Integer(digits), Some('l' | 'L')) if suffix_ends => {
            Ok((TokenKind::Literal(Literal::Integer(digits)), length + 1))
        }
        _ => Err((length, "the number, date or time does not end here".into())),
    }
}

/// An identifier, a literal prefix with its quoted text, a GUID that begins with a letter, `NaN` or `INF`.
fn name(rest: &str) -> Lexed {
    if let Ok(length) = literal::guid(rest)
        && !rest[length..].starts_with(continues_name)
    {
        return Ok((TokenKind::Literal(Literal::Guid(rest[..length].to_owned())), length));
    }
    let length = name_length(rest);
    let text = &rest[..length];
    match text {
        "$" | "@" => return Err((1, "a name is missing".into())),
        "NaN" => return Ok((TokenKind::Literal(Literal::NonFinite(f64::NAN)), length)),
        "INF" => return Ok((TokenKind::Literal(Literal::NonFinite(f64::INFINITY)), length)),
        _ => {}
    }
    if !rest[length..].starts_with('\'') {
        return Ok((TokenKind::Name(text.to_owned()), length));
    }
    let (body, body_length) = quoted(&rest[length..]).map_err(|(offset, message)| (length + offset, message))?;
    let literal = prefixed(text, body).map_err(|message| (length + 1, message))?;
    Ok((TokenKind::Literal(literal), length + body_length))
}

/// A dot belongs to the name when another part follows it.
fn name_length(rest: &str) -> usize {
    let mut length = usize::from(rest.starts_with(['$', '@']));
    loop {
        let part = rest[length..].find(|c| !continues_name(c)).unwrap_or(rest.len() - length);
        length += part;
        match rest[length..].strip_prefix('.') {
            Some(after) if part > 0 && after.starts_with(starts_name) => length += 1,
            _ => return length,
        }
    }
}

fn prefixed(prefix: &str, body: String) -> Result<Literal, String> {
    match prefix.to_ascii_lowercase().as_str() {
        "duration" if literal::duration(&body) == Ok(body.len()) => Ok(Literal::Duration(body)),
        "duration" => Err("a duration such as duration'PT1.5S' is expected".into()),
        "binary" if literal::binary(&body).is_ok() => Ok(Literal::Binary(body)),
        "binary" => Err("base64url text such as binary'Zm9v' is expected".into()),
        "geography" | "geometry" => Ok(Literal::Geo(prefix.to_ascii_lowercase(), body)),
        _ if !prefix.contains('.') => Err(format!("`{prefix}` is no literal's prefix")),
        _ if literal::enumeration(&body) == Ok(body.len()) => Ok(Literal::Enum(prefix.to_owned(), body)),
        _ => Err("members of the enumeration, separated by commas, are expected".into()),
    }
}

/// `'text'` with doubled quotes; gives the text and the length with its quotes.
pub(super) fn quoted(rest: &str) -> Result<(String, usize), (usize, String)> {
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c != '\'' {
            text.push(c);
        } else if chars.next_if(|(_, next)| *next == '\'').is_some() {
            text.push('\'');
        } else {
            return Ok((text, at + 1));
        }
    }
    Err((rest.len(), "the text's closing quote ' is missing".into()))
}

fn json_string(rest: &str) -> Lexed {
    let mut values = serde_json::Deserializer::from_str(rest).into_iter::<String>();
    match values.next() {
        Some(Ok(text)) => Ok((TokenKind::JsonString(text), values.byte_offset())),
        _ => Err((0, "this JSON string is not closed or has a wrong escape".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<TokenKind> {
        tokens(text).into_iter().map(|token| token.kind).collect()
    }

    #[test]
    fn names_literals_and_marks_are_told_apart() {
        use TokenKind::{End, Literal as L, Name, Punct};
        assert_eq!(
            kinds("Model.Find(p=@p) ge -5"),
            [
                Name("Model.Find".into()),
                Punct('('),
                Name("p".into()),
                Punct('='),
                Name("@p".into()),
                Punct(')'),
                Name("ge".into()),
                L(Literal::Integer("-5".into())),
                End
            ]
        );
        assert_eq!(kinds("a1234567-89ab-cdef-0123-456789abcdef").len(), 2);
        assert_eq!(kinds("2012-09-03"), [L(Literal::Date("2012-09-03".into())), End]);
        assert_eq!(kinds("'O''Neil'"), [L(Literal::String("O'Neil".into())), End]);
        assert_eq!(kinds("10D")[0], L(Literal::Number("10".into())));
    }

    #[test]
    fn the_place_of_a_wrong_character_is_given() {
        for (text, at) in [("a eq #", 5), ("a eq 'x", 7), ("a eq 5x", 6)] {
            let last = tokens(text).pop().unwrap();
            assert!(matches!(last.kind, TokenKind::Invalid(_)) && last.at == at, "{text}: {last:?}");
        }
    }
}
