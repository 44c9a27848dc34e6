//! Patterns over points: `connection/point` with `*` for any run of characters and `?` for one.
//!
//! The first `/` divides the connection from the point, in patterns as in names: `*` before it takes characters of a
//! connection's name only, `*` behind it anything, further `/` included. Every `*` but the last of a part takes as
//! little as it can. Matching takes at most pattern × text steps.

use std::fmt;

/// A pattern `connection/point`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Selector {
    connection: String,
    point: String,
}

/// Why a text is not a pattern.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SelectorError {
    /// There is no `/` in it.
    #[error("found no `/` in it, expected `connection/point`")]
    NoSlash,
    /// The part before the `/` is empty.
    #[error("found nothing before the `/`, expected a connection")]
    NoConnection,
    /// The part behind the `/` is empty.
    #[error("found nothing behind the `/`, expected a point")]
    NoPoint,
    /// It is longer than [`Selector::MAX_BYTES`].
    #[error("found more than {} bytes", Selector::MAX_BYTES)]
    TooLong,
}

impl Selector {
    /// Longest pattern in bytes: both names at their longest.
    pub const MAX_BYTES: usize = 64 + 1 + 255;

    /// Reads a pattern.
    ///
    /// # Errors
    /// [`SelectorError`] when a part is missing or it is too long.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let (connection, point) = text.split_once('/').ok_or(SelectorError::NoSlash)?;
        match (connection, point) {
            _ if text.len() > Self::MAX_BYTES => Err(SelectorError::TooLong),
            ("", _) => Err(SelectorError::NoConnection),
            (_, "") => Err(SelectorError::NoPoint),
            _ => Ok(Self { connection: connection.to_owned(), point: point.to_owned() }),
        }
    }

    /// Whether it takes points of this connection at all.
    #[must_use]
    pub fn matches_connection(&self, connection: &str) -> bool {
        captures(&self.connection, connection).is_some()
    }

    /// Whether it takes this point.
    #[must_use]
    pub fn matches(&self, connection: &str, point: &str) -> bool {
        self.matches_connection(connection) && captures(&self.point, point).is_some()
    }

    /// What each `*` took, in order, when it takes this point.
    #[must_use]
    pub fn captures<'t>(&self, connection: &'t str, point: &'t str) -> Option<Vec<&'t str>> {
        let mut taken = captures(&self.connection, connection)?;
        taken.extend(captures(&self.point, point)?);
        Some(taken)
    }

    /// How many `*` it has.
    #[must_use]
    pub fn stars(&self) -> usize {
        self.connection.matches('*').count() + self.point.matches('*').count()
    }

    /// The connection it names, when it names exactly one.
    #[must_use]
    pub fn single_connection(&self) -> Option<&str> {
        (!self.connection.contains(['*', '?'])).then_some(self.connection.as_str())
    }

    /// Whether it names this connection and no other.
    #[must_use]
    pub fn is_of(&self, connection: &str) -> bool {
        self.single_connection() == Some(connection)
    }

    /// The part before the `/`.
    #[must_use]
    pub fn connection(&self) -> &str {
        &self.connection
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.connection, self.point)
    }
}

/// A name from a template: `$1` to `$9` become what the pattern's `*` took, `$$` a dollar. A number without a capture
/// becomes nothing; the config's check has refused such templates.
#[must_use]
pub fn expand(template: &str, captures: &[&str]) -> String {
    let mut name = String::with_capacity(template.len());
    for piece in pieces(template) {
        match piece {
            Piece::Text(text) => name.push_str(text),
            Piece::Capture(number) => name.push_str(captures.get(number - 1).copied().unwrap_or_default()),
        }
    }
    name
}

/// The highest `$n` of a template; 0 where there is none.
#[must_use]
pub fn highest_capture(template: &str) -> usize {
    pieces(template).map(|piece| if let Piece::Capture(number) = piece { number } else { 0 }).max().unwrap_or(0)
}

enum Piece<'t> {
    Text(&'t str),
    Capture(usize),
}

fn pieces(template: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = template;
    std::iter::from_fn(move || {
        let (piece, length) = match rest.as_bytes() {
            [] => return None,
            [b'$', b'$', ..] => (Piece::Text("$"), 2),
            [b'$', digit @ b'1'..=b'9', ..] => (Piece::Capture(usize::from(digit - b'0')), 2),
            _ => {
                let first = rest.chars().next().map_or(1, char::len_utf8);
                let length = rest[first..].find('$').map_or(rest.len(), |at| first + at);
                (Piece::Text(&rest[..length]), length)
            }
        };
        rest = &rest[length..];
        Some(piece)
    })
}

