//! A file of history, CSV or NDJSON: however it is cut on its way its rows are the same, readings or reasons.
#![no_main]

use bulkhead_api::fuzzing::import_rows;
use libfuzzer_sys::fuzz_target;

const QUERY: &str = "connection=b&point=p&decimal=comma&zone=UTC";

fuzz_target!(|data: &[u8]| {
    let Some((&first, file)) = data.split_first() else { return };
    let (is_csv, size) = (first & 1 == 0, usize::from(first / 2).max(1));
    let cut: Vec<&[u8]> = file.chunks(size).collect();
    assert_eq!(import_rows(is_csv, QUERY, &cut), import_rows(is_csv, QUERY, &[file]));
});
