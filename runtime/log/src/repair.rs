//! What opening a log does about damage: `state.db` is rebuilt where it must be, every segment is looked at, and the newest
//! one is salvaged at once; older ones wait for the sealer's thread, so that a large log serves soon.

use crate::damage::is_damage;
use crate::examine::{Finding, is_torn_unborn, look_at_open, look_at_sealed, look_at_state, with_cause};
use crate::files::{FileEntry, FileOps, SegmentFile, remove_database};
use crate::gaps::recorded_between;
use crate::open::{Place, new_id};
use crate::rebuild::{self, Known, Rebuilt, adopt_points};
use crate::reserve::Reserve;
use crate::salvage::{Patient, Salvaged, Surgery, expel, salvage, tell, without};
use crate::segment::Segment;
use crate::state::{State, loaded_seq};
use crate::state_schema::LogRecord;
use crate::{Catalogue, Gap, GapReason, LogError};
use bulkhead_model::Seq;
use std::path::Path;
use std::sync::Arc;

/// How often a file is looked at whose medium does not give what it holds, before it counts as damaged.
const READ_TRIES_MAX: usize = 8;

/// `state.db`, open.
#[derive(Debug)]
pub(crate) struct OpenedState {
    pub(crate) state: State,
    pub(crate) record: LogRecord,
    /// How it was rebuilt, if it was.
    pub(crate) rebuilt: Option<Rebuilt>,
}

/// Opens `state.db`, makes it in an empty folder, or rebuilds it.
pub(crate) fn open_state(
    files: &Arc<dyn FileOps>,
    dir: &Path,
    found: &[(SegmentFile, FileEntry)],
    reserve: &Arc<Reserve>,
) -> Result<OpenedState, LogError> {
    let path = dir.join("state.db");
    let finished = rebuild::finish_interrupted(&**files, &path)?;
    let new_id = new_id()?;
    let why = if path.exists() {
        let look = patiently(|| look_at_state(&path, !found.is_empty()));
        // A medium that goes on not to give what it holds is damaged.
        look.or_else(|error| if is_unreadable(&error) { Ok(Some(with_cause(&error))) } else { Err(error) })?
    } else {
        (!found.is_empty()).then(|| "it is not there".to_owned())
    };
    let mut rebuilt = finished.then(|| Rebuilt { aside: None, copied: Vec::new(), cursors_lost: true });
    if let Some(why) = why {
        let sources: Vec<_> = found.iter().map(|(file, entry)| (*file, dir.join(&entry.name))).collect();
        let done = rebuild::rebuild(&**files, &path, &sources, &new_id, &Known::default())?;
        rebuild::tell(&path, &why, &done);
        rebuilt = Some(done);
    }
    let (state, record) = match open_even_on_a_full_disk(&path, &new_id, reserve) {
        Err(error) if is_damage(&error) && !matches!(error, LogError::Format { .. }) => {
            // Looked whole and is not: what is left to read decides.
            let sources: Vec<_> = found.iter().map(|(file, entry)| (*file, dir.join(&entry.name))).collect();
            let done = rebuild::rebuild(&**files, &path, &sources, &new_id, &Known::default())?;
            rebuild::tell(&path, &with_cause(&error), &done);
            rebuilt = Some(done);
            State::open(&path, &new_id, Arc::clone(reserve))?
        }
        opened => opened?,
    };
    state.mends_itself_with(&path, Arc::clone(files));
    Ok(OpenedState { state, record, rebuilt })
}

/// Opens `state.db`. Where the disk is too full for that, the reserve is given up first.
fn open_even_on_a_full_disk(path: &Path, id: &str, reserve: &Arc<Reserve>) -> Result<(State, LogRecord), LogError> {
    match State::open(path, id, Arc::clone(reserve)) {
        Err(error) if error.is_full() && reserve.release() => State::open(path, id, Arc::clone(reserve)),
        result => result,
    }
}

/// Looks again where the medium does not give what it holds: it may the next time.
fn patiently<T>(look: impl Fn() -> Result<T, LogError>) -> Result<T, LogError> {
    let mut last = look();
    for _ in 1..READ_TRIES_MAX {
        match last {
            Err(error) if is_unreadable(&error) => last = look(),
            other => return other,
        }
    }
    last
}

