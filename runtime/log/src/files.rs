//! Files: the one trait that every file operation passes which SQLite does not do itself, and the names of segments.

use crate::LogError;
use bulkhead_model::{Seq, Timestamp};
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes written at a time to fill a file.
const ALLOCATE_PIECE_BYTES: usize = 256 * 1024;

/// A file in a folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileEntry {
    /// Its name without the folder.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// When it was last written to.
    pub modified: Timestamp,
}

/// The file operations of the log beside SQLite's own. A test replaces them to lose what was not synced.
pub trait FileOps: Send + Sync + std::fmt::Debug {
    /// Makes a folder and those above it.
    ///
    /// # Errors
    /// What the operating system reports.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// The files in a folder, in no order; names that are not UTF-8 are left out.
    ///
    /// # Errors
    /// What the operating system reports.
    fn list(&self, dir: &Path) -> io::Result<Vec<FileEntry>>;

    /// Gives a file another name in the same folder; one that has it already is replaced.
    ///
    /// # Errors
    /// What the operating system reports.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file a second name; where the file system has no such thing, a copy of it that is on the medium.
    ///
    /// # Errors
    /// What the operating system reports.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        match fs::hard_link(from, to) {
            Err(error) if !from.exists() || to.exists() || error.kind() == io::ErrorKind::StorageFull => Err(error),
            Err(_) => {
                fs::copy(from, to)?;
                fs::File::open(to)?.sync_all()
            }
            Ok(()) => Ok(()),
        }
    }

    /// Removes a file.
    ///
    /// # Errors
    /// What the operating system reports.
    fn remove(&self, file: &Path) -> io::Result<()>;

    /// Returns when the content of a file is on the medium.
    ///
    /// # Errors
    /// What the operating system reports.
    fn sync_file(&self, file: &Path) -> io::Result<()>;

    /// Returns when the entries of a folder are on the medium.
    ///
    /// # Errors
    /// What the operating system reports.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Makes a file of so many bytes that take room on the disk, or leaves one alone that has them. It need not survive a
    /// power cut.
    ///
    /// # Errors
    /// What the operating system reports.
    fn allocate(&self, file: &Path, bytes: u64) -> io::Result<()> {
        allocate(file, bytes)
    }

    /// Bytes that this process may still write to the disk of a folder.
    ///
    /// # Errors
    /// What the operating system reports.
    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        let disk = rustix::fs::statvfs(dir)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }
}

/// Fills a file up to a length. What is in it does not repeat, so that no file system stores it in less.
fn allocate(file: &Path, bytes: u64) -> io::Result<()> {
    if fs::metadata(file).is_ok_and(|metadata| metadata.len() == bytes) {
        return Ok(());
    }
    let mut random = vec![0; ALLOCATE_PIECE_BYTES];
    getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
    let mut target = fs::File::create(file)?;
    let mut left = bytes;
    while left > 0 {
        let piece = usize::try_from(left).unwrap_or(usize::MAX).min(random.len());
        target.write_all(&random[..piece])?;
        left -= piece as u64;
        let length = random.len();
        random.rotate_left(length / 3 + 1);
    }
    Ok(())
}

/// The operating system's file operations.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemFiles;

impl FileOps for SystemFiles {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<FileEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                // It went while the folder was being listed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            if let (true, Ok(name)) = (metadata.is_file(), entry.file_name().into_string()) {
                let modified = Timestamp::from_system_time(metadata.modified()?);
                entries.push(FileEntry { name, bytes: metadata.len(), modified });
            }
        }
        Ok(entries)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, file: &Path) -> io::Result<()> {
        fs::remove_file(file)
    }

    fn sync_file(&self, file: &Path) -> io::Result<()> {
        fs::File::open(file)?.sync_all()
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        fs::File::open(dir)?.sync_all()
    }
}

