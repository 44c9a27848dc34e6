//! Lists in three forms: JSON with what belongs to the page, or its rows alone as CSV (RFC 4180) or NDJSON, for spreadsheets and
//! scripts. Where the next page is then stands in the header `Link`.

use crate::parameters::Parameters;
use crate::problem::Problem;
use axum::Json;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use bulkhead_odata::cells::guarded;
use bulkhead_odata::negotiate::CellText;
use serde::Serialize;
use serde_json::{Map, Value};

/// The query parameter that says which form.
pub(crate) const FORMAT: &str = "format";
/// The query parameter that says how texts stand in CSV.
pub(crate) const TEXT: &str = "text";
/// Media types with the names that [`FORMAT`] has for them.
pub(crate) const CSV: &str = "text/csv; charset=utf-8";
pub(crate) const NDJSON: &str = "application/x-ndjson";
/// Names in an `Accept` that CSV answers to.
const CSV_ACCEPTED: [&str; 2] = ["text/csv", "text/*"];
/// Entries of an `Accept` that are looked at.
const ACCEPTED_MAX: usize = 32;

/// How a list is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    Json,
    Csv(CellText),
    Ndjson,
}

/// A page of a list.
pub(crate) trait Page: Serialize {
    /// What a row is.
    type Row: Serialize;
    /// The members of a row that are columns, in their order.
    const COLUMNS: &'static [&'static str];

    fn rows(&self) -> &[Self::Row];

    /// What to give as `after` for what follows; none: nothing does.
    fn next(&self) -> Option<&str>;
}

impl Form {
    /// The form that is asked for: by the query, or else by `Accept`; JSON where neither says anything that is known. How texts
    /// stand in CSV is asked for in the same way, but what is not known of that is refused: exact texts are no answer to it.
    pub(crate) fn asked(parameters: &Parameters, headers: &HeaderMap) -> Result<Self, Problem> {
        let bad = |name: &str, given: &str, expected: &str| {
            Problem::bad_request("bad-parameter", format!("`{name}={given}`: expected {expected}"))
                .with("parameter", name)
        };
        let known = |text: &str| cell_text(text).ok_or_else(|| bad(TEXT, text, "exact or guarded"));
        let in_query = parameters.one(TEXT)?.map(known).transpose()?;
        let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("*/*");
        let form = match parameters.one(FORMAT)? {
            Some("json") => Self::Json,
            Some("csv") => Self::Csv(CellText::Exact),
            Some("ndjson") => Self::Ndjson,
            Some(other) => return Err(bad(FORMAT, other, "json, csv or ndjson")),
            None => Self::accepted(accept),
        };
        match (form, in_query) {
            (Self::Csv(_), Some(cell_text)) => Ok(Self::Csv(cell_text)),
            (Self::Csv(_), None) => {
                text_in(accept).map(known).transpose().map(|text| Self::Csv(text.unwrap_or_default()))
            }
            (form, _) => Ok(form),
        }
    }

    /// The one that `Accept` likes best (RFC 9110 §12.5.1); of those that it likes alike the first of this list.
    fn accepted(accept: &str) -> Self {
        let weight = |names: &[&str]| entries(accept, names).map(|entry| entry.quality).fold(0.0_f32, f32::max);
        let json = weight(&["application/json", "application/*", "*/*"]);
        let (csv, ndjson) = (weight(&CSV_ACCEPTED), weight(&["application/x-ndjson", "application/jsonl"]));
        match (csv > json, ndjson > json) {
            (true, _) if csv >= ndjson => Self::Csv(CellText::Exact),
            (_, true) => Self::Ndjson,
            _ => Self::Json,
        }
    }

    /// A page in this form.
    pub(crate) fn answer<P: Page>(self, page: &P, uri: &Uri) -> Result<Response, Problem> {
        let mut answer = match self {
            Self::Json => Json(page).into_response(),
            Self::Csv(cell_text) => of_type(CSV, csv(P::COLUMNS, page.rows(), cell_text)?),
            Self::Ndjson => of_type(NDJSON, ndjson(page.rows())?),
        };
        let headers = answer.headers_mut();
        headers.append(header::VARY, HeaderValue::from_static("accept"));
        // A relative reference: it is right behind a proxy, too.
        let link = page.next().map(|next| format!("<?{}>; rel=\"next\"", following(uri.query(), next)));
        if let Some(link) = link.and_then(|link| HeaderValue::from_str(&link).ok()) {
            headers.insert(header::LINK, link);
        }
        Ok(answer)
    }
}

