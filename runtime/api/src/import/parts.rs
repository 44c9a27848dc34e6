//! A file on its way into the log: taken apart on a thread of its own, appended part by part, each part with a mark before it
//! that says how far the import has come ([`bulkhead_log::ImportMark`]).

use super::bounds::{BAD_ROWS_MAX, HINTS_MAX, PART_BYTES, PART_READINGS, REST_MAX, ROW_MAX_BYTES};
use super::columns::{Columns, delimiter_of};
use super::records::{Endless, Record, Splitter};
use super::rows::{BadRow, Draft, members, of_csv, of_json};
use super::settings::{Format, Settings};
use crate::problem::Problem;
use axum::http::StatusCode;
use bulkhead_config::Config;
use bulkhead_log::{Catalogue, ImportMark, ImportPart, Log, LogError, WhenFull};
use bulkhead_model::{PointId, Reading, Seq, Timestamp, Value};
use bulkhead_sandbox::capability::Clock;
use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

/// What this request has done.
#[derive(Clone, Debug, Default)]
pub(super) struct Done {
    /// Readings appended, or in a trial those that would be.
    pub(super) readings: u64,
    /// Readings that are in the log though the mark that said so was lost.
    pub(super) forgotten: u64,
    /// Bad rows; the first of them one by one.
    pub(super) bad: u64,
    pub(super) bad_rows: Vec<BadRow>,
    /// Least and greatest time of the readings.
    pub(super) times: Option<(Timestamp, Timestamp)>,
}

/// An import at work.
pub(super) struct Intake<C> {
    pub(super) log: Log,
    pub(super) config: Arc<Config>,
    pub(super) clock: C,
    pub(super) settings: Settings,
    pub(super) mark: ImportMark,
    pub(super) done: Done,
    reader: Option<Reader>,
    /// Whether the file has been seen to be the one that the mark is of.
    is_known: bool,
    /// Of the bytes up to the last record's end.
    hash: Sha256,
    /// The bytes behind, and how many of them have been hashed since.
    tail: Vec<u8>,
    tail_hashed: usize,
    /// The last record's end, and its line.
    at: (u64, u64),
    aside: u64,
    gathered: Vec<Reading>,
    gathered_bytes: usize,
    catalogue: Arc<Catalogue>,
    /// The last seq of rows that are in the log though the mark that said so was lost: what follows is behind it.
    forgotten_to: Seq,
    begun_ns: u64,
}

/// How a file is taken apart.
struct Reader {
    splitter: Splitter,
    /// Of CSV once its header has come; of NDJSON those of the last line.
    columns: Option<Columns>,
}

fn conflict(detail: &str) -> Problem {
    Problem::new(StatusCode::CONFLICT, "other-file", detail)
}

fn refused(bad: &BadRow) -> Problem {
    let place = bad.column.as_ref().map(|column| format!(", column `{column}`")).unwrap_or_default();
    let detail = format!("line {}{place}: expected {}, found `{}`", bad.line, bad.expected, bad.found);
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad-row", detail).with("bad_rows", json!([bad]))
}

fn endless(endless: &Endless) -> BadRow {
    let expected = format!("the row's end within {ROW_MAX_BYTES} bytes and 4,096 cells; is a quote missing?");
    BadRow::new(endless.line, None, "", expected)
}

impl<C: Clock> Intake<C> {
    /// Goes on behind a mark.
    pub(super) fn new(log: Log, config: Arc<Config>, clock: C, settings: Settings, mark: ImportMark) -> Self {
        let hash = Sha256::new().chain_update((settings.fingerprint.len() as u64).to_le_bytes());
        let hash = hash.chain_update(&settings.fingerprint);
        let begun_ns = clock.monotonic_ns();
        let catalogue = log.catalogue();
        Self {
            log,
            config,
            clock,
            settings,
            is_known: mark.bytes == 0,
            forgotten_to: mark.last,
            mark,
            done: Done::default(),
            reader: None,
            hash,
            tail: Vec::new(),
            tail_hashed: 0,
            at: (0, 0),
            aside: 0,
            gathered: Vec::new(),
            gathered_bytes: 0,
            catalogue,
            begun_ns,
        }
    }

    /// Takes the next piece of the file. Blocks.
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<(), Problem> {
        self.tail.extend_from_slice(piece);
        let mut records = Vec::new();
        let split = match &mut self.reader {
            Some(reader) => reader.splitter.push(piece, &mut records),
            None if has_a_line(&self.tail) => self.begin(&mut records),
            None => return Ok(()),
        };
        self.take(&records, split)?;
        // Nothing but empty lines.
        let is_endless = self.tail.len() > 2 * ROW_MAX_BYTES;
        if is_endless { Err(refused(&endless(&Endless { line: self.at.1 + 1 }))) } else { Ok(()) }
    }

