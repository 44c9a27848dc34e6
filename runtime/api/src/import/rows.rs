//! What a row of a file says: readings as drafts, and drafts as readings of points that are known. Pure.

use super::bounds::FOUND_MAX_CHARS;
use super::columns::Columns;
use super::records::Record;
use super::settings::{Role, Settings, Shape};
use crate::moment;
use base64::Engine as _;
use bulkhead_log::Catalogue;
use bulkhead_model::{File, Kind, PointInfo, Reading, Status, Timestamp, Value};
use serde::Serialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Why a row is not taken.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct BadRow {
    /// The line in the file, from 1.
    pub(super) line: u64,
    /// The column's name; none: it is about the row as a whole.
    pub(super) column: Option<String>,
    /// What stands there, or its beginning.
    pub(super) found: String,
    /// What should stand there.
    pub(super) expected: String,
}

impl BadRow {
    pub(super) fn new(line: u64, column: Option<&str>, found: &str, expected: impl Into<String>) -> Self {
        let found = found.chars().take(FOUND_MAX_CHARS).collect();
        Self { line, column: column.map(str::to_owned), found, expected: expected.into() }
    }
}

/// A cell: text, or JSON as it stands.
#[derive(Clone, PartialEq, Debug)]
enum Cell<'r> {
    Text(Cow<'r, str>),
    Json(&'r str),
}

/// What a row says of one point.
#[derive(Debug)]
pub(super) struct Draft<'r> {
    line: u64,
    /// The column of its value.
    column: &'r str,
    /// The column that names its point.
    point_column: Option<&'r str>,
    pub(super) connection: Cow<'r, str>,
    pub(super) point: Cow<'r, str>,
    time: Timestamp,
    status: Status,
    unit: Option<Cow<'r, str>>,
    kind: Option<Kind>,
    value: Cell<'r>,
}

/// Cells with their columns' names and roles.
type Cells<'r> = Vec<(&'r str, Role, Cell<'r>)>;

/// What a row of CSV says.
pub(super) fn of_csv<'r>(
    record: &'r Record,
    columns: &'r Columns,
    settings: &'r Settings,
) -> Result<Vec<Draft<'r>>, BadRow> {
    if record.cells.len() != columns.0.len() {
        let expected = format!("{} cells, as the header has", columns.0.len());
        return Err(BadRow::new(record.line, None, &format!("{} cells", record.cells.len()), expected));
    }
    let cells = record.cells.iter().zip(&columns.0).map(|(cell, (name, role))| match std::str::from_utf8(cell) {
        Ok(text) => Ok((name.as_str(), role.clone(), Cell::Text(Cow::Borrowed(text)))),
        Err(_) => {
            let found = String::from_utf8_lossy(cell);
            Err(BadRow::new(record.line, Some(name), &found, "text in UTF-8: convert the file to it"))
        }
    });
    drafts(record.line, cells.collect::<Result<_, _>>()?, settings)
}

/// The members of a line of NDJSON, in their order.
pub(super) fn members<'r>(record: &'r Record) -> Result<Vec<(Cow<'r, str>, &'r RawValue)>, BadRow> {
    let text = record.cells.first().map(Vec::as_slice).unwrap_or_default();
    let bad = |expected: String| BadRow::new(record.line, None, &String::from_utf8_lossy(text), expected);
    // A map of names that borrow, so that no cell is copied before it is known what it is.
    let object: BTreeMap<Cow<'r, str>, &'r RawValue> =
        serde_json::from_slice(text).map_err(|error| bad(format!("one JSON object a line: {error}")))?;
    if object.is_empty() {
        return Err(bad("an object with members".to_owned()));
    }
    Ok(object.into_iter().collect())
}

/// What a line of NDJSON says, its names being columns.
pub(super) fn of_json<'r>(
    line: u64,
    members: &'r [(Cow<'r, str>, &'r RawValue)],
    columns: &'r Columns,
    settings: &'r Settings,
) -> Result<Vec<Draft<'r>>, BadRow> {
    let cells = members.iter().zip(&columns.0).filter(|((_, raw), _)| raw.get() != "null");
    let cells = cells.map(|((name, raw), (_, role))| {
        let cell = match serde_json::from_str::<String>(raw.get()) {
            Ok(text) => Cell::Text(Cow::Owned(text)),
            Err(_) => Cell::Json(raw.get()),
        };
        (&**name, role.clone(), cell)
    });
    drafts(line, cells.collect(), settings)
}