/// An entry of `Accept`.
struct Entry<'a> {
    quality: f32,
    /// Its parameter [`TEXT`].
    text: Option<&'a str>,
}

/// The entries of `Accept` with one of these names.
fn entries<'a>(accept: &'a str, names: &[&str]) -> impl Iterator<Item = Entry<'a>> {
    accept.split(',').take(ACCEPTED_MAX).filter_map(|entry| {
        let mut parts = entry.split(';').map(str::trim);
        let name = parts.next()?;
        let parameters = parts.filter_map(|part| part.split_once('='));
        let one = |wanted: &str| {
            let found = parameters.clone().find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted));
            found.map(|(_, value)| value.trim().trim_matches('"'))
        };
        let quality = || one("q").map_or(1.0, |quality| quality.parse().unwrap_or(0.0));
        let is_it = names.iter().any(|known| known.eq_ignore_ascii_case(name));
        is_it.then(|| Entry { quality: quality(), text: one(TEXT) })
    })
}

/// How `Accept` asks for the texts of CSV, in the first of the entries for it that it likes best.
fn text_in(accept: &str) -> Option<&str> {
    let csv = || entries(accept, &CSV_ACCEPTED);
    let highest = csv().map(|entry| entry.quality).fold(0.0_f32, f32::max);
    csv().find(|entry| entry.quality >= highest)?.text
}

fn cell_text(name: &str) -> Option<CellText> {
    match name {
        _ if name.eq_ignore_ascii_case("exact") => Some(CellText::Exact),
        _ if name.eq_ignore_ascii_case("guarded") => Some(CellText::Guarded),
        _ => None,
    }
}

fn of_type(media_type: &'static str, body: String) -> Response {
    ([(header::CONTENT_TYPE, media_type)], body).into_response()
}

/// The query of the page that follows.
fn following(query: Option<&str>, next: &str) -> String {
    let pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()).filter(|(name, _)| name != "after");
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).append_pair("after", next).finish()
}

fn members(row: &impl Serialize) -> Result<Map<String, Value>, Problem> {
    match serde_json::to_value(row) {
        Ok(Value::Object(members)) => Ok(members),
        _ => Err(Problem::internal("a row of a list is none")),
    }
}

fn ndjson<R: Serialize>(rows: &[R]) -> Result<String, Problem> {
    let mut text = String::new();
    for row in rows {
        let line = serde_json::to_string(row).map_err(|_| Problem::internal("a row of a list is none"))?;
        text.push_str(&line);
        text.push('\n');
    }
    Ok(text)
}

fn csv<R: Serialize>(columns: &[&str], rows: &[R], cell_text: CellText) -> Result<String, Problem> {
    let mut text = columns.join(",") + "\r\n";
    for row in rows {
        let members = members(row)?;
        for (number, column) in columns.iter().enumerate() {
            if number > 0 {
                text.push(',');
            }
            put_cell(&mut text, members.get(*column).unwrap_or(&Value::Null), cell_text);
        }
        text.push_str("\r\n");
    }
    Ok(text)
}

