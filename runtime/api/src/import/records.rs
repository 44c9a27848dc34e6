//! Cuts a file of CSV or NDJSON that comes in pieces into records: each with its line and the byte behind it. However the pieces
//! are cut, the records are the same. Pure.

use super::bounds::{COLUMNS_MAX, ROW_MAX_BYTES};
use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

/// A record of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Record {
    /// The line it begins at, from 1.
    pub(super) line: u64,
    /// The bytes of the file up to its end.
    pub(super) end: u64,
    /// Its cells; of NDJSON the one line that it is.
    pub(super) cells: Vec<Vec<u8>>,
}

/// A row that is so long, or has so many cells, that nobody knows where the next one begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Endless {
    /// The line it begins at.
    pub(super) line: u64,
}

/// The way into records.
pub(super) struct Splitter {
    kind: Kind,
    /// Bytes of the file so far.
    at: u64,
    /// How many of the last ones end lines. They belong to what follows: a file may grow behind a last line without one.
    line_end: u64,
    /// Line feeds among them.
    feeds: u64,
    /// The line that the record which is not yet whole began at.
    begun: Option<u64>,
}

enum Kind {
    Csv { reader: Box<Reader>, text: Vec<u8>, filled: usize, ends: Vec<usize>, cells: usize },
    Lines { line: Vec<u8> },
}

impl Splitter {
    /// For CSV (RFC 4180) with this delimiter.
    pub(super) fn csv(delimiter: u8) -> Self {
        let reader = Box::new(ReaderBuilder::new().delimiter(delimiter).build());
        let kind = Kind::Csv { reader, text: vec![0; 1024], filled: 0, ends: vec![0; 64], cells: 0 };
        Self { kind, at: 0, line_end: 0, feeds: 0, begun: None }
    }

    /// For a record a line.
    pub(super) fn lines() -> Self {
        Self { kind: Kind::Lines { line: Vec::new() }, at: 0, line_end: 0, feeds: 0, begun: None }
    }

    /// The next piece's records.
    pub(super) fn push(&mut self, piece: &[u8], records: &mut Vec<Record>) -> Result<(), Endless> {
        let mut rest = piece;
        while !rest.is_empty() {
            if self.begun.is_none() {
                // Empty lines are no records, and a line feed may come in another piece than its carriage return.
                if matches!(rest[0], b'\r' | b'\n') {
                    self.count(&rest[..1]);
                    rest = &rest[1..];
                    continue;
                }
                self.begun = Some(self.feeds + 1);
            }
            rest = &rest[self.read(rest, records)?..];
        }
        Ok(())
    }

    /// The record at the end of the file, if it has no line's end behind it.
    pub(super) fn finish(&mut self, records: &mut Vec<Record>) -> Result<(), Endless> {
        if self.begun.is_some() {
            self.read(&[], records)?;
        }
        Ok(())
    }

    fn count(&mut self, bytes: &[u8]) {
        self.at += bytes.len() as u64;
        let line_end = bytes.iter().rev().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        self.line_end = line_end as u64 + if line_end == bytes.len() { self.line_end } else { 0 };
        self.feeds += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
    }