/// Whether an error says that the medium cannot be read.
fn is_unreadable(error: &LogError) -> bool {
    match error {
        LogError::Sqlite { source, .. } => source.sqlite_error_code() == Some(rusqlite::ErrorCode::SystemIoFailure),
        LogError::Io { action: "read", .. } => true,
        _ => false,
    }
}

/// What was found in the folder and what became of it.
#[derive(Debug, Default)]
pub(crate) struct Surveyed {
    pub(crate) segments: Vec<Arc<Segment>>,
    /// The last seq in them; 0 when there is none.
    pub(crate) last_stored: Seq,
    /// The gaps that were recorded.
    pub(crate) gaps: Vec<Gap>,
    /// A segment that was open has no rows: its making was interrupted, or they are gone.
    pub(crate) has_unborn: bool,
    /// Damaged segments, those that still wait for their salvage included.
    pub(crate) damaged: u64,
}

/// What a survey works with.
struct Survey<'a> {
    files: &'a Arc<dyn FileOps>,
    dir: &'a Path,
    state: &'a State,
    record: &'a LogRecord,
    catalogue: &'a mut Catalogue,
    found: Surveyed,
    /// Whether a segment that can be appended to, or is newer than those left to look at, has been seen.
    newest_is_known: bool,
}

/// Looks at all segments, the newest first.
pub(crate) fn survey(
    files: &Arc<dyn FileOps>,
    dir: &Path,
    found: &[(SegmentFile, FileEntry)],
    state: &State,
    record: &LogRecord,
    catalogue: &mut Catalogue,
) -> Result<Surveyed, LogError> {
    let mut newest_first: Vec<_> = found.iter().collect();
    newest_first.sort_by_key(|(file, _)| std::cmp::Reverse(file.start()));
    let mut survey =
        Survey { files, dir, state, record, catalogue, found: Surveyed::default(), newest_is_known: false };
    let mut next_start = None;
    for (file, entry) in newest_first {
        let last = next_start.map(|next: Seq| next - 1);
        match *file {
            SegmentFile::Open { start } => survey.open(start, last, entry)?,
            SegmentFile::Sealed { last, .. } => survey.sealed(*file, last, entry),
            SegmentFile::Unfinished => {}
        }
        next_start = file.start().or(next_start);
    }
    Ok(survey.found)
}

