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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn however_a_file_is_cut_its_rows_are_the_same(
            header in prop_oneof![Just("time,value\n"), Just("time;flow;pump\r\n"), Just("")],
            rest in "([0-9]{1,4}|[,;\"{}:]|\r?\n|time|value|x){0,40}",
            size in 1_usize..20,
            is_csv in any::<bool>(),
        ) {
            let file = format!("{header}{rest}");
            let cut: Vec<&[u8]> = file.as_bytes().chunks(size).collect();
            let query = "connection=b&point=p&decimal=comma";
            prop_assert_eq!(import_rows(is_csv, query, &cut), import_rows(is_csv, query, &[file.as_bytes()]));
        }
    }
}
