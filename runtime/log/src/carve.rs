//! Finding the records of a damaged segment in its pages, whatever has become of the structure that leads to them: each
//! page of the database and of the finished commits in its WAL is looked through. What is found counts only where a
//! checksum of its own holds: a row's in an open segment, a slice's or a block's in a sealed one.

use crate::LogError;
use crate::files::{io_error, with_suffix};
use crate::page::{Overflow, Record, record, records};
use crate::row_sum::row_sum;
use crate::sqlite::{PAGE_BYTES, SEALED_PAGE_BYTES};
use crate::wal::Wal;
use rusqlite::types::ValueRef;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::RangeInclusive;
use std::path::Path;

/// A row that passed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CarvedRow<'a> {
    pub(crate) seq: i64,
    pub(crate) point: u32,
    pub(crate) time: i64,
    pub(crate) status: u32,
    pub(crate) value: ValueRef<'a>,
    pub(crate) sum: i32,
}

/// Hands over every row of an open segment that passes and has a seq of the range; in no order, and some more than once: a
/// page stands in the WAL as often as it was changed.
pub(crate) fn carve_rows(
    path: &Path,
    seqs: &RangeInclusive<i64>,
    mut each: impl FnMut(CarvedRow<'_>) -> Result<(), LogError>,
) -> Result<(), LogError> {
    let mut pages = Pages::open(path, PAGE_BYTES).map_err(io_error("salvage", path))?;
    let mut page = pages.blank();
    for place in pages.places() {
        if !pages.read(place, &mut page) {
            continue;
        }
        let found = records(&page, place == Place::Database(0), seqs, &mut pages);
        let mut is_whole = found.is_whole;
        for found in &found.records {
            match passed(found) {
                Some(row) => each(row)?,
                None => is_whole = false,
            }
        }
        if is_whole {
            continue;
        }
        // Its table of contents, or something it leads to, does not hold: every place is tried.
        for at in 0..page.len() {
            if let Some(found) = record(&page, at, seqs, &mut pages)
                && let Some(row) = passed(&found)
            {
                each(row)?;
            }
        }
    }
    Ok(())
}

/// Hands over every record of a sealed segment that its pages' tables of contents name.
pub(crate) fn carve_records(
    path: &Path,
    mut each: impl FnMut(&Record) -> Result<(), LogError>,
) -> Result<(), LogError> {
    let mut pages = Pages::open(path, SEALED_PAGE_BYTES).map_err(io_error("salvage", path))?;
    let mut page = pages.blank();
    for place in pages.places() {
        if pages.read(place, &mut page) {
            let found = records(&page, place == Place::Database(0), &(0..=i64::MAX), &mut pages);
            found.records.iter().try_for_each(&mut each)?;
        }
    }
    Ok(())
}

/// The row of a record, if its checksum holds.
fn passed(record: &Record) -> Option<CarvedRow<'_>> {
    let columns = record.columns()?;
    let &[ValueRef::Null, point, time, status, value, sum] = columns.as_slice() else { return None };
    let row = CarvedRow {
        seq: record.rowid,
        point: u32::try_from(point.as_i64().ok()?).ok()?,
        time: time.as_i64().ok()?,
        status: u32::try_from(status.as_i64().ok()?).ok()?,
        value,
        sum: i32::try_from(sum.as_i64().ok()?).ok()?,
    };
    (row_sum(row.seq, row.point, row.time, row.status, row.value) == row.sum).then_some(row)
}

/// Where a page is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// In the database, counted from 0.
    Database(u64),
    /// In the WAL, at a byte.
    Wal(u64),
}

/// The pages of a database and of its WAL.
struct Pages {
    page_bytes: u32,
    database: Option<File>,
    database_pages: u64,
    wal: Option<File>,
    frames: Vec<u64>,
    /// The newest version of each page that is in the WAL.
    newest: HashMap<u32, u64>,
}

impl Pages {
    fn open(path: &Path, page_bytes: u32) -> io::Result<Self> {
        let wal_path = with_suffix(path, "-wal");
        let database = open_if_there(path)?;
        let bytes = database.as_ref().map_or(Ok(0), |file| file.metadata().map(|metadata| metadata.len()))?;
        let found = Wal::read(&wal_path)?;
        let frames = found.committed();
        Ok(Self {
            page_bytes,
            database,
            database_pages: bytes.div_ceil(u64::from(page_bytes)),
            wal: open_if_there(&wal_path)?,
            frames: frames.iter().map(|frame| frame.at).collect(),
            newest: frames.iter().map(|frame| (frame.page, frame.at)).collect(),
        })
    }

    fn blank(&self) -> Vec<u8> {
        vec![0; self.page_bytes as usize]
    }

    fn places(&self) -> Vec<Place> {
        (0..self.database_pages).map(Place::Database).chain(self.frames.iter().copied().map(Place::Wal)).collect()
    }

    /// Reads a page; false when the medium does not give it.
    fn read(&self, place: Place, page: &mut [u8]) -> bool {
        match place {
            Place::Database(index) => read_at(self.database.as_ref(), index * u64::from(self.page_bytes), page),
            Place::Wal(at) => read_at(self.wal.as_ref(), at, page),
        }
    }
}

impl Overflow for Pages {
    fn page(&mut self, number: u32) -> Option<Vec<u8>> {
        let place = match self.newest.get(&number) {
            Some(at) => Place::Wal(*at),
            None => Place::Database(u64::from(number.checked_sub(1)?)),
        };
        let mut page = self.blank();
        self.read(place, &mut page).then_some(page)
    }
}

/// Fills a page from a place of a file; what the file has no longer is zeros. False when there is nothing at all.
fn read_at(file: Option<&File>, at: u64, page: &mut [u8]) -> bool {
    let Some(mut file) = file else { return false };
    page.fill(0);
    let mut filled = 0;
    if file.seek(SeekFrom::Start(at)).is_err() {
        return false;
    }
    while filled < page.len() {
        match file.read(&mut page[filled..]) {
            Ok(0) => break,
            Ok(bytes) => filled += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
    filled > 0
}

fn open_if_there(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
