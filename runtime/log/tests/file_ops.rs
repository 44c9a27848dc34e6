//! The log's own file operations, replaced: their order at sealing, and what happens when one fails.

#![allow(clippy::unwrap_used, reason = "a failure of a test's own step is to end it")]

mod harness;

use bulkhead_log::{FileEntry, FileOps, LogError, SystemFiles};
use harness::{all_rows, append, config, declare, readings, segment_files, within};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// The system's file operations, written down; renaming fails on demand.
#[derive(Debug, Default)]
struct Watched {
    operations: Mutex<Vec<String>>,
    rename_fails: AtomicBool,
}

impl Watched {
    fn note(&self, operation: &str, path: &Path) {
        let name = path.file_name().unwrap().to_string_lossy();
        self.operations.lock().unwrap().push(format!("{operation} {name}"));
    }
}

impl FileOps for Watched {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        SystemFiles.create_dir(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<FileEntry>> {
        SystemFiles.list(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.note("rename to", to);
        if self.rename_fails.load(Ordering::SeqCst) {
            return Err(io::Error::other("no such luck"));
        }
        SystemFiles.rename(from, to)
    }

    fn remove(&self, file: &Path) -> io::Result<()> {
        let result = SystemFiles.remove(file);
        if result.is_ok() {
            self.note("remove", file);
        }
        result
    }

    fn sync_file(&self, file: &Path) -> io::Result<()> {
        self.note("sync", file);
        SystemFiles.sync_file(file)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.operations.lock().unwrap().push("sync folder".to_owned());
        SystemFiles.sync_dir(dir)
    }
}

#[tokio::test]
async fn a_sealed_segment_is_synced_renamed_and_its_folder_synced_before_the_open_twin_goes() {
    let dir = tempfile::tempdir().unwrap();
    let files = Arc::new(Watched::default());
    let log = config(dir.path()).open_with(files.clone()).unwrap();
    let points = declare(&log, 2);
    append(&log, readings(&points, 0, 10)).await;
    files.operations.lock().unwrap().clear();
    within(log.seal()).await.unwrap();
    let operations = files.operations.lock().unwrap().clone();
    let expected = [
        "sync seg-00000000000000000011.open.db",
        "sync folder",
        "sync seg-00000000000000000001.tmp",
        "rename to seg-00000000000000000001-00000000000000000010.db",
        "sync folder",
        "remove seg-00000000000000000001.open.db",
    ];
    assert_eq!(operations[..6], expected, "the first two are for the new open segment");
    assert!(operations[6..].iter().all(|operation| operation.starts_with("remove seg-00000000000000000001.open.db-")));
}

#[tokio::test]
async fn a_sealing_that_fails_loses_nothing_and_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let files = Arc::new(Watched::default());
    let log = config(dir.path()).open_with(files.clone()).unwrap();
    let points = declare(&log, 2);
    append(&log, readings(&points, 0, 10)).await;
    files.rename_fails.store(true, Ordering::SeqCst);
    let error = within(log.seal()).await.unwrap_err();
    assert!(matches!(error, LogError::Io { action: "rename", .. }), "{error}");
    append(&log, readings(&points, 10, 10)).await;
    assert_eq!(log.history(points[0], None, None, 0, 100).unwrap().len(), 10, "the open twin is read");
    assert!(log.stats().sealings_failed > 0);

    files.rename_fails.store(false, Ordering::SeqCst);
    within(log.seal()).await.unwrap();
    assert_eq!(log.stats().segments_unsealed, 0);
    let rows = all_rows(&log);
    assert_eq!(rows.len(), 20);
    assert_eq!(
        segment_files(dir.path()).iter().filter(|name| name.ends_with("10.db") || name.ends_with("20.db")).count(),
        2
    );
    assert!(!segment_files(dir.path()).iter().any(|name| name.ends_with(".tmp")));
}
