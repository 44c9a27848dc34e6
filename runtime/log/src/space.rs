//! Room on the disk: what the log takes, what it will take before it can give something back, and whether a batch still
//! fits below its quota and below what the disk has.

use crate::LogError;
use crate::damage::bytes_aside;
use crate::files::{FileEntry, SegmentFile, io_error};
use crate::reserve::RESERVE_NAME;
use crate::shared::Shared;
use crate::{FileOps, clock};
use bulkhead_model::Seq;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::time::{Duration, Instant};

/// The folder is listed again after so many bytes of readings.
const LOOK_AFTER_BYTES: u64 = 1024 * 1024;
/// And after this time.
const LOOK_AFTER: Duration = Duration::from_secs(1);
/// While there is no room, it is listed at most this often.
const LOOK_WHEN_FULL_AFTER: Duration = Duration::from_millis(100);
/// What a commit takes beside its readings: pages of the WAL that were only touched.
pub(crate) const COMMIT_BYTES: u64 = 32 * 1024;
/// Room for `state.db` to grow into.
const STATE_GROWTH_BYTES: u64 = 1024 * 1024;
/// An open segment is closed when it has this share of the room there is, so that there is always something to drop.
const SEGMENT_SHARE: u64 = 16;
/// But not below this size: a file of a few pages costs more than it holds.
const SEGMENT_MIN_BYTES: u64 = 256 * 1024;

/// What the files of the log take now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Usage {
    /// All files but copies being sealed; damaged ones that are set aside count.
    pub(crate) files: u64,
    /// Those among them that are no longer part of the log and go when the last reader lets go of them.
    pub(crate) going: u64,
    /// WALs: what is in them goes into their databases before they are used anew.
    pub(crate) wals: u64,
    /// The largest segment that is not sealed yet, WAL included: its copy is still to come.
    pub(crate) unsealed_max: u64,
    /// The segment with the highest start that is not sealed, WAL included.
    pub(crate) open: u64,
    /// Free on the disk for this process.
    pub(crate) free: u64,
    /// The reserve is there.
    pub(crate) has_reserve: bool,
}

impl Usage {
    /// Looks at the folder of a log that has dropped everything up to a seq.
    pub(crate) fn now(files: &dyn FileOps, dir: &Path, dropped_to: Seq) -> Result<Self, LogError> {
        let entries = files.list(dir).map_err(io_error("list", dir))?;
        let free = files.free_bytes(dir).map_err(io_error("ask for the free space of", dir))?;
        let usage = Self::of(&entries, dropped_to);
        // One that is being set aside counts twice: when its replacement is there, it will take as much.
        Ok(Self { free, files: usage.files.saturating_add(bytes_aside(files, dir)), ..usage })
    }

    fn of(entries: &[FileEntry], dropped_to: Seq) -> Self {
        let parsed = |entry: &FileEntry| SegmentFile::parse(entry.name.strip_suffix("-wal").unwrap_or(&entry.name));
        let sealed: HashSet<Seq> = entries.iter().filter_map(|entry| parsed(entry)?.sealed_start()).collect();
        let mut usage = Self::default();
        // Bytes of the segments that are not sealed, WALs included, by their start.
        let mut unsealed: BTreeMap<Seq, u64> = BTreeMap::new();
        for entry in entries {
            match parsed(entry) {
                Some(SegmentFile::Unfinished) => continue,
                Some(SegmentFile::Sealed { last, .. }) if last <= dropped_to => usage.going += entry.bytes,
                Some(SegmentFile::Open { start }) if sealed.contains(&start) => usage.going += entry.bytes,
                Some(SegmentFile::Open { start }) => *unsealed.entry(start).or_default() += entry.bytes,
                Some(SegmentFile::Sealed { .. }) | None => {}
            }
            usage.files += entry.bytes;
            usage.wals += if entry.name.ends_with("-wal") { entry.bytes } else { 0 };
            usage.has_reserve |= entry.name == RESERVE_NAME;
        }
        usage.unsealed_max = unsealed.values().copied().max().unwrap_or(0);
        usage.open = unsealed.last_key_value().map_or(0, |(_, bytes)| *bytes);
        usage
    }

