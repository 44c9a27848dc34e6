//! SQLite's table pages of any size, read without SQLite: the records of a leaf page, as far as they can be made out, overflow pages
//! included. What is found here is only a guess until a checksum of the record's own has passed.

use rusqlite::types::ValueRef;
use std::ops::RangeInclusive;

/// The first byte of a leaf page of a table.
const TABLE_LEAF: u8 = 13;
/// Bytes of the database's own header, which the first page begins with.
pub(crate) const DATABASE_HEADER_BYTES: usize = 100;
/// A record longer than this is not believed: the longest that is stored is a batch of one reading.
const RECORD_MAX_BYTES: usize = 80 * 1024 * 1024;
/// Columns of a record that are looked at.
const COLUMNS_MAX: usize = 16;

/// Where overflow pages are found.
pub(crate) trait Overflow {
    /// The page of a number in its newest version; none where there is none.
    fn page(&mut self, number: u32) -> Option<Vec<u8>>;
}

/// A record with its row's number.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) rowid: i64,
    payload: Vec<u8>,
}

impl Record {
    /// Its columns; none when its header does not fit it.
    pub(crate) fn columns(&self) -> Option<Vec<ValueRef<'_>>> {
        let (header_bytes, mut at) = varint(&self.payload, 0)?;
        let header_bytes = usize::try_from(header_bytes).ok()?;
        let mut content = header_bytes;
        let mut columns = Vec::with_capacity(COLUMNS_MAX);
        while at < header_bytes {
            let (kind, next) = varint(&self.payload, at)?;
            let (value, bytes) = column(kind, self.payload.get(content..)?)?;
            columns.push(value);
            content += bytes;
            at = next;
            if columns.len() > COLUMNS_MAX {
                return None;
            }
        }
        (content == self.payload.len() && at == header_bytes).then_some(columns)
    }
}

/// What a page has by its own table of contents.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) records: Vec<Record>,
    /// The page says to be a leaf, and every entry of its contents is a record of one of the rows asked for.
    pub(crate) is_whole: bool,
}

/// The records of a page by its own table of contents, whatever it says to be.
pub(crate) fn records(page: &[u8], is_first: bool, rows: &RangeInclusive<i64>, overflow: &mut impl Overflow) -> Found {
    let header = if is_first { DATABASE_HEADER_BYTES } else { 0 };
    let count = usize::from(u16::from_be_bytes([page[header + 3], page[header + 4]]));
    let Some(pointers) = page.get(header + 8..header + 8 + count * 2) else { return Found::default() };
    let mut found = Found { records: Vec::with_capacity(count), is_whole: page[header] == TABLE_LEAF };
    for pointer in pointers.chunks_exact(2) {
        match record(page, usize::from(u16::from_be_bytes([pointer[0], pointer[1]])), rows, overflow) {
            Some(record) => found.records.push(record),
            None => found.is_whole = false,
        }
    }
    found
}

/// The record that begins at a place of a page; none when what is there cannot be one, or not one of these rows.
pub(crate) fn record(
    page: &[u8],
    at: usize,
    rows: &RangeInclusive<i64>,
    overflow: &mut impl Overflow,
) -> Option<Record> {
    let (bytes, at) = varint(page, at)?;
    let (rowid, at) = varint(page, at)?;
    if !rows.contains(&rowid) {
        return None;
    }
    let bytes = usize::try_from(bytes).ok().filter(|bytes| (2..=RECORD_MAX_BYTES).contains(bytes))?;
    let local = local_bytes(page.len(), bytes);
    let mut payload = page.get(at..at + local)?.to_vec();
    if local < bytes {
        let next = page.get(at + local..at + local + 4)?;
        append_overflow(&mut payload, bytes, page.len(), u32::from_be_bytes(next.try_into().ok()?), overflow)?;
    }
    Some(Record { rowid, payload })
}

fn append_overflow(
    payload: &mut Vec<u8>,
    bytes: usize,
    page_bytes: usize,
    mut next: u32,
    overflow: &mut impl Overflow,
) -> Option<()> {
    // Each page adds bytes, so a chain that bites its own tail ends too.
    while payload.len() < bytes {
        let page = overflow.page(next)?;
        next = u32::from_be_bytes(page.get(..4)?.try_into().ok()?);
        let rest = (bytes - payload.len()).min(page_bytes - 4);
        payload.extend_from_slice(page.get(4..4 + rest)?);
    }
    Some(())
}

/// How many of a record's bytes stand in its leaf page.
fn local_bytes(page_bytes: usize, bytes: usize) -> usize {
    let max = page_bytes - 35;
    let min = (page_bytes - 12) * 32 / 255 - 23;
    if bytes <= max {
        return bytes;
    }
    let local = min + (bytes - min) % (page_bytes - 4);
    if local <= max { local } else { min }
}