impl Survey<'_> {
    fn sealed(&mut self, file: SegmentFile, last: Seq, entry: &FileEntry) {
        self.newest_is_known = true;
        self.found.last_stored = self.found.last_stored.max(last);
        let path = self.dir.join(&entry.name);
        let Some(segment) = self.keep(file, entry) else { return };
        if let Some(what) = look_at_sealed(&path, entry.bytes) {
            self.leave_for_the_sealer(&segment, &what);
        }
    }

    fn open(&mut self, start: Seq, last: Option<Seq>, entry: &FileEntry) -> Result<(), LogError> {
        let file = SegmentFile::Open { start };
        let path = self.dir.join(&entry.name);
        let is_newest = !std::mem::replace(&mut self.newest_is_known, true);
        let last_commit = entry.modified;
        let patient = Patient { path: &path, start, file, last, last_commit };
        let look = patiently(|| look_at_open(&path, &self.record.log_id, is_newest));
        let finding = look.or_else(|error| {
            if is_unreadable(&error) { Ok(Finding::Damaged { what: with_cause(&error) }) } else { Err(error) }
        })?;
        let finding = match finding {
            Finding::Damaged { .. } if is_newest && self.may_be_unborn(start) && is_torn_unborn(&path) => {
                Finding::Unborn
            }
            other => other,
        };
        match finding {
            Finding::Whole { last } => {
                self.found.last_stored = self.found.last_stored.max(last);
                adopt_points(self.state, self.catalogue, &path)?;
                self.keep(file, entry);
            }
            Finding::Unborn => {
                tracing::info!(segment = %path.display(), "a segment whose making was interrupted is removed");
                remove_database(&**self.files, &path)?;
                self.found.has_unborn = true;
                // The one before it goes on.
                self.newest_is_known = false;
            }
            Finding::Foreign { found } => {
                let salvaged = expel(&self.surgery(), &patient)?;
                tell(&path, &format!("it belongs to log {found}"), &salvaged);
                self.note(salvaged);
            }
            Finding::Damaged { what } if is_newest => {
                // Where a close in order says what its last seq was, all up to it belongs to the segment.
                let last = self.record.closed_at.map(loaded_seq).filter(|last| *last >= start).or(last);
                match salvage(&self.surgery(), &Patient { last, ..patient }) {
                    Ok(salvaged) => {
                        tell(&path, &what, &salvaged);
                        self.take_replacement(&salvaged);
                        self.note(salvaged);
                    }
                    Err(error) => {
                        tracing::error!(segment = %path.display(), %error, "salvage failed; it is tried again");
                        self.found.last_stored = self.found.last_stored.max(loaded_seq(self.record.reserved_to));
                        if let Some(segment) = self.keep(file, entry) {
                            self.leave_for_the_sealer(&segment, &what);
                        }
                    }
                }
            }
            Finding::Damaged { what } => {
                self.found.last_stored = self.found.last_stored.max(last.unwrap_or(0));
                if let Some(segment) = self.keep(file, entry) {
                    self.leave_for_the_sealer(&segment, &what);
                }
            }
        }
        Ok(())
    }

    /// Whether the newest segment may never have had a row. After a close in order it was whole if it had any; one that begins
    /// behind the last seq of that time had none, and what SQLite wrote of it and did not sync may still be torn.
    fn may_be_unborn(&self, start: Seq) -> bool {
        self.record.closed_at.is_none_or(|last| start > loaded_seq(last))
    }

    fn surgery(&self) -> Surgery<'_> {
        Surgery { files: &**self.files, log_id: &self.record.log_id, catalogue: self.catalogue, state: self.state }
    }

    fn keep(&mut self, file: SegmentFile, entry: &FileEntry) -> Option<Arc<Segment>> {
        let segment = Segment::new(self.dir, file, entry.bytes, Arc::clone(self.files))?;
        self.found.segments.push(Arc::clone(&segment));
        Some(segment)
    }

    fn take_replacement(&mut self, salvaged: &Salvaged) {
        self.found.last_stored = self.found.last_stored.max(salvaged.last_row.unwrap_or(0));
        if let Some(sealed) = &salvaged.replacement
            && let Some(segment) = Segment::new(self.dir, sealed.file, sealed.bytes, Arc::clone(self.files))
        {
            self.found.segments.push(segment);
        }
    }

    fn leave_for_the_sealer(&mut self, segment: &Segment, what: &str) {
        segment.suspect();
        self.found.damaged += 1;
        tracing::warn!(segment = %segment.path.display(), what, "a segment is damaged; its salvage follows");
    }

    fn note(&mut self, salvaged: Salvaged) {
        self.found.damaged += 1;
        self.found.gaps.extend(salvaged.gaps);
    }
}

/// What of the seqs skipped at an opening is not recorded as a gap yet.
pub(crate) fn unrecorded(state: &State, place: &Place) -> Result<Vec<(Seq, Seq)>, LogError> {
    let Some(skipped) = place.skipped else { return Ok(Vec::new()) };
    let known = state.read(|connection| recorded_between(connection, skipped.0, skipped.1))?;
    Ok(without(skipped, &known))
}

/// The gaps that an opening leaves: what is skipped, and a notice when cursors may be lost.
pub(crate) fn gaps_of_opening(
    skipped: &[(Seq, Seq)],
    next: Seq,
    rebuilt: Option<&Rebuilt>,
    segments_damaged: bool,
) -> Vec<Gap> {
    let is_damage = segments_damaged || rebuilt.is_some();
    let reason = if is_damage { GapReason::Damaged } else { GapReason::SkippedAtOpen };
    let mut gaps: Vec<Gap> = skipped.iter().map(|(first, last)| Gap::now(*first, *last, reason)).collect();
    if rebuilt.is_some_and(|rebuilt| rebuilt.cursors_lost) && gaps.is_empty() {
        // No reading is missing, but routes may begin anew: whoever lists the gaps is to see it.
        gaps.push(Gap { rows: Some(0), ..Gap::now(next - 1, next - 1, GapReason::Damaged) });
    }
    gaps
}
