//! Query parameters, taken strictly: an unknown one is refused with the near name, so that a mistyped bound is never
//! silently no bound.

use crate::limits::{PAGE_DEFAULT_ROWS, PAGE_MAX_ROWS, PARAMETERS_MAX};
use crate::moment;
use crate::problem::Problem;
use bulkhead_model::{Seq, Timestamp};

/// The parameters of one request.
#[derive(Debug)]
pub(crate) struct Parameters {
    pairs: Vec<(String, String)>,
}

fn bad(name: &str, detail: String) -> Problem {
    Problem::bad_request("bad-parameter", detail).with("parameter", name)
}

impl Parameters {
    /// Takes a query apart and refuses what is not known here.
    pub(crate) fn parse(query: Option<&str>, known: &[&str]) -> Result<Self, Problem> {
        let pairs: Vec<(String, String)> = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes())
            .take(PARAMETERS_MAX + 1)
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        if pairs.len() > PARAMETERS_MAX {
            return Err(Problem::bad_request("bad-parameter", format!("more than {PARAMETERS_MAX} query parameters")));
        }
        if let Some((unknown, _)) = pairs.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            let known_list = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            let detail = format!("unknown query parameter `{unknown}`; known here: {known_list}");
            let problem = Problem::bad_request("unknown-parameter", detail).with("parameter", unknown.clone());
            let problem = problem.with("known", known);
            return Err(problem.near(bulkhead_config::nearest(unknown, known)));
        }
        Ok(Self { pairs })
    }

    /// The value of a parameter that may stand once.
    pub(crate) fn one(&self, name: &str) -> Result<Option<&str>, Problem> {
        let mut values = self.all(name);
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(bad(name, format!("`{name}` is given more than once"))),
            (value, None) => Ok(value),
        }
    }

    /// The name of something, which no name of the config can be empty as.
    pub(crate) fn name(&self, name: &str) -> Result<Option<&str>, Problem> {
        let given = self.one(name)?;
        if given == Some("") { Err(bad(name, format!("`{name}` is empty: expected a name"))) } else { Ok(given) }
    }

    /// The values of a parameter that may stand several times.
    pub(crate) fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Rows of a page.
    pub(crate) fn limit(&self) -> Result<usize, Problem> {
        let Some(text) = self.one("limit")? else { return Ok(PAGE_DEFAULT_ROWS) };
        let limit = text.parse().ok().filter(|limit| (1..=PAGE_MAX_ROWS).contains(limit));
        limit.ok_or_else(|| bad("limit", format!("`limit={text}`: expected 1 to {PAGE_MAX_ROWS}")))
    }

    /// A plain seq or point number after which to go on.
    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, Problem> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        let number = text.parse().ok().filter(|number| i64::try_from(*number).is_ok());
        number.map(Some).ok_or_else(|| bad(name, format!("`{name}={text}`: expected a whole number, 0 or more")))
    }

    /// A moment: RFC 3339, or milliseconds since the Unix epoch.
    pub(crate) fn moment(&self, name: &str) -> Result<Option<Timestamp>, Problem> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        moment::parse(text).map(Some).ok_or_else(|| {
            let detail = format!(
                "`{name}={text}`: expected a time such as 2026-01-31T08:30:00Z (a + of an offset is written %2B), or \
                 milliseconds since 1970"
            );
            bad(name, detail)
        })
    }

    /// A position in the log: a plain seq, or a cursor `<log id>-<seq>` as this API hands out.
    pub(crate) fn position(&self, name: &str) -> Result<Option<Position>, Problem> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        Position::parse(text).map(Some).ok_or_else(|| {
            bad(name, format!("`{name}={text}`: expected a seq, or a cursor as it was handed out: <log id>-<seq>"))
        })
    }
}

/// A position in a log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Position {
    /// The log it is of; none: this one.
    pub(crate) log: Option<String>,
    pub(crate) seq: Seq,
}

impl Position {
    /// Reads `<seq>` or `<log id>-<seq>`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (log, seq) = match text.rsplit_once('-') {
            Some(("", _)) => return None,
            Some((log, seq)) => (Some(log.to_owned()), seq),
            None => (None, text),
        };
        let digits = !seq.is_empty() && seq.bytes().all(|byte| byte.is_ascii_digit());
        let seq = seq.parse().ok().filter(|seq| digits && i64::try_from(*seq).is_ok())?;
        Some(Self { log, seq })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detail(query: &str, known: &[&str]) -> String {
        format!("{:?}", Parameters::parse(Some(query), known).unwrap_err())
    }

    #[test]
    fn an_unknown_parameter_is_refused_with_the_near_name() {
        assert!(detail("form=1", &["from", "to"]).contains("did you mean `from`?"));
        assert!(detail("x=1", &[]).contains("known here: none"));
        let twice = Parameters::parse(Some("to=1&to=2"), &["to"]).unwrap();
        assert!(twice.one("to").is_err() && twice.all("to").count() == 2);
    }

    #[test]
    fn limits_stay_within_their_bounds() {
        let limit = |query| Parameters::parse(Some(query), &["limit"]).unwrap().limit().ok();
        assert_eq!((limit(""), limit("limit=7")), (Some(PAGE_DEFAULT_ROWS), Some(7)));
        assert_eq!(
            (limit("limit=0"), limit("limit=10001"), limit("limit=x"), limit("limit=")),
            (None, None, None, None)
        );
    }

    #[test]
    fn positions_are_seqs_or_cursors() {
        let parsed = |text| Position::parse(text).map(|position| (position.log, position.seq));
        assert_eq!(parsed("7"), Some((None, 7)));
        assert_eq!(parsed("ab12-7"), Some((Some("ab12".into()), 7)));
        for wrong in ["", "-7", "ab12-", "ab12", "7-x", "+7", "99999999999999999999", "9223372036854775808"] {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
    }
}
