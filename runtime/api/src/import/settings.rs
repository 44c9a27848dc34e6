//! What a client says about the file it imports: its format, what its columns mean, what becomes of bad rows. Pure.

use super::moments::Moments;
use crate::parameters::Parameters;
use crate::problem::Problem;
use bulkhead_log::IMPORT_ID_MAX_BYTES;
use bulkhead_model::Kind;
use std::collections::BTreeMap;

/// The parameters that are known.
pub(super) const KNOWN: [&str; 12] = [
    "id",
    "connection",
    "point",
    "delimiter",
    "decimal",
    "time_format",
    "zone",
    "map",
    "shape",
    "bad_rows",
    "create",
    "dry_run",
];

/// What is in the cells of a column.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Role {
    Time,
    Connection,
    Point,
    Value,
    Status,
    Unit,
    Kind,
    /// Nothing of interest.
    Ignore,
    /// Values of one point.
    Of(String),
}

impl Role {
    /// By the name that a mapping gives it.
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "time" => Self::Time,
            "connection" => Self::Connection,
            "point" => Self::Point,
            "value" => Self::Value,
            "status" => Self::Status,
            "unit" => Self::Unit,
            "kind" => Self::Kind,
            "ignore" => Self::Ignore,
            other => Self::Of(other.strip_prefix("point:").filter(|point| !point.is_empty())?.to_owned()),
        })
    }
}

/// The bytes a file is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Format {
    /// Records of cells, with a delimiter if the client names it.
    Csv(Option<u8>),
    /// One JSON object a line.
    Ndjson,
}

/// What the rows are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shape {
    /// A reading a row: a column says of which point.
    Rows,
    /// A time a row: a column a point.
    Columns,
}

/// What a client says.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) id: Option<String>,
    pub(super) format: Format,
    /// Of rows that name none.
    pub(super) connection: Option<String>,
    pub(super) point: Option<String>,
    pub(super) decimal_comma: bool,
    pub(super) moments: Moments,
    pub(super) map: BTreeMap<String, Role>,
    /// None: the header shows it.
    pub(super) shape: Option<Shape>,
    /// Bad rows are set aside instead of ending the import.
    pub(super) set_aside: bool,
    /// The kind of points that are not there yet; none: they are a mistake.
    pub(super) create: Option<Kind>,
    pub(super) dry_run: bool,
    /// All that decides what a file's rows become, as text: the same file with another is another import.
    pub(super) fingerprint: String,
}

fn bad(name: &str, detail: impl Into<String>) -> Problem {
    Problem::bad_request("bad-parameter", detail).with("parameter", name)
}

impl Settings {
    /// Of a request's media type and query.
    pub(super) fn of(media_type: &str, query: Option<&str>) -> Result<Self, Problem> {
        let given = Parameters::parse(query, &KNOWN)?;
        let one = |name: &str| given.one(name);
        let choice = |name: &'static str, choices: &[&str]| -> Result<Option<usize>, Problem> {
            let Some(text) = one(name)? else { return Ok(None) };
            let found = choices.iter().position(|choice| *choice == text);
            let wrong = || {
                bad(name, format!("`{name}={text}`: expected {}", choices.join(", ")))
                    .near(bulkhead_config::nearest(text, choices))
            };
            found.map(Some).ok_or_else(wrong)
        };
        let delimiter = choice("delimiter", &["comma", "semicolon", "tab"])?.map(|at| b",;\t"[at]);
        let kinds: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        let mut map = BTreeMap::new();
        for pair in given.all("map") {
            let (column, role) =
                pair.rsplit_once('=').ok_or_else(|| bad("map", format!("`map={pair}`: expected column=role")))?;
            let wrong = || {
                let detail = format!(
                    "`{role}` is no role of a column: expected time, connection, point, value, status, unit, kind, ignore or \
                     point:<name>"
                );
                bad("map", detail)
            };
            map.insert(column.to_owned(), Role::named(role).ok_or_else(wrong)?);
        }
        let id = one("id")?.map(str::to_owned);
        let is_name = |id: &String| {
            (1..=IMPORT_ID_MAX_BYTES).contains(&id.len())
                && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        if id.as_ref().is_some_and(|id| !is_name(id)) {
            return Err(bad("id", format!("`id` is 1 to {IMPORT_ID_MAX_BYTES} letters, digits, `-`, `_` and `.`")));
        }
        let decides = ["connection", "point", "delimiter", "decimal", "time_format", "zone", "map", "shape", "create"];
        let fingerprint = decides.iter().flat_map(|name| given.all(name).map(move |value| format!("{name}={value}\n")));
        Ok(Self {
            id,
            format: format(media_type, delimiter)?,
            connection: one("connection")?.map(str::to_owned),
            point: one("point")?.map(str::to_owned),
            decimal_comma: choice("decimal", &["point", "comma"])? == Some(1),
            moments: Moments::of(one("time_format")?, one("zone")?).map_err(|detail| bad("time_format", detail))?,
            map,
            shape: choice("shape", &["rows", "columns"])?.map(|at| [Shape::Rows, Shape::Columns][at]),
            set_aside: choice("bad_rows", &["refuse", "set-aside"])? == Some(1),
            create: choice("create", &kinds)?.map(|at| Kind::ALL[at]),
            dry_run: choice("dry_run", &["false", "true"])? == Some(1),
            fingerprint: fingerprint.collect(),
        })
    }
}

fn format(media_type: &str, delimiter: Option<u8>) -> Result<Format, Problem> {
    let plain = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match plain.as_str() {
        "text/csv" => Ok(Format::Csv(delimiter)),
        "text/tab-separated-values" => Ok(Format::Csv(Some(delimiter.unwrap_or(b'\t')))),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Ok(Format::Ndjson),
        _ => {
            let detail = format!("the body is `{media_type}`: expected text/csv or application/x-ndjson");
            Err(Problem::new(axum::http::StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", detail))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(query: &str) -> Result<Settings, String> {
        Settings::of("text/csv; charset=utf-8", Some(query)).map_err(|problem| format!("{problem:?}"))
    }

    #[test]
    fn parameters_say_what_a_file_is() {
        let query = "connection=boiler&delimiter=semicolon&decimal=comma&time_format=s&map=temp=point:flow_temp&map=a%3Db=ignore\
                     &bad_rows=set-aside&create=real&dry_run=true&shape=columns&id=h-1";
        let settings = of(query).unwrap();
        assert_eq!((settings.format, settings.shape), (Format::Csv(Some(b';')), Some(Shape::Columns)));
        assert_eq!(settings.map["temp"], Role::Of("flow_temp".into()));
        assert_eq!(settings.map["a=b"], Role::Ignore);
        assert!(
            settings.decimal_comma && settings.set_aside && settings.dry_run && settings.create == Some(Kind::Real)
        );
        let other = of("connection=boiler").unwrap();
        assert!(
            other.fingerprint != settings.fingerprint
                && other.fingerprint == of("connection=boiler&id=x").unwrap().fingerprint
        );
        for (query, part) in [
            ("decimal=coma", "did you mean `comma`"),
            ("map=temp", "column=role"),
            ("map=temp=temperature", "no role"),
            ("map=temp=point:", "no role"),
            ("id=a/b", "letters"),
            ("zone=nowhere", "nowhere"),
            ("delimter=tab", "delimiter"),
        ] {
            let error = of(query).unwrap_err();
            assert!(error.contains(part), "{query}: {error}");
        }
        assert!(Settings::of("text/plain", None).is_err(), "a page of another site can send that");
        assert_eq!(Settings::of("application/jsonl", None).unwrap().format, Format::Ndjson);
    }
}