    /// The same once all readers have let go of what is no longer part of the log.
    pub(crate) fn when_readers_are_gone(self) -> Self {
        Self { files: self.files - self.going, free: self.free.saturating_add(self.going), going: 0, ..self }
    }

    /// The most that the log may take: its quota, or what the disk can give.
    pub(crate) fn limit(&self, max_bytes: Option<u64>) -> u64 {
        max_bytes.unwrap_or(u64::MAX).min(self.files.saturating_add(self.free))
    }

    /// What the log takes, with all that is sure to come: WALs moved into their databases, the copy of a segment at its
    /// sealing, `state.db`, and the reserve when it is missing.
    pub(crate) fn with_what_is_to_come(&self, reserve_bytes: u64) -> u64 {
        let reserve = if self.has_reserve { 0 } else { reserve_bytes };
        [self.wals, copy_of(self.unsealed_max), STATE_GROWTH_BYTES, reserve]
            .into_iter()
            .fold(self.files, u64::saturating_add)
    }
}

/// The most that the sealed copy of a segment takes: its rows again, and an index.
pub(crate) fn copy_of(bytes: u64) -> u64 {
    bytes.saturating_add(bytes / 2)
}

/// The size at which an open segment is closed.
pub(crate) fn segment_max_bytes(limit: u64) -> u64 {
    (limit / SEGMENT_SHARE).max(SEGMENT_MIN_BYTES)
}

/// What the writer knows of the room there is. It looks at the disk now and then, and adds up what it writes meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Space {
    looked: Option<Instant>,
    usage: Usage,
    added: u64,
    is_full: bool,
}

impl Space {
    /// Whether so many bytes of readings fit. Looks at the disk when it has not done so for a while, and makes the reserve
    /// anew where there is room for it.
    pub(crate) fn fits(&mut self, shared: &Shared, bytes: u64) -> Result<bool, LogError> {
        let age = self.looked.map(|looked| clock::monotonic().saturating_duration_since(looked));
        let is_stale = match (age, self.is_full) {
            (None, _) => true,
            (Some(age), true) => age >= LOOK_WHEN_FULL_AFTER,
            (Some(age), false) => age >= LOOK_AFTER || self.added >= LOOK_AFTER_BYTES,
        };
        if is_stale || (!self.is_full && !self.has_room(shared, bytes)) {
            self.look(shared)?;
        }
        self.is_full = !self.has_room(shared, bytes);
        Ok(!self.is_full)
    }

    /// Looks at the disk.
    pub(crate) fn look(&mut self, shared: &Shared) -> Result<(), LogError> {
        self.usage = shared.usage()?;
        self.looked = Some(clock::monotonic());
        self.added = 0;
        if !self.usage.has_reserve && self.has_room(shared, 0) && shared.make_reserve() {
            let bytes = shared.reserve.bytes();
            self.usage.has_reserve = true;
            self.usage.files += bytes;
            self.usage.free = self.usage.free.saturating_sub(bytes);
        }
        Ok(())
    }

    /// Takes into account that readings of so many bytes are being written.
    pub(crate) fn add(&mut self, bytes: u64) {
        self.added = self.added.saturating_add(bytes);
    }

    /// The disk says that it is full, whatever was thought.
    pub(crate) fn note_full(&mut self) {
        self.is_full = true;
        self.looked = Some(clock::monotonic());
    }

    /// Whether the open segment takes so much of the room that it is to be closed.
    pub(crate) fn open_is_large(&self, max_bytes: Option<u64>) -> bool {
        let limit = self.usage.limit(max_bytes);
        self.looked.is_some() && self.usage.open.saturating_add(self.added) >= segment_max_bytes(limit)
    }

