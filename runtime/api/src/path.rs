//! Names in paths. A point's name may hold `/`, blanks and any letter: it is percent-encoded, and a `/` in it may also
//! stand as it is, because the point is the last thing in its path.
//!
//! The one exception: a last segment `readings` asks for the history. A point whose own name ends in `/readings` is asked
//! for with that slash encoded: `…/points/hall%2Freadings`.

use crate::problem::Problem;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use percent_encoding::percent_decode_str;

/// Where the connections of the API are.
const CONNECTIONS: &str = "/api/v1/connections/";
/// The last segment of a history's path.
const READINGS: &str = "/readings";
/// The one name in a path such as `/api/v1/routes/{route}`.
pub(crate) struct Name(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let taken = Path::<String>::from_request_parts(parts, state).await;
        taken.map(|Path(name)| Self(name)).map_err(|_| not_utf8(parts.uri.path()))
    }
}

/// What a path below a connection's points names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PointPath {
    pub(crate) connection: String,
    pub(crate) point: String,
    /// Its history is asked for, not the point itself.
    pub(crate) history: bool,
}

impl PointPath {
    /// Whether a path is that of a history, which can only be read.
    pub(crate) fn is_history(path: &str) -> bool {
        path.starts_with(CONNECTIONS) && Self::parse(path).is_ok_and(|path| path.history)
    }

    /// Takes a path apart, as it was sent.
    pub(crate) fn parse(path: &str) -> Result<Self, Problem> {
        let nothing = || crate::problem::no_such_path(path);
        let (connection, below) =
            path.strip_prefix(CONNECTIONS).and_then(|rest| rest.split_once('/')).ok_or_else(nothing)?;
        let below = below.strip_prefix("points/").ok_or_else(nothing)?;
        let (point, history) = match below.strip_suffix(READINGS) {
            Some(point) if !point.is_empty() => (point, true),
            _ => (below, false),
        };
        Ok(Self { connection: decode(connection)?, point: decode(point)?, history })
    }
}

/// Undoes percent-encoding.
pub(crate) fn decode(text: &str) -> Result<String, Problem> {
    percent_decode_str(text).decode_utf8().map(|text| text.into_owned()).map_err(|_| not_utf8(text))
}

fn not_utf8(text: &str) -> Problem {
    Problem::bad_request("bad-path", format!("`{text}` is not UTF-8 when its percent-encoding is undone"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    fn parsed(below: &str) -> (String, bool) {
        let path = PointPath::parse(&format!("/api/v1/connections/boiler/points/{below}")).unwrap();
        assert_eq!(path.connection, "boiler");
        (path.point, path.history)
    }

    #[test]
    fn slashes_may_be_encoded_or_not() {
        assert_eq!(parsed("flow"), ("flow".into(), false));
        assert_eq!(parsed("hall/3/temp%20%C2%B0C"), ("hall/3/temp °C".into(), false));
        assert_eq!(parsed("hall%2F3/readings"), ("hall/3".into(), true));
        assert_eq!(parsed("hall/3/readings"), ("hall/3".into(), true));
        assert_eq!(parsed("hall%2Freadings"), ("hall/readings".into(), false));
        assert_eq!(parsed("hall%2Freadings/readings"), ("hall/readings".into(), true));
        assert_eq!(parsed("readings"), ("readings".into(), false));
        assert!(decode("%FF").is_err());
    }

    proptest! {
        #[test]
        fn any_name_is_reached_by_its_encoding(name in ".{1,40}") {
            let encoded = utf8_percent_encode(&name, NON_ALPHANUMERIC).to_string();
            prop_assert_eq!(parsed(&encoded), (name.clone(), false));
            prop_assert_eq!(parsed(&format!("{encoded}/readings")), (name, true));
        }
    }
}