    /// Begins with what has come, whose first line says what separates cells.
    fn begin(&mut self, records: &mut Vec<Record>) -> Result<(), Endless> {
        let reader = self.reader.insert(Reader::new(self.settings.format, first_line(&self.tail)));
        reader.splitter.push(&self.tail, records)
    }

    /// The file has ended, or has broken off. Blocks.
    pub(super) fn finish(&mut self, is_whole: bool) -> Result<(), Problem> {
        if is_whole {
            let mut records = Vec::new();
            let begun = if self.reader.is_none() { self.begin(&mut records) } else { Ok(()) };
            let split = match &mut self.reader {
                Some(reader) => begun.and_then(|()| reader.splitter.finish(&mut records)),
                None => begun,
            };
            self.take(&records, split)?;
        }
        if !self.is_known {
            let shorter = conflict(
                "the file ends before what has been imported of it; rows that were set aside come in by a file of their own",
            );
            return if is_whole { Err(shorter) } else { Ok(()) };
        }
        if is_whole || self.mark.next.is_none() {
            self.append()?;
        }
        self.mark.done = is_whole;
        self.keep()
    }

    /// Something went wrong: what was appended counts, what was only gathered does not.
    pub(super) fn give_up(&mut self) {
        if self.keep().is_err() {
            tracing::warn!(import = self.mark.id, "how far it has come could not be kept");
        }
    }

    fn take(&mut self, records: &[Record], split: Result<(), Endless>) -> Result<(), Problem> {
        records.iter().try_for_each(|record| self.record(record))?;
        self.tail.drain(..std::mem::take(&mut self.tail_hashed));
        split.map_err(|error| refused(&endless(&error)))
    }

    fn record(&mut self, record: &Record) -> Result<(), Problem> {
        if !self.is_known {
            return self.pass_over(record);
        }
        match self.readings(record) {
            Ok(readings) => self.gather(readings),
            Err(Bad::Row(bad)) => self.set_aside(bad)?,
            Err(Bad::Problem(problem)) => return Err(*problem),
        }
        self.hash_to(record);
        let is_due = match &self.mark.next {
            // It is made again as it was, to see whether it is there.
            Some(part) if record.end > part.bytes => return Err(conflict(PERHAPS)),
            Some(part) => record.end == part.bytes,
            None => self.gathered.len() >= PART_READINGS || self.gathered_bytes >= PART_BYTES,
        };
        if is_due { self.append() } else { Ok(()) }
    }

    /// A record that has been dealt with before, if this is the same file.
    fn pass_over(&mut self, record: &Record) -> Result<(), Problem> {
        let is_header = self.reader.as_ref().is_some_and(|reader| reader.columns.is_none());
        if is_header && self.settings.format != Format::Ndjson {
            match self.readings(record) {
                Err(Bad::Problem(problem)) => return Err(*problem),
                Err(Bad::Row(bad)) => return Err(refused(&bad)),
                Ok(_) => {}
            }
        }
        self.hash_to(record);
        self.is_known = record.end == self.mark.bytes && self.digest() == self.mark.digest;
        if record.end >= self.mark.bytes && !self.is_known {
            let detail = "this is not the file that the import began with, or its settings are others; under another \
                          `id` (`--id`) all its rows are imported, beside those that are in the log (but where `state.db` was \
                          lost once not those that have been there since before, just as they are in the file)";
            return Err(conflict(detail));
        }
        Ok(())
    }

    /// What a record says: of a header, nothing.
    fn readings(&mut self, record: &Record) -> Result<Vec<Reading>, Bad> {
        let Some(reader) = &mut self.reader else { return Ok(Vec::new()) };
        let with_hint = self.done.bad < HINTS_MAX;
        let known = Resolving { log: &self.log, config: &self.config, settings: &self.settings, with_hint };
        if self.settings.format == Format::Ndjson {
            let members = members(record)?;
            let names: Vec<String> = members.iter().map(|(name, _)| name.to_string()).collect();
            let is_same = |known: &Columns| known.0.iter().map(|(name, _)| name).eq(&names);
            if !reader.columns.as_ref().is_some_and(is_same) {
                let bad = |expected| BadRow::new(record.line, None, &names.join(", "), expected);
                reader.columns = Some(Columns::of(&names, &self.settings).map_err(bad)?);
            }
            let Some(columns) = &reader.columns else { return Ok(Vec::new()) };
            let drafts = of_json(record.line, &members, columns, &self.settings)?;
            return known.readings(&drafts, &mut self.catalogue);
        }
        let Some(columns) = &reader.columns else {
            let header = record.cells.iter().map(|cell| name_of(cell)).collect::<Result<Vec<String>, String>>();
            let columns = header.and_then(|header| Columns::of(&header, &self.settings)).map_err(|detail| {
                let detail = format!("line {}: {detail}", record.line);
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad-header", detail)
            })?;
            reader.columns = Some(columns);
            return Ok(Vec::new());
        };
        known.readings(&of_csv(record, columns, &self.settings)?, &mut self.catalogue)
    }