fn drafts<'r>(line: u64, cells: Cells<'r>, settings: &'r Settings) -> Result<Vec<Draft<'r>>, BadRow> {
    let text = |wanted: &Role| -> Option<(&'r str, Cow<'r, str>)> {
        let (name, _, cell) = cells.iter().find(|(_, role, _)| role == wanted)?;
        let text = match cell {
            Cell::Text(text) => text.clone(),
            Cell::Json(json) => Cow::Borrowed(*json),
        };
        (!text.trim().is_empty()).then_some((*name, text))
    };
    let missing = |what: &str| BadRow::new(line, Some(what), "", format!("a {what}"));
    let (time_column, time) = text(&Role::Time).ok_or_else(|| missing("time"))?;
    let moment = settings.moments.parse(&time);
    let time = moment.map_err(|expected| BadRow::new(line, Some(time_column), &time, expected))?;
    let given = settings.connection.as_deref().map(Cow::Borrowed);
    let connection = text(&Role::Connection).map(|(_, text)| text).or(given).ok_or_else(|| missing("connection"))?;
    let status = match text(&Role::Status) {
        None => Status::GOOD,
        Some((column, text)) => status_of(&text).ok_or_else(|| {
            BadRow::new(
                line,
                Some(column),
                &text,
                "an OPC UA StatusCode as a number, or a name such as Good or BadTimeout",
            )
        })?,
    };
    let kind = match text(&Role::Kind) {
        None => None,
        Some((column, text)) => {
            let found = Kind::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(text.trim()));
            Some(found.ok_or_else(|| BadRow::new(line, Some(column), &text, "a kind such as real or boolean"))?)
        }
    };
    let unit = text(&Role::Unit).map(|(_, text)| text);
    let given = settings.point.as_deref().map(|point| (None, Cow::Borrowed(point)));
    let named = text(&Role::Point).map(|(column, text)| (Some(column), text)).or(given);
    let is_wide =
        cells.iter().any(|(_, role, _)| matches!(role, Role::Of(_))) || settings.shape == Some(Shape::Columns);
    let mut drafts = Vec::new();
    let mut has_value = false;
    for (column, role, cell) in &cells {
        let (point_column, point) = match role {
            Role::Of(point) => {
                // In a row of many points an empty cell is a point that said nothing then.
                if matches!(cell, Cell::Text(text) if text.trim().is_empty()) {
                    continue;
                }
                (Some(*column), Cow::Owned(point.clone()))
            }
            Role::Value => named.clone().ok_or_else(|| missing("point"))?,
            _ => continue,
        };
        has_value = true;
        let (connection, unit, value) = (connection.clone(), unit.clone(), cell.clone());
        drafts.push(Draft { line, column, point_column, connection, point, time, status, unit, kind, value });
    }
    if !has_value && !is_wide {
        // JSON's null: a reading without a value.
        let (point_column, point) = named.ok_or_else(|| missing("point"))?;
        let value = Cell::Text(Cow::Borrowed(""));
        drafts.push(Draft { line, column: "value", point_column, connection, point, time, status, unit, kind, value });
    }
    Ok(drafts)
}

fn status_of(text: &str) -> Option<Status> {
    let text = text.trim();
    let digits = text.rsplit_once("(0x").and_then(|(_, rest)| rest.strip_suffix(')')).or(text.strip_prefix("0x"));
    let number = text.parse().ok().or_else(|| u32::from_str_radix(digits?, 16).ok());
    number.map(Status).or_else(|| Status::from_name(text))
}

impl Draft<'_> {
    /// The point that is to be made for it first; none: there is one.
    pub(super) fn wanted(
        &self,
        catalogue: &Catalogue,
        settings: &Settings,
        with_hint: bool,
    ) -> Result<Option<PointInfo>, BadRow> {
        if catalogue.by_name(&self.connection, &self.point).is_some() {
            return Ok(None);
        }
        let Some(kind) = self.kind.filter(|_| settings.create.is_some()).or(settings.create) else {
            let with_hint = with_hint && PointInfo::name_is_valid(&self.point);
            let known: Vec<&str> = match with_hint {
                true => catalogue.of_connection(&self.connection).map(|point| point.info.name.as_str()).collect(),
                false => Vec::new(),
            };
            let hint = bulkhead_config::nearest(&self.point, &known).map(|near| format!("; did you mean `{near}`?"));
            let expected = format!(
                "a point of the connection `{}`{} (`create=<kind>`, on the command line `--create <kind>`, makes those that are \
                 missing)",
                self.connection,
                hint.unwrap_or_default()
            );
            return Err(BadRow::new(self.line, self.point_column, &self.point, expected));
        };
        if !PointInfo::name_is_valid(&self.point) {
            return Err(BadRow::new(self.line, self.point_column, &self.point, "a name of a point"));
        }
        let unit = self.unit.as_ref().map(|unit| unit.to_string());
        Ok(Some(PointInfo { unit, ..PointInfo::new(self.point.as_ref(), kind) }))
    }

    /// It names a connection that is not there.
    pub(super) fn without_connection(&self) -> BadRow {
        BadRow::new(self.line, None, &self.connection, "a connection of the config, or one that has points")
    }

    /// The reading that it is, of a point that the catalogue has.
    pub(super) fn reading(&self, catalogue: &Catalogue, settings: &Settings) -> Result<Reading, BadRow> {
        let bad = |found: &str, expected: String| BadRow::new(self.line, Some(self.column), found, expected);
        let point = catalogue.by_name(&self.connection, &self.point);
        let point =
            point.ok_or_else(|| bad(&self.point, format!("a point of the connection `{}`", self.connection)))?;
        if let (Some(given), Some(unit)) = (&self.unit, &point.info.unit)
            && given.trim() != unit
        {
            return Err(bad(given, format!("the unit of the point, `{unit}`; values are not converted")));
        }
        self.of_point(point.id, point.info.kind, settings)
    }

    /// The same where the point's number and kind are known.
    pub(super) fn of_point(
        &self,
        point: bulkhead_model::PointId,
        kind: Kind,
        settings: &Settings,
    ) -> Result<Reading, BadRow> {
        let bad = |found: &str, expected: String| BadRow::new(self.line, Some(self.column), found, expected);
        let value = match &self.value {
            // Where a value can be empty, an empty cell is one, unless the status says that there is none.
            Cell::Text(text) if text.is_empty() && (!can_be_empty(kind) || self.status.is_bad()) => None,
            Cell::Text(text) => {
                Some(value_of(kind, text, settings.decimal_comma).map_err(|expected| bad(text, expected))?)
            }
            Cell::Json(json) => Some(json_value(kind, json).map_err(|expected| bad(json, expected))?),
        };
        if value.is_none() && !self.status.is_bad() {
            return Err(bad("", "a value, or a Bad status".to_owned()));
        }
        Ok(Reading { point, time: self.time, status: self.status, value })
    }
}

