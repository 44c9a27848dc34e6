//! What the fuzz target of imports calls: the way from bytes to drafts of readings, without a log.

use super::columns::{Columns, delimiter_of};
use super::records::{Record, Splitter};
use super::rows::{BadRow, members, of_csv, of_json};
use super::settings::Settings;

/// What the rows of a file are, as text, however it is cut into pieces: drafts of readings, or why they are none. None: the
/// header is not understood, or a row has no end.
#[must_use]
pub fn import_rows(is_csv: bool, query: &str, pieces: &[&[u8]]) -> Option<Vec<String>> {
    let settings = Settings::of(if is_csv { "text/csv" } else { "application/x-ndjson" }, Some(query)).ok()?;
    let beginning: Vec<u8> = pieces.concat();
    let mut splitter = if is_csv { Splitter::csv(delimiter_of(&beginning)) } else { Splitter::lines() };
    let mut records = Vec::new();
    pieces.iter().try_for_each(|piece| splitter.push(piece, &mut records)).ok()?;
    splitter.finish(&mut records).ok()?;
    let header = records.first().filter(|_| is_csv);
    let names = |record: &Record| {
        record.cells.iter().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect::<Vec<String>>()
    };
    let columns = match header {
        Some(header) => Some(Columns::of(&names(header), &settings).ok()?),
        None => None,
    };
    let told = records.iter().skip(usize::from(is_csv)).map(|record| match &columns {
        Some(columns) => shown(of_csv(record, columns, &settings)),
        None => match members(record) {
            Err(bad) => format!("{bad:?}"),
            Ok(members) => {
                let names: Vec<String> = members.iter().map(|(name, _)| name.to_string()).collect();
                match Columns::of(&names, &settings) {
                    Ok(columns) => shown(of_json(record.line, &members, &columns, &settings)),
                    Err(reason) => reason,
                }
            }
        },
    });
    Some(told.collect())
}

fn shown(outcome: Result<impl std::fmt::Debug, BadRow>) -> String {
    format!("{outcome:?}")
}
