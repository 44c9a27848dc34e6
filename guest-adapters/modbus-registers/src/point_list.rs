//! Points from a CSV list, as spreadsheets write it.

use crate::settings::{Limits, PointSettings, Writable};
use bulkhead_sdk::Fault;
use serde::de::value::{Error as NameError, StrDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer};
use std::fmt::Display;
use std::str::FromStr;

/// The columns a list may have; the first two and, but for reference numbers, the third are needed.
const COLUMNS: [&str; 16] = [
    "name",
    "address",
    "table",
    "type",
    "word_order",
    "bit",
    "length",
    "encoding",
    "scale",
    "offset",
    "unit",
    "group",
    "writable",
    "min",
    "max",
    "description",
];

/// The points of a list.
///
/// # Errors
/// `bad-settings`, naming line and column.
pub fn parse(text: &str) -> Result<Vec<PointSettings>, Fault> {
    let text = text.trim_start_matches('\u{FEFF}');
    let delimiter = delimiter(text);
    let mut reader =
        csv::ReaderBuilder::new().delimiter(delimiter).trim(csv::Trim::All).flexible(true).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| wrong(format!("the header row: {error}")))?.clone();
    let columns = columns(&header)?;
    let mut points = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| wrong(error.to_string()))?;
        let line = record.position().map_or(0, csv::Position::line);
        if record.iter().all(str::is_empty) {
            continue;
        }
        if record.len() > columns.len() {
            return Err(wrong(format!("line {line}: {} cells, but {} columns", record.len(), columns.len())));
        }
        let row = Row { cells: &record, columns: &columns, line, decimal_comma: delimiter == b';' };
        points.push(row.point()?);
    }
    Ok(points)
}

/// A semicolon where the header row has one, else a comma.
fn delimiter(text: &str) -> u8 {
    let header = text.lines().next().unwrap_or_default();
    if header.contains(';') { b';' } else { b',' }
}

/// Each cell's column, by its place in [`COLUMNS`].
fn columns(header: &csv::StringRecord) -> Result<Vec<usize>, Fault> {
    let mut columns = Vec::with_capacity(header.len());
    for (at, name) in header.iter().enumerate() {
        let name = name.to_lowercase();
        let column = COLUMNS.iter().position(|known| *known == name).ok_or_else(|| {
            wrong(format!("line 1, column {}: `{name}` is no column; expected {}", at + 1, COLUMNS.join(", ")))
        })?;
        if columns.contains(&column) {
            return Err(wrong(format!("line 1, column {}: `{name}` is there twice", at + 1)));
        }
        columns.push(column);
    }
    Ok(columns)
}

fn wrong(message: String) -> Fault {
    Fault::reconfigure("bad-settings", format!("points_csv: {message}"))
}

struct Row<'a> {
    cells: &'a csv::StringRecord,
    columns: &'a [usize],
    line: u64,
    decimal_comma: bool,
}