fn can_be_empty(kind: Kind) -> bool {
    matches!(kind, Kind::Text | Kind::Bytes)
}

/// A value of a kind from text as exports and people write it.
fn value_of(kind: Kind, text: &str, decimal_comma: bool) -> Result<Value, String> {
    let plain = text.trim();
    let number = || match decimal_comma {
        true if plain.contains('.') => None,
        true => Some(plain.replace(',', ".")),
        false => Some(plain.to_owned()),
    };
    let parse = |text: Option<String>| {
        let hint =
            if !decimal_comma && plain.contains(',') { "; is the decimal sign a comma (decimal=comma)?" } else { "" };
        let hint = if decimal_comma && plain.contains('.') { " with a decimal comma" } else { hint };
        let parsed = text.and_then(|text| Value::parse(kind, &text).ok());
        parsed.ok_or_else(|| format!("{}{hint}", expected_of(kind)))
    };
    match kind {
        Kind::Text => Ok(Value::Text(text.to_owned())),
        Kind::Real => match plain {
            "NaN" => Ok(Value::Real(f64::NAN)),
            "INF" => Ok(Value::Real(f64::INFINITY)),
            "-INF" => Ok(Value::Real(f64::NEG_INFINITY)),
            _ => parse(number()),
        },
        Kind::Decimal => parse(number()),
        Kind::Boolean => parse(Some(plain.to_lowercase())),
        Kind::Time => {
            let moment = moment::parse(plain).filter(|_| plain.parse::<i64>().is_err());
            moment.map(|moment| Value::Time(moment.0)).ok_or_else(|| expected_of(kind).to_owned())
        }
        Kind::Duration => {
            moment::parse_duration(plain).map(Value::Duration).ok_or_else(|| expected_of(kind).to_owned())
        }
        Kind::Integer | Kind::Bytes | Kind::File => parse(Some(plain.to_owned())),
    }
}

fn json_value(kind: Kind, json: &str) -> Result<Value, String> {
    let expected = || expected_of(kind).to_owned();
    if kind == Kind::File {
        return file_of(json).ok_or_else(expected);
    }
    // Digits stay digits: a detour over a floating-point number would change them.
    let is_scalar = !json.starts_with(['{', '[']) && kind != Kind::Text;
    if is_scalar { value_of(kind, json, false) } else { Err(expected()) }
}

/// A file as this API shows it.
fn file_of(json: &str) -> Option<Value> {
    let json: serde_json::Value = serde_json::from_str(json).ok()?;
    let text = |name: &str| json[name].as_str().map(str::to_owned);
    let data = base64::engine::general_purpose::STANDARD.decode(json["data"].as_str()?).ok()?;
    Some(Value::File(Box::new(File { name: text("name")?, media_type: text("media_type")?, data })))
}

fn expected_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Boolean => "true, false, on, off, 1 or 0",
        Kind::Integer => "a whole number",
        Kind::Real => "a number",
        Kind::Decimal => "a decimal number such as -12.50",
        Kind::Text => "a text",
        Kind::Time => "a time such as 2026-01-31T08:30:00Z",
        Kind::Duration => "a duration such as PT1.5S",
        Kind::Bytes => "an even number of hexadecimal digits",
        Kind::File => "a file as the JSON of this API shows it; CSV cannot hold one",
    }
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
