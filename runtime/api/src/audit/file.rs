//! The files of the audit log: appended to, rotated, read. The command line appends while the gateway runs; a lock keeps them
//! apart.

use super::AuditRecord;
use crate::access::store::{private_file, private_folder};
use crate::error::ApiError;
use bulkhead_model::escaped_json;
use rustix::fs::FlockOperation;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// The folder in the data folder.
const FOLDER: &str = "audit";
/// A file is closed and the next begun at this length.
pub(crate) const FILE_MAX_BYTES: u64 = 4 * 1024 * 1024;
/// Files that are kept, the one that is appended to included; the oldest goes.
pub(crate) const FILES_MAX: usize = 8;
/// Longest record; a longer one loses its detail.
pub(crate) const RECORD_MAX_BYTES: usize = 4 * 1024;

/// The audit log of a data folder.
#[derive(Clone, Debug)]
pub struct AuditLog {
    folder: PathBuf,
}

impl AuditLog {
    /// The audit log of a data folder. Touches nothing.
    #[must_use]
    pub fn in_folder(data_dir: &Path) -> Self {
        Self { folder: data_dir.join(FOLDER) }
    }

    /// Appends records, which get their numbers, and waits for the disk.
    ///
    /// # Errors
    /// [`ApiError::Audit`].
    pub fn append(&self, records: Vec<AuditRecord>) -> Result<(), ApiError> {
        let failed = |error: io::Error| self.failed("cannot be written", &error);
        private_folder(&self.folder).map_err(failed)?;
        let mut lock = private_file(&self.folder.join("last-id")).map_err(failed)?;
        rustix::fs::flock(&lock, FlockOperation::LockExclusive).map_err(|error| failed(error.into()))?;
        let mut last = self.last_id(&mut lock).map_err(failed)?;
        let mut text = Vec::new();
        for mut record in records {
            last += 1;
            record.id = last;
            text.extend(line(record));
        }
        self.write(&text).map_err(failed)?;
        lock.set_len(0).and_then(|()| lock.write_all(last.to_string().as_bytes())).map_err(failed)
    }