    fn gather(&mut self, readings: Vec<Reading>) {
        for reading in &readings {
            self.gathered_bytes += reading.value.as_ref().map_or(0, heap_bytes);
            let (least, most) = self.done.times.unwrap_or((reading.time, reading.time));
            self.done.times = Some((least.min(reading.time), most.max(reading.time)));
        }
        self.gathered.extend(readings);
    }

    fn set_aside(&mut self, bad: BadRow) -> Result<(), Problem> {
        let is_told = self.settings.set_aside || self.settings.dry_run;
        if !is_told {
            return Err(refused(&bad));
        }
        if self.done.bad_rows.len() >= BAD_ROWS_MAX && !self.settings.dry_run {
            let detail = format!(
                "line {}: more than {BAD_ROWS_MAX} bad rows: something is wrong with the file or with what was said about it",
                bad.line
            );
            let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "too-many-bad-rows", detail);
            return Err(problem.with("bad_rows", json!(self.done.bad_rows)));
        }
        self.done.bad += 1;
        self.aside += 1;
        if self.done.bad_rows.len() < BAD_ROWS_MAX {
            self.done.bad_rows.push(bad);
        }
        Ok(())
    }

    /// Appends what was gathered. Blocks for the commit, and then as long again.
    fn append(&mut self) -> Result<(), Problem> {
        let readings = std::mem::take(&mut self.gathered);
        self.gathered_bytes = 0;
        let count = readings.len() as u64;
        let forgotten = self.log.find_forgotten(&readings, self.forgotten_to)?;
        self.forgotten_to = forgotten.last;
        let rest = forgotten.others(&readings);
        let added = rest.len() as u64;
        self.done.forgotten += count - added;
        if self.settings.dry_run {
            self.done.readings += added;
            self.rest();
            return Ok(());
        }
        let digest = self.digest();
        let of_part = digest_of(&digest, &readings);
        let known = match &self.mark.next {
            Some(part) if part.bytes == self.at.0 && part.digest == of_part => {
                self.log.find_appended(&rest, part.behind)?.map(|first| first + added.saturating_sub(1))
            }
            Some(_) => return Err(conflict(PERHAPS)),
            None => None,
        };
        let last = match known {
            Some(last) => last,
            None if rest.is_empty() => forgotten.last,
            None => {
                let behind = *self.log.committed().borrow();
                self.mark.next = Some(ImportPart { bytes: self.at.0, digest: of_part, behind });
                self.keep()?;
                let appender = self.log.appender(WhenFull::Refuse);
                let appending =
                    async { appender.submit(rest).await.map_err(|refused| refused.error)?.committed().await };
                let committed = Handle::current().block_on(appending).map_err(not_taken)?;
                self.done.readings += added;
                committed.last
            }
        };
        self.mark.next = None;
        (self.mark.bytes, self.mark.lines) = self.at;
        self.mark.rows += count;
        self.mark.aside += std::mem::take(&mut self.aside);
        self.mark.digest = digest;
        self.mark.last = self.mark.last.max(last);
        // At once: until then a change of the points makes a part that cannot be known again.
        self.keep()?;
        self.rest();
        Ok(())
    }

    /// Devices come first: half of the time is theirs.
    fn rest(&mut self) {
        let took = Duration::from_nanos(self.clock.monotonic_ns().saturating_sub(self.begun_ns));
        Handle::current().block_on(tokio::time::sleep(took.min(REST_MAX)));
        self.begun_ns = self.clock.monotonic_ns();
    }

    fn keep(&mut self) -> Result<(), Problem> {
        if self.settings.dry_run {
            return Ok(());
        }
        self.mark.time = self.clock.now();
        Ok(self.log.set_import_mark(&self.mark)?)
    }

    /// Counts a record among those that are dealt with.
    fn hash_to(&mut self, record: &Record) {
        let bytes = usize::try_from(record.end - self.at.0).unwrap_or(usize::MAX);
        let end = self.tail_hashed.saturating_add(bytes).min(self.tail.len());
        self.hash.update(&self.tail[self.tail_hashed..end]);
        self.tail_hashed = end;
        self.at = (record.end, record.line);
    }

    fn digest(&self) -> Vec<u8> {
        self.hash.clone().finalize().to_vec()
    }
}

const PERHAPS: &str = "a part of this import may be in the log already, and to see whether it is the file is needed as it \
                       was, with the same settings";

/// Why a record is not taken.
enum Bad {
    Row(BadRow),
    /// Nothing can be taken.
    Problem(Box<Problem>),
}