    /// Whether so many bytes will fit without anything more being dropped, once readers let go of what has been.
    pub(crate) fn will_fit(&self, shared: &Shared, bytes: u64) -> bool {
        let usage = self.usage.when_readers_are_gone();
        Self { usage, ..Self::default() }.has_room(shared, bytes.saturating_add(self.added))
    }

    /// The open segment is another one now.
    pub(crate) fn forget_open(&mut self) {
        self.looked = None;
    }

    fn has_room(&self, shared: &Shared, bytes: u64) -> bool {
        let limit = self.usage.limit(shared.config.max_bytes);
        // Readings are written twice, to the WAL and to the database; and they are part of a copy to come.
        let growing = self.added.saturating_add(bytes).saturating_mul(2).saturating_add(copy_of(self.added));
        self.usage.with_what_is_to_come(shared.reserve.bytes()).saturating_add(growing) <= limit
    }

    /// Why there is no room, for people.
    pub(crate) fn why(&self, shared: &Shared) -> LogError {
        let taken = self.usage.files;
        let what = match shared.config.max_bytes {
            Some(max) if self.usage.files.saturating_add(self.usage.free) >= max => {
                format!("it takes {taken} of the {max} bytes it may take (`log.max_bytes`)")
            }
            _ => format!("the disk has {} bytes left, the log takes {taken}", self.usage.free),
        };
        LogError::Full { dir: shared.config.dir.clone(), what }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_model::Timestamp;

    fn entry(name: &str, bytes: u64) -> FileEntry {
        FileEntry { name: name.to_owned(), bytes, modified: Timestamp(0) }
    }

    #[test]
    fn all_files_count_but_the_copy_being_sealed_and_what_is_to_come_counts_too() {
        let entries = [
            entry("state.db", 100),
            entry("state.db-wal", 50),
            entry("reserve", 1000),
            entry("seg-00000000000000000001-00000000000000000009.db", 400),
            entry("seg-00000000000000000010.open.db", 700),
            entry("seg-00000000000000000010.tmp", 300),
            entry("seg-00000000000000000020.open.db", 200),
            entry("seg-00000000000000000020.open.db-wal", 80),
        ];
        let usage = Usage { free: 5000, ..Usage::of(&entries, 0) };
        let expected =
            Usage { files: 2530, going: 0, wals: 130, unsealed_max: 700, open: 280, free: 5000, has_reserve: true };
        assert_eq!(usage, expected);
        assert_eq!(usage.with_what_is_to_come(1000), 2530 + 130 + 1050 + STATE_GROWTH_BYTES);
        let without = Usage { has_reserve: false, ..usage };
        assert_eq!(without.with_what_is_to_come(1000), usage.with_what_is_to_come(1000) + 1000);
    }

    #[test]
    fn what_only_readers_hold_is_known() {
        let entries = [
            entry("seg-00000000000000000001-00000000000000000009.db", 400),
            entry("seg-00000000000000000010-00000000000000000019.db", 300),
            entry("seg-00000000000000000010.open.db", 700),
            entry("seg-00000000000000000020.open.db", 200),
        ];
        let usage = Usage { free: 1000, ..Usage::of(&entries, 9) };
        assert_eq!((usage.files, usage.going, usage.unsealed_max), (1600, 1100, 200));
        let later = usage.when_readers_are_gone();
        assert_eq!((later.files, later.free, later.going), (500, 2100, 0));
    }

    #[test]
    fn the_limit_is_the_quota_or_what_the_disk_can_give() {
        let usage = Usage { files: 100, free: 50, ..Usage::default() };
        assert_eq!(usage.limit(None), 150);
        assert_eq!(usage.limit(Some(120)), 120);
        assert_eq!(usage.limit(Some(1000)), 150);
        assert_eq!(Usage { free: u64::MAX, ..usage }.limit(None), u64::MAX);
    }

    #[test]
    fn a_segment_has_a_share_of_the_room_but_is_never_tiny() {
        assert_eq!(segment_max_bytes(1 << 30), 1 << 26);
        assert_eq!(segment_max_bytes(1000), SEGMENT_MIN_BYTES);
    }
}