    /// Records with higher numbers than `after` and not older than `since_ns`, the oldest first, at most `limit`. Lines that a power
    /// cut has torn are left out.
    ///
    /// # Errors
    /// [`ApiError::Audit`].
    pub fn read(&self, after: u64, since_ns: i64, limit: usize) -> Result<Vec<AuditRecord>, ApiError> {
        let mut found = Vec::new();
        for number in (0..FILES_MAX).rev() {
            let file = match File::open(self.file(number)) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(self.failed("cannot be read", &error)),
            };
            let mut lines = BufReader::new(file.take(2 * FILE_MAX_BYTES));
            let mut bytes = Vec::new();
            while found.len() < limit {
                bytes.clear();
                let read =
                    lines.read_until(b'\n', &mut bytes).map_err(|error| self.failed("cannot be read", &error))?;
                if read == 0 {
                    break;
                }
                let record = serde_json::from_slice::<AuditRecord>(&bytes).ok();
                found.extend(record.filter(|record| record.id > after && record.time_ns >= since_ns));
            }
        }
        Ok(found)
    }

    /// The file with a number; 0 is the one that is appended to, higher ones are older.
    fn file(&self, number: usize) -> PathBuf {
        match number {
            0 => self.folder.join("audit.jsonl"),
            number => self.folder.join(format!("audit.{number}.jsonl")),
        }
    }

    /// The last number that was given: what the lock says or the newest line, whichever is higher, so that a power cut between the
    /// two gives none twice.
    fn last_id(&self, lock: &mut File) -> io::Result<u64> {
        let mut text = String::new();
        lock.seek(SeekFrom::Start(0))?;
        lock.read_to_string(&mut text)?;
        let noted = text.trim().parse().unwrap_or(0);
        Ok(noted.max(self.newest_id()?))
    }

    fn newest_id(&self) -> io::Result<u64> {
        let mut file = match File::open(self.file(0)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(error),
        };
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(2 * RECORD_MAX_BYTES as u64)))?;
        let mut tail = Vec::new();
        file.read_to_end(&mut tail)?;
        let records =
            tail.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<AuditRecord>(line).ok());
        Ok(records.map(|record| record.id).max().unwrap_or(0))
    }

    fn write(&self, text: &[u8]) -> io::Result<()> {
        let path = self.file(0);
        if fs::metadata(&path).is_ok_and(|found| found.len() + text.len() as u64 > FILE_MAX_BYTES) {
            self.rotate()?;
        }
        let mut file = private_file(&path)?;
        if is_torn(&mut file)? {
            file.write_all(b"\n")?;
        }
        file.write_all(text)?;
        file.sync_data()
    }

    fn rotate(&self) -> io::Result<()> {
        for number in (0..FILES_MAX - 1).rev() {
            match fs::rename(self.file(number), self.file(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        File::open(&self.folder)?.sync_all()
    }

    fn failed(&self, what: &str, error: &io::Error) -> ApiError {
        ApiError::Audit { path: self.folder.clone(), reason: format!("{what}: {error}") }
    }
}

/// A record as a line.
fn line(mut record: AuditRecord) -> Vec<u8> {
    // Whoever looks at the file with `cat` is not to be deceived by a path that a stranger asked for.
    let written = |record: &AuditRecord| escaped_json(&serde_json::to_string(record).unwrap_or_default()).into_bytes();
    let mut line = written(&record);
    if line.len() >= RECORD_MAX_BYTES {
        record.detail = None;
        line = written(&record);
    }
    line.push(b'\n');
    line
}

/// Whether the last line has no end: a power cut came between.
fn is_torn(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(time_ns: i64, what: &str) -> AuditRecord {
        AuditRecord::of_command(time_ns, what.to_owned(), None)
    }

    #[test]
    fn records_are_numbered_and_read_again_from_a_number_or_time_on() {
        let dir = tempfile::tempdir().unwrap();
        let log = AuditLog::in_folder(dir.path());
        assert_eq!(log.read(0, 0, 10).unwrap(), []);
        log.append(vec![record(1, "a"), record(2, "b")]).unwrap();
        AuditLog::in_folder(dir.path()).append(vec![record(3, "c")]).unwrap();
        let of = |after, since, limit| -> Vec<(u64, String)> {
            log.read(after, since, limit).unwrap().into_iter().map(|record| (record.id, record.what)).collect()
        };
        assert_eq!(of(0, 0, 10), [(1, "a".into()), (2, "b".into()), (3, "c".into())]);
        assert_eq!((of(1, 0, 1), of(0, 3, 9)), (vec![(2, "b".into())], vec![(3, "c".into())]));
    }

    #[test]
    fn a_torn_line_costs_itself_only_and_no_number_is_given_twice() {
        let dir = tempfile::tempdir().unwrap();
        let log = AuditLog::in_folder(dir.path());
        log.append(vec![record(1, "a")]).unwrap();
        let mut file = private_file(&log.file(0)).unwrap();
        file.write_all(br#"{"id":2,"time"#).unwrap();
        fs::write(log.folder.join("last-id"), "").unwrap();
        log.append(vec![record(3, "c")]).unwrap();
        let read: Vec<_> = log.read(0, 0, 9).unwrap().into_iter().map(|record| (record.id, record.what)).collect();
        assert_eq!(read, [(1, "a".into()), (2, "c".into())]);
    }

    #[test]
    fn what_deceives_a_reader_is_escaped_in_the_file_and_read_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let log = AuditLog::in_folder(dir.path());
        let what = "GET /a\u{202e}gnp.exe\u{9b}2J\u{200b}";
        log.append(vec![record(1, what)]).unwrap();
        let file = fs::read_to_string(log.file(0)).unwrap();
        assert!(file.is_ascii() && file.contains("\\u202e"), "{file}");
        assert_eq!(log.read(0, 0, 9).unwrap()[0].what, what);
    }

    #[test]
    fn files_are_rotated_and_the_oldest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let log = AuditLog::in_folder(dir.path());
        let many = |n: i64| (0..4_000).map(|_| record(n, &"x".repeat(300))).collect::<Vec<_>>();
        for n in 0..30 {
            log.append(many(n)).unwrap();
        }
        let files: Vec<_> = fs::read_dir(&log.folder).unwrap().map(|entry| entry.unwrap()).collect();
        assert_eq!(files.len(), FILES_MAX + 1);
        assert!(files.iter().all(|file| file.metadata().unwrap().len() <= FILE_MAX_BYTES));
        let kept = log.read(0, 0, usize::MAX).unwrap();
        assert_eq!(kept.last().unwrap().id, 120_000);
        assert!(kept[0].id > 1 && kept.windows(2).all(|two| two[0].id + 1 == two[1].id));
    }
}