/// Null is an empty cell, an empty text a quoted one.
fn put_cell(text: &mut String, value: &Value, cell_text: CellText) {
    let cell = match (value, cell_text) {
        (Value::Null, _) => return,
        (Value::String(cell), CellText::Exact) => cell.clone(),
        (Value::String(cell), CellText::Guarded) => guarded(cell).into_owned(),
        (other, _) => other.to_string(),
    };
    if cell.is_empty() || cell.contains([',', '"', '\r', '\n']) || cell.starts_with(' ') || cell.ends_with(' ') {
        text.push('"');
        text.push_str(&cell.replace('"', "\"\""));
        text.push('"');
    } else {
        text.push_str(&cell);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn asked(query: &str, accept: Option<&str>) -> Result<Form, Problem> {
        let accept = accept.map(|accept| (header::ACCEPT, HeaderValue::from_str(accept).unwrap()));
        Form::asked(&Parameters::parse(Some(query), &[FORMAT, TEXT]).unwrap(), &accept.into_iter().collect())
    }

    #[test]
    fn the_form_is_the_one_that_is_liked_best() {
        for (query, accept, form) in [
            ("", None, Form::Json),
            ("", Some("*/*"), Form::Json),
            ("", Some("text/html, */*;q=0.8"), Form::Json),
            ("", Some("text/csv"), Form::Csv(CellText::Exact)),
            ("", Some("text/csv, */*;q=0.5"), Form::Csv(CellText::Exact)),
            ("", Some("text/csv;q=0.5, application/json"), Form::Json),
            ("", Some("application/x-ndjson"), Form::Ndjson),
            ("", Some("text/csv;q=0.1, application/x-ndjson;q=0.2"), Form::Ndjson),
            ("", Some("text/html"), Form::Json),
            ("", Some("text/csv;text=guarded"), Form::Csv(CellText::Guarded)),
            ("", Some("text/csv; q=0.9; Text=\"Guarded\", */*;q=0.1"), Form::Csv(CellText::Guarded)),
            ("", Some("text/csv;q=0.5;text=exact, text/*;text=guarded"), Form::Csv(CellText::Guarded)),
            ("", Some("text/csv;text=none;q=0.5, application/json"), Form::Json),
            ("text=exact", Some("text/csv;text=guarded"), Form::Csv(CellText::Exact)),
            ("text=guarded", Some("text/csv"), Form::Csv(CellText::Guarded)),
            ("format=csv", Some("text/csv;text=guarded"), Form::Csv(CellText::Guarded)),
            ("format=ndjson", Some("text/csv;text=none"), Form::Ndjson),
        ] {
            assert_eq!(asked(query, accept).unwrap(), form, "{query} {accept:?}");
        }
    }

    #[test]
    fn how_texts_stand_is_never_guessed_at() {
        for (query, accept) in [
            ("", Some("text/csv;text=gaurded")),
            ("", Some("text/csv;text=")),
            ("format=csv", Some("text/csv;text=gaurded")),
            ("text=gaurded", Some("text/csv;text=guarded")),
            ("text=gaurded", None),
        ] {
            assert!(asked(query, accept).is_err(), "{query} {accept:?}");
        }
    }

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        let row = json!({ "a": "plain", "b": null, "c": "", "d": "x,\"y\"\nz", "e": 1.5, "f": { "name": "n" } });
        let text = csv(&["a", "b", "c", "d", "e", "f", "g"], &[row], CellText::Exact).unwrap();
        assert_eq!(text, "a,b,c,d,e,f,g\r\nplain,,\"\",\"x,\"\"y\"\"\nz\",1.5,\"{\"\"name\"\":\"\"n\"\"}\",\r\n");
    }

    #[test]
    fn texts_that_would_be_formulas_are_guarded_where_that_is_asked_for_and_exact_elsewhere() {
        let row = json!({ "a": "=1+1", "b": "-12.50", "c": -3, "d": "-1,\"x\"", "e": { "name": "=n" } });
        let columns = ["a", "b", "c", "d", "e"];
        let exact = csv(&columns, &[&row], CellText::Exact).unwrap();
        assert!(exact.ends_with("\r\n=1+1,-12.50,-3,\"-1,\"\"x\"\"\",\"{\"\"name\"\":\"\"=n\"\"}\"\r\n"), "{exact}");
        let guarded = csv(&columns, &[&row], CellText::Guarded).unwrap();
        assert!(
            guarded.ends_with("\r\n'=1+1,-12.50,-3,\"'-1,\"\"x\"\"\",\"{\"\"name\"\":\"\"=n\"\"}\"\r\n"),
            "{guarded}"
        );
    }

    #[test]
    fn the_next_page_keeps_what_was_asked_for() {
        assert_eq!(following(Some("after=3&limit=2&connection=a%20b"), "7"), "limit=2&connection=a+b&after=7");
        assert_eq!(following(None, "x-7"), "after=x-7");
    }
}