impl From<BadRow> for Bad {
    fn from(bad: BadRow) -> Self {
        Self::Row(bad)
    }
}

impl From<Problem> for Bad {
    fn from(problem: Problem) -> Self {
        Self::Problem(Box::new(problem))
    }
}

impl Reader {
    fn new(format: Format, beginning: &[u8]) -> Self {
        let splitter = match format {
            Format::Csv(delimiter) => Splitter::csv(delimiter.unwrap_or_else(|| delimiter_of(beginning))),
            Format::Ndjson => Splitter::lines(),
        };
        Self { splitter, columns: None }
    }
}

/// What comes behind a mark of the byte order and empty lines.
fn first_line(beginning: &[u8]) -> &[u8] {
    let behind = beginning.strip_prefix("\u{feff}".as_bytes()).unwrap_or(beginning);
    let start = behind.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(behind.len());
    &behind[start..]
}

/// Whether a line that is not empty is there, or so much that none is to be waited for.
fn has_a_line(beginning: &[u8]) -> bool {
    beginning.len() > ROW_MAX_BYTES || first_line(beginning).contains(&b'\n')
}

/// A column's name; some programs begin a file with a mark of its byte order.
fn name_of(cell: &[u8]) -> Result<String, String> {
    match std::str::from_utf8(cell) {
        Ok(name) => Ok(name.trim_start_matches('\u{feff}').trim().to_owned()),
        Err(_) => Err(format!(
            "expected text in UTF-8, found the column `{}`: convert the file to it",
            String::from_utf8_lossy(cell)
        )),
    }
}

fn heap_bytes(value: &Value) -> usize {
    match value {
        Value::Decimal(text) | Value::Text(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::File(file) => file.data.len(),
        _ => 0,
    }
}

/// Whether there is such a connection, or was one, whose points are still there.
pub(super) fn is_connection(name: &str, config: &Config, catalogue: &Catalogue) -> bool {
    config.connections.contains_key(name) || catalogue.of_connection(name).next().is_some()
}

/// Of the file so far and of what its last part became: with other points the same rows are other readings.
fn digest_of(file: &[u8], readings: &[Reading]) -> Vec<u8> {
    let add = |hash: Sha256, reading: &Reading| hash.chain_update(format!("{reading:?}"));
    readings.iter().fold(Sha256::new().chain_update(file), add).finalize().to_vec()
}

/// What drafts are held against.
struct Resolving<'i> {
    log: &'i Log,
    config: &'i Config,
    settings: &'i Settings,
    /// Whether a wrong name is held against all others for a near one.
    with_hint: bool,
}

impl Resolving<'_> {
    /// The readings that drafts are, of points that are made where that was asked for.
    fn readings(&self, drafts: &[Draft<'_>], catalogue: &mut Arc<Catalogue>) -> Result<Vec<Reading>, Bad> {
        drafts.iter().map(|draft| self.reading(draft, catalogue)).collect()
    }

    fn reading(&self, draft: &Draft<'_>, catalogue: &mut Arc<Catalogue>) -> Result<Reading, Bad> {
        let settings = self.settings;
        let connection = &*draft.connection;
        if !is_connection(connection, self.config, catalogue) {
            return Err(draft.without_connection().into());
        }
        let Some(info) = draft.wanted(catalogue, settings, self.with_hint)? else {
            return Ok(draft.reading(catalogue, settings)?);
        };
        // Before a point is made for it, the row has to be good. In a trial it keeps a number that no point has.
        let good = draft.of_point(PointId(u32::MAX), info.kind, settings)?;
        if settings.dry_run {
            return Ok(good);
        }
        self.log.declare(connection, &[info]).map_err(Problem::from)?;
        *catalogue = self.log.catalogue();
        Ok(draft.reading(catalogue, settings)?)
    }
}

fn not_taken(error: LogError) -> Problem {
    if !error.is_full() {
        return error.into();
    }
    let detail = "the log has no room for it: an import drops nothing that is there; give it more room (log.max_bytes) and go on";
    Problem::new(StatusCode::INSUFFICIENT_STORAGE, "no-room", detail)
}

/// How far an import is.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Import"))]
pub(crate) struct ShownImport {
    /// Bytes of the file that are dealt with.
    bytes: u64,
    /// Its name.
    id: String,
    /// Lines of them.
    lines: u64,
    /// Readings that are in the log.
    readings: u64,
    /// Rows that were set aside.
    set_aside: u64,
    /// `running`, `broken-off` or `done`; `trial` where nothing was to be imported.
    state: &'static str,
}

/// An import for whoever asks how far it is.
pub(super) fn shown(mark: &ImportMark, state: &'static str) -> ShownImport {
    ShownImport {
        bytes: mark.bytes,
        id: mark.id.clone(),
        lines: mark.lines,
        readings: mark.rows,
        set_aside: mark.aside,
        state,
    }
}
