//! What a backup says of itself: a JSON file with the length and SHA-256 of every other, and a second one with the
//! manifest's own sum, in the form `sha256sum -c` reads.

use crate::LogError;
use crate::config::BACKUP_MANIFEST_MAX_BYTES;
use crate::files::io_error;
use bulkhead_model::Seq;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The manifest's name in the backup.
pub(super) const MANIFEST: &str = "manifest.json";
/// The name of the file with the manifest's sum.
pub(super) const MANIFEST_SUM: &str = "manifest.json.sha256";
/// The format of backups. Another number is refused.
pub(super) const BACKUP_FORMAT: u32 = 1;
/// The folder of the log's own files in a backup.
pub(super) const LOG_DIR: &str = "log";

/// What a backup is of and what it is made of.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// [`BACKUP_FORMAT`].
    pub(super) format: u32,
    /// The id of the log it was made from.
    pub(super) log_id: String,
    /// When it was begun, nanoseconds since the Unix epoch.
    pub(super) begun_ns: i64,
    /// Every row up to this seq that the log had is in it, and none behind it.
    pub(super) last_seq: Seq,
    /// Rows in all segments.
    pub(super) rows: u64,
    /// Every file but the two of the manifest.
    pub(super) files: Vec<FileRecord>,
}

/// One file of a backup.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct FileRecord {
    /// Its path inside the backup, with `/`.
    pub(super) name: String,
    /// Its length.
    pub(super) bytes: u64,
    /// SHA-256 in hexadecimal digits.
    pub(super) sha256: String,
    /// For a segment: what is in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) segment: Option<SegmentRecord>,
}

/// The rows of a segment in a backup.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct SegmentRecord {
    /// How many.
    pub(super) rows: u64,
    /// The first one's seq.
    pub(super) first: Seq,
    /// The last one's.
    pub(super) last: Seq,
}

impl Manifest {
    /// Bytes of all files it names.
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Writes it and its sum into a backup's folder, synced.
    pub(super) fn write(&self, dir: &Path) -> Result<(), LogError> {
        let path = dir.join(MANIFEST);
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(|error| io_error("write", &path)(std::io::Error::other(error.to_string())))?;
        text.push(b'\n');
        write_synced(&path, &text)?;
        let sum = format!("{}  {MANIFEST}\n", hex(&Sha256::digest(&text)));
        write_synced(&dir.join(MANIFEST_SUM), sum.as_bytes())
    }

    /// Reads the manifest of a backup's folder and checks it against its sum.
    pub(super) fn read(dir: &Path) -> Result<Self, LogError> {
        let path = dir.join(MANIFEST);
        let length = fs::metadata(&path).map_err(io_error("read", &path))?.len();
        if length > BACKUP_MANIFEST_MAX_BYTES {
            return Err(damaged(&path, format!("{length} bytes, at most {BACKUP_MANIFEST_MAX_BYTES} are expected")));
        }
        let text = fs::read(&path).map_err(io_error("read", &path))?;
        let sum_path = dir.join(MANIFEST_SUM);
        let expected = fs::read(&sum_path).map_err(io_error("read", &sum_path))?;
        let found = hex(&Sha256::digest(&text));
        if expected.get(..64) != Some(found.as_bytes()) {
            return Err(damaged(&path, format!("its SHA-256 is {found}, {MANIFEST_SUM} says otherwise")));
        }
        let manifest: Self = serde_json::from_slice(&text).map_err(|error| damaged(&path, error.to_string()))?;
        if manifest.format != BACKUP_FORMAT {
            let what = format!("backup format {} was found, {BACKUP_FORMAT} expected", manifest.format);
            return Err(LogError::Format { path, what });
        }
        match manifest.files.iter().find(|file| !stays_inside(&file.name)) {
            Some(file) => Err(damaged(&path, format!("it names {:?}, which is no path inside of a backup", file.name))),
            None => Ok(manifest),
        }
    }
}

/// Whether a name leads to a file below the folder it is joined to.
pub(super) fn stays_inside(name: &str) -> bool {
    let parts = Path::new(name).components();
    !name.is_empty() && parts.into_iter().all(|part| matches!(part, std::path::Component::Normal(_)))
}

/// A [`LogError::BackupDamaged`].
pub(super) fn damaged(path: &Path, what: impl Into<String>) -> LogError {
    LogError::BackupDamaged { path: path.to_owned(), what: what.into() }
}

/// Bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes a small file and syncs it.
pub(super) fn write_synced(path: &PathBuf, content: &[u8]) -> Result<(), LogError> {
    let mut file = fs::File::create_new(path).map_err(io_error("create", path))?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(io_error("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_comes_back_and_a_changed_one_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = FileRecord { name: "log/state.db".into(), bytes: 7, sha256: "00".into(), segment: None };
        let manifest = Manifest {
            format: BACKUP_FORMAT,
            log_id: "ab".into(),
            begun_ns: 5,
            last_seq: 9,
            rows: 3,
            files: vec![file],
        };
        manifest.write(dir.path()).unwrap();
        assert_eq!(Manifest::read(dir.path()).unwrap(), manifest);
        let path = dir.path().join(MANIFEST);
        let text = fs::read_to_string(&path).unwrap().replace("\"last_seq\": 9", "\"last_seq\": 8");
        fs::write(&path, text).unwrap();
        let error = Manifest::read(dir.path()).unwrap_err();
        assert!(matches!(&error, LogError::BackupDamaged { path: named, .. } if *named == path), "{error}");
    }

    #[test]
    fn names_lead_below_the_backup() {
        assert!(stays_inside("log/state.db") && stays_inside("adapters/a.wasm"));
        for name in ["", "/etc/passwd", "../x", "log/../../x", "./x"] {
            assert!(!stays_inside(name), "{name}");
        }
    }
}