/// A column of a kind at the beginning of some bytes, and how many of them it takes.
fn column(kind: i64, content: &[u8]) -> Option<(ValueRef<'_>, usize)> {
    let whole = |bytes: usize| -> Option<(ValueRef<'_>, usize)> {
        let content = content.get(..bytes)?;
        let sign = if content[0] & 0x80 == 0 { 0 } else { -1 };
        let number = content.iter().fold(sign, |number: i64, byte| number << 8 | i64::from(*byte));
        Some((ValueRef::Integer(number), bytes))
    };
    match kind {
        0 => Some((ValueRef::Null, 0)),
        1..=4 => whole(usize::try_from(kind).ok()?),
        5 => whole(6),
        6 => whole(8),
        7 => Some((ValueRef::Real(f64::from_be_bytes(content.get(..8)?.try_into().ok()?)), 8)),
        8 | 9 => Some((ValueRef::Integer(kind - 8), 0)),
        12.. => {
            let bytes = usize::try_from((kind - 12) / 2).ok()?;
            let content = content.get(..bytes)?;
            Some((if kind % 2 == 0 { ValueRef::Blob(content) } else { ValueRef::Text(content) }, bytes))
        }
        _ => None,
    }
}

/// A number of SQLite's varying length, and the place behind it.
fn varint(bytes: &[u8], at: usize) -> Option<(i64, usize)> {
    let mut number: u64 = 0;
    for index in 0..9 {
        let byte = *bytes.get(at + index)?;
        if index == 8 {
            number = number << 8 | u64::from(byte);
            return Some((number.cast_signed(), at + 9));
        }
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((number.cast_signed(), at + index + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;
    use rusqlite::types::Value;

    const ALL: RangeInclusive<i64> = i64::MIN..=i64::MAX;

    const PAGE_BYTES: usize = 4096;

    struct File(Vec<u8>);

    impl Overflow for File {
        fn page(&mut self, number: u32) -> Option<Vec<u8>> {
            let at = (number as usize).checked_sub(1)? * PAGE_BYTES;
            Some(self.0.get(at..at + PAGE_BYTES)?.to_vec())
        }
    }

    #[test]
    fn every_record_that_sqlite_stores_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.db");
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch("CREATE TABLE t(x INTEGER PRIMARY KEY, a, b)").unwrap();
        let mut expected: Vec<(i64, Value, Value)> = Vec::new();
        let numbers = [0, 1, -1, 127, -128, 40_000, -8_000_000, 1 << 30, -(1 << 40), i64::MAX, i64::MIN];
        expected.extend(numbers.map(|number| (number, Value::Integer(number), Value::Null)));
        expected.extend([100, 489, 4061, 4062, 4096, 5000, 9000, 1_000_000].map(|length| {
            let blob = (0..length).map(|index| u8::try_from(index % 251).unwrap()).collect();
            (500 + length, Value::Blob(blob), Value::Real(0.1))
        }));
        expected.push((3, Value::Text("мера".into()), Value::Text(String::new())));
        for (x, a, b) in &expected {
            connection.execute("INSERT INTO t VALUES (?1, ?2, ?3)", (x, a, b)).unwrap();
        }
        drop(connection);
        let mut file = File(std::fs::read(&path).unwrap());
        let pages: Vec<Vec<u8>> = file.0.chunks(PAGE_BYTES).map(<[u8]>::to_vec).collect();
        let mut found: Vec<(i64, Value, Value)> = Vec::new();
        for page in &pages[1..] {
            for record in records(page, false, &ALL, &mut file).records {
                if let Some([ValueRef::Null, a, b]) = record.columns().as_deref() {
                    found.push((record.rowid, Value::try_from(*a).unwrap(), Value::try_from(*b).unwrap()));
                }
            }
        }
        found.sort_by_key(|row| row.0);
        expected.sort_by_key(|row| row.0);
        assert_eq!(found, expected);
    }

    #[test]
    fn garbage_is_no_record_and_no_panic() {
        let mut file = File(Vec::new());
        let mut state = 1_u32;
        let mut page = vec![0; PAGE_BYTES];
        for _ in 0..50 {
            for byte in &mut page {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *byte = state.to_be_bytes()[0];
            }
            page[0] = TABLE_LEAF;
            let _ = records(&page, false, &ALL, &mut file);
            for at in 0..PAGE_BYTES {
                let _ = record(&page, at, &ALL, &mut file).map(|record| record.columns().map(|columns| columns.len()));
            }
        }
    }
}