/// What SQLite puts behind a database's name for the files it keeps beside it.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Removes a database and the files SQLite keeps beside it; those that are not there are passed over.
pub(crate) fn remove_database(files: &dyn FileOps, database: &Path) -> Result<(), LogError> {
    // The database goes first: a WAL without its database is a leftover, a database without its WAL lacks rows.
    for suffix in ["", COMPANIONS[0], COMPANIONS[1], COMPANIONS[2]] {
        let path = with_suffix(database, suffix);
        match files.remove(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(io_error("remove", &path)(source)),
        }
    }
    Ok(())
}

/// A path with something put behind its last name.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or(OsStr::new("")).to_owned();
    name.push(suffix);
    path.with_file_name(name)
}

/// Makes a [`LogError::Io`] of an operating system's error.
pub(crate) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LogError + use<> {
    let path = path.to_owned();
    move |source| LogError::Io { action, path, source: Arc::new(source) }
}

/// What a file in the log's folder is, by its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SegmentFile {
    /// A segment that is appended to, or waits to be sealed.
    Open {
        /// The lowest seq it may hold.
        start: Seq,
    },
    /// A sealed segment.
    Sealed {
        /// As in the open twin's name.
        start: Seq,
        /// Its last seq.
        last: Seq,
    },
    /// A leftover: a segment that was being sealed, or a file SQLite kept beside a database that is no longer there.
    Unfinished,
}

impl SegmentFile {
    /// The start of a sealed one.
    pub(crate) fn sealed_start(self) -> Option<Seq> {
        if let Self::Sealed { start, .. } = self { Some(start) } else { None }
    }

    /// The name of such a file. An unfinished one has none of its own.
    pub(crate) fn name(self) -> Option<String> {
        match self {
            Self::Open { start } => Some(format!("seg-{start:020}.open.db")),
            Self::Sealed { start, last } => Some(format!("seg-{start:020}-{last:020}.db")),
            Self::Unfinished => None,
        }
    }

    /// The lowest seq it may hold; none of an unfinished one.
    pub(crate) fn start(self) -> Option<Seq> {
        match self {
            Self::Open { start } | Self::Sealed { start, .. } => Some(start),
            Self::Unfinished => None,
        }
    }

    /// The highest seq that its name vouches for.
    pub(crate) fn known_to(self) -> Seq {
        match self {
            Self::Open { start } => start,
            Self::Sealed { last, .. } => last,
            Self::Unfinished => 0,
        }
    }

    /// What a name says. None: it is no segment's.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let rest = name.strip_prefix("seg-")?;
        if rest.ends_with(".tmp") || rest.contains(".tmp-") {
            return Some(Self::Unfinished);
        }
        if let Some(start) = rest.strip_suffix(".open.db") {
            return Some(Self::Open { start: parse_seq(start)? });
        }
        let (start, last) = rest.strip_suffix(".db")?.split_once('-')?;
        Some(Self::Sealed { start: parse_seq(start)?, last: parse_seq(last)? })
    }
}

fn parse_seq(digits: &str) -> Option<Seq> {
    (digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_segments_go_both_ways() {
        for file in [SegmentFile::Open { start: 1 }, SegmentFile::Sealed { start: 1, last: 500_000 }] {
            assert_eq!(SegmentFile::parse(&file.name().unwrap()), Some(file));
        }
        assert_eq!(SegmentFile::parse("seg-00000000000000000001.tmp"), Some(SegmentFile::Unfinished));
        for name in ["state.db", "seg-1.open.db", "seg-00000000000000000001.open.db-wal", "seg-x-y.db", "notes.txt"] {
            assert_eq!(SegmentFile::parse(name), None, "{name}");
        }
    }

    #[test]
    fn a_database_goes_with_what_sqlite_keeps_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a.db", "a.db-wal", "a.db-shm", "b.db"] {
            fs::write(dir.path().join(name), "x").unwrap();
        }
        remove_database(&SystemFiles, &dir.path().join("a.db")).unwrap();
        let left: Vec<String> = SystemFiles.list(dir.path()).unwrap().into_iter().map(|entry| entry.name).collect();
        assert_eq!(left, ["b.db"]);
    }
}