/// What each `*` of a pattern took of a text; none when the pattern does not take the whole of it.
///
/// Only the last `*` seen is ever widened: what is before it has matched as early as it can, so nothing is lost.
fn captures<'t>(pattern: &str, text: &'t str) -> Option<Vec<&'t str>> {
    let mut taken: Vec<&'t str> = Vec::new();
    let (mut pattern_rest, mut text_rest) = (pattern, text);
    // The last star: the pattern behind it, and the text from where it begins to take.
    let mut star: Option<(&str, &'t str)> = None;
    loop {
        let mut wanted = pattern_rest.chars();
        let mut found = text_rest.chars();
        match (wanted.next(), found.next()) {
            (None, None) => return Some(taken),
            (Some('*'), _) => {
                pattern_rest = wanted.as_str();
                star = Some((pattern_rest, text_rest));
                taken.push("");
            }
            (Some(w), Some(f)) if w == '?' || w == f => {
                (pattern_rest, text_rest) = (wanted.as_str(), found.as_str());
            }
            _ => {
                let (behind, begin) = star?;
                let last = taken.last_mut()?;
                let wider = begin[last.len()..].chars().next()?.len_utf8() + last.len();
                *last = &begin[..wider];
                (pattern_rest, text_rest) = (behind, &begin[wider..]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn selector(text: &str) -> Selector {
        Selector::parse(text).expect("a pattern")
    }

    #[test]
    fn stars_take_runs_and_say_what_they_took() {
        let pattern = selector("boiler/temp_*");
        assert_eq!(pattern.captures("boiler", "temp_flow"), Some(vec!["flow"]));
        assert_eq!(pattern.captures("boiler", "temp_"), Some(vec![""]));
        assert!(!pattern.matches("boiler", "pressure") && !pattern.matches("boiler2", "temp_flow"));
        assert_eq!(selector("*/a*b*").captures("x", "a1b2b3"), Some(vec!["x", "1", "2b3"]));
        assert_eq!(selector("b?/*/t").captures("b1", "s/r/t"), Some(vec!["s/r"]));
        assert_eq!(selector("b/°*").captures("b", "°ü"), Some(vec!["ü"]));
    }

    #[test]
    fn the_connection_part_ends_at_the_first_slash() {
        assert!(!selector("*/x").matches("a", "b/x"));
        assert_eq!(selector("boiler/a/*").single_connection(), Some("boiler"));
        assert_eq!(selector("b*/x").single_connection(), None);
    }

    #[test]
    fn what_is_no_pattern_says_why() {
        assert_eq!(Selector::parse("boiler"), Err(SelectorError::NoSlash));
        assert_eq!(Selector::parse("/x"), Err(SelectorError::NoConnection));
        assert_eq!(Selector::parse("x/"), Err(SelectorError::NoPoint));
        assert_eq!(Selector::parse(&format!("x/{}", "y".repeat(400))), Err(SelectorError::TooLong));
    }

    #[test]
    fn templates_take_captures_and_dollars() {
        assert_eq!(expand("kessel_$1_$2", &["a", "b"]), "kessel_a_b");
        assert_eq!(expand("5$$ $1$", &["a"]), "5$ a$");
        assert_eq!(expand("$3é$", &["a"]), "é$");
        assert_eq!((highest_capture("a$2b$1"), highest_capture("$$1")), (2, 0));
    }

    /// Whether a pattern takes a text, by the definition.
    fn takes(pattern: &[char], text: &[char]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            (['*', behind @ ..], _) => (0..=text.len()).any(|taken| takes(behind, &text[taken..])),
            ([wanted, behind @ ..], [found, rest @ ..]) => (*wanted == '?' || wanted == found) && takes(behind, rest),
            _ => false,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn matching_is_as_defined_and_captures_fill_the_stars(pattern in "[ab?*é]{0,8}", text in "[abé]{0,10}") {
            let chars = |text: &str| text.chars().collect::<Vec<char>>();
            let taken = captures(&pattern, &text);
            prop_assert_eq!(taken.is_some(), takes(&chars(&pattern), &chars(&text)));
            if let Some(taken) = taken {
                prop_assert_eq!(taken.len(), pattern.matches('*').count());
                let mut taken = taken.into_iter();
                let filled: String = pattern
                    .chars()
                    .map(|c| if c == '*' { taken.next().unwrap_or_default().to_owned() } else { c.to_string() })
                    .collect();
                prop_assert_eq!(filled.chars().count(), text.chars().count());
                prop_assert!(filled.chars().zip(text.chars()).all(|(wanted, found)| wanted == '?' || wanted == found));
            }
        }
    }
}