impl Row<'_> {
    fn point(&self) -> Result<PointSettings, Fault> {
        Ok(PointSettings {
            name: self.text("name").ok_or_else(|| self.missing("name"))?,
            address: self.whole("address")?.ok_or_else(|| self.missing("address"))?,
            table: self.word("table")?,
            value_type: self.word("type")?,
            word_order: self.word("word_order")?,
            bit: self.whole("bit")?,
            length: self.whole("length")?,
            encoding: self.word("encoding")?,
            scale: self.number("scale")?,
            offset: self.number("offset")?,
            unit: self.text("unit"),
            group: self.text("group"),
            writable: self.writable()?,
            description: self.text("description"),
        })
    }

    fn cell(&self, column: &str) -> Option<&str> {
        let at = self.columns.iter().position(|at| COLUMNS[*at] == column)?;
        self.cells.get(at).filter(|cell| !cell.is_empty())
    }

    fn wrong(&self, column: &str, message: impl Display) -> Fault {
        wrong(format!("line {}, column `{column}`: {message}", self.line))
    }

    fn missing(&self, column: &str) -> Fault {
        self.wrong(column, "is empty, and every point needs it")
    }

    fn text(&self, column: &str) -> Option<String> {
        self.cell(column).map(str::to_owned)
    }

    fn whole<T: FromStr>(&self, column: &str) -> Result<Option<T>, Fault> {
        let parse =
            |cell: &str| cell.parse().map_err(|_| self.wrong(column, format!("`{cell}` is no whole number that fits")));
        self.cell(column).map(parse).transpose()
    }

    fn number(&self, column: &str) -> Result<Option<f64>, Fault> {
        let Some(cell) = self.cell(column) else { return Ok(None) };
        let point = if self.decimal_comma { cell.replacen(',', ".", 1) } else { cell.to_owned() };
        match point.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Some(number)),
            _ => Err(self.wrong(column, format!("`{cell}` is no number"))),
        }
    }

    /// One of the words of an enumerated setting, as in the config; the error lists them.
    fn word<T: DeserializeOwned>(&self, column: &str) -> Result<Option<T>, Fault> {
        let parse = |cell: &str| {
            let deserializer: StrDeserializer<'_, NameError> = cell.into_deserializer();
            T::deserialize(deserializer).map_err(|error| self.wrong(column, error))
        };
        self.cell(column).map(parse).transpose()
    }

    fn writable(&self) -> Result<Writable, Fault> {
        let limits = Limits { min: self.number("min")?, max: self.number("max")? };
        let flag = match self.cell("writable").map(str::to_lowercase).as_deref() {
            None => None,
            Some("true" | "yes" | "1") => Some(true),
            Some("false" | "no" | "0") => Some(false),
            Some(other) => return Err(self.wrong("writable", format!("`{other}` is neither true nor false"))),
        };
        match (flag, limits == Limits::default()) {
            (Some(false) | None, true) => Ok(Writable::Flag(false)),
            (Some(false), false) => Err(self.wrong("writable", "is false, but `min` or `max` is given")),
            (Some(true), true) => Ok(Writable::Flag(true)),
            (Some(true) | None, false) => Ok(Writable::Limits(limits)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{TableName, ValueType, WordOrder};

    #[test]
    fn commas_with_quotes_and_semicolons_with_decimal_commas_say_the_same() {
        let commas = "name,table,address,type,scale,word_order,unit,writable,min,max,description\n\
                      level,holding-register,100,u32,0.1,CDAB,%,true,0,100,\"tank, \"\"left\"\"\"\n";
        let semicolons = "\u{FEFF}Name;Table;Address;Type;Scale;Word_Order;Unit;Writable;Min;Max;Description\r\n\
                          level;holding-register;100;u32;0,1;CDAB;%;yes;0;100;\"tank, \"\"left\"\"\"\r\n\r\n";
        let points = parse(commas).unwrap();
        assert_eq!(points, parse(semicolons).unwrap());
        let point = &points[0];
        assert_eq!((point.table, point.address), (Some(TableName::HoldingRegister), 100));
        assert_eq!((point.value_type, point.scale), (Some(ValueType::U32), Some(0.1)));
        assert_eq!(point.word_order, Some(WordOrder::Cdab));
        assert_eq!(point.writable, Writable::Limits(Limits { min: Some(0.0), max: Some(100.0) }));
        assert_eq!(point.description.as_deref(), Some("tank, \"left\""));
    }

    #[test]
    fn errors_name_line_and_column() {
        for (text, expected) in [
            ("name,adress\n", "line 1, column 2: `adress` is no column"),
            ("name,name\n", "line 1, column 2: `name` is there twice"),
            ("name,address\na,1\nb,x\n", "line 3, column `address`: `x` is no whole number"),
            ("name,address\n,1\n", "line 2, column `name`: is empty"),
            ("name,address,type\na,1,u61\n", "line 2, column `type`: unknown variant `u61`, expected one of"),
            ("name,address,scale\na,1,\"0,1\"\n", "line 2, column `scale`: `0,1` is no number"),
            ("name;address;writable\na;1;maybe\n", "line 2, column `writable`: `maybe` is neither"),
            ("name;address;writable;max\na;1;no;3\n", "line 2, column `writable`: is false, but"),
            ("name,address\na,1,2\n", "line 2: 3 cells, but 2 columns"),
        ] {
            let fault = parse(text).unwrap_err();
            assert_eq!(fault.code, "bad-settings");
            assert!(fault.message.contains(expected), "{} ≠ {expected}", fault.message);
        }
    }
}