    /// Reads on until a record ends or the bytes do; no bytes are the file's end. How many were taken.
    fn read(&mut self, bytes: &[u8], records: &mut Vec<Record>) -> Result<usize, Endless> {
        let line = self.begun.unwrap_or(self.feeds + 1);
        let endless = Endless { line };
        let mut taken = 0;
        let cells = match &mut self.kind {
            Kind::Lines { line } => {
                let end = bytes.iter().position(|byte| *byte == b'\n');
                taken = end.unwrap_or(bytes.len());
                line.extend_from_slice(&bytes[..taken]);
                if line.len() > ROW_MAX_BYTES {
                    return Err(endless);
                }
                let is_whole = end.is_some() || bytes.is_empty();
                is_whole.then(|| vec![std::mem::take(line).trim_ascii().to_vec()])
            }
            Kind::Csv { reader, text, filled, ends, cells } => loop {
                let (result, read, wrote, ended) =
                    reader.read_record(&bytes[taken..], &mut text[*filled..], &mut ends[*cells..]);
                (taken, *filled, *cells) = (taken + read, *filled + wrote, *cells + ended);
                match result {
                    ReadRecordResult::OutputFull if text.len() < ROW_MAX_BYTES => text.resize(text.len() * 2, 0),
                    ReadRecordResult::OutputEndsFull if ends.len() < COLUMNS_MAX => ends.resize(ends.len() * 2, 0),
                    ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => return Err(endless),
                    ReadRecordResult::InputEmpty => break None,
                    ReadRecordResult::Record | ReadRecordResult::End => {
                        let bounds = std::iter::once(0).chain(ends[..*cells].iter().copied());
                        let whole = bounds.zip(&ends[..*cells]).map(|(from, to)| text[from..*to].to_vec()).collect();
                        (*filled, *cells) = (0, 0);
                        break Some(whole);
                    }
                }
            },
        };
        self.count(&bytes[..taken]);
        if let Some(cells) = cells {
            self.begun = None;
            if cells.iter().any(|cell: &Vec<u8>| !cell.is_empty()) {
                records.push(Record { line, end: self.at - self.line_end, cells });
            }
        }
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cut(mut splitter: Splitter, pieces: &[&[u8]]) -> Result<Vec<Record>, Endless> {
        let mut records = Vec::new();
        for piece in pieces {
            splitter.push(piece, &mut records)?;
        }
        splitter.finish(&mut records)?;
        Ok(records)
    }

    fn texts(records: &[Record]) -> Vec<(u64, Vec<String>)> {
        let text = |cell: &Vec<u8>| String::from_utf8_lossy(cell).into_owned();
        records.iter().map(|record| (record.line, record.cells.iter().map(text).collect())).collect()
    }

    #[test]
    fn quotes_line_ends_and_empty_lines_are_understood() {
        let file = b"a;b\r\n\r\n1;\"x;\"\"y\"\"\nz\"\r\n\n2;\r\n3;last";
        let records = cut(Splitter::csv(b';'), &[file]).unwrap();
        let of = |line, cells: [&str; 2]| (line, cells.map(str::to_owned).to_vec());
        let expected = [of(1, ["a", "b"]), of(3, ["1", "x;\"y\"\nz"]), of(6, ["2", ""]), of(7, ["3", "last"])];
        assert_eq!(texts(&records), expected);
        assert_eq!(records[3].end, file.len() as u64);
        let lines = cut(Splitter::lines(), &[b"{\"a\":1}\r\n\n{\"a\":2}"]).unwrap();
        assert_eq!(texts(&lines), [(1, vec!["{\"a\":1}".to_owned()]), (3, vec!["{\"a\":2}".to_owned()])]);
    }

    #[test]
    fn a_quote_that_is_never_closed_ends_at_the_longest_row() {
        let file = [b"a,b\n1,\"", vec![b'x'; 2 * ROW_MAX_BYTES].as_slice()].concat();
        assert_eq!(cut(Splitter::csv(b','), &[&file]), Err(Endless { line: 2 }));
        let wide = b",".repeat(2 * COLUMNS_MAX);
        assert_eq!(cut(Splitter::csv(b','), &[&wide]), Err(Endless { line: 1 }));
        assert_eq!(cut(Splitter::lines(), &[&vec![b'x'; 2 * ROW_MAX_BYTES]]), Err(Endless { line: 1 }));
    }

    proptest! {
        #[test]
        fn however_the_pieces_are_cut_the_records_are_the_same(
            file in proptest::collection::vec(prop_oneof![Just(b'a'), Just(b','), Just(b'"'), Just(b'\r'), Just(b'\n')], 0..60),
            size in 1_usize..9,
        ) {
            for splitter in [|| Splitter::csv(b','), Splitter::lines] {
                let pieces: Vec<&[u8]> = file.chunks(size).collect();
                prop_assert_eq!(cut(splitter(), &pieces), cut(splitter(), &[&file]));
            }
        }
    }
}
