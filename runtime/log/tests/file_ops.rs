//! The log's own file operations, replaced: their order at sealing, and what happens when one fails.

#![allow(clippy::unwrap_used, reason = "a failure of a test's own step is to end it")]

mod harness;

use bulkhead_log::{FileEntry, FileOps, LogError, SystemFiles};
use bulkhead_model::Value;
use harness::{all_rows, append, config, declare, readings, segment_files, within};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// The system's file operations, written down; some fail on demand.
#[derive(Debug, Default)]
struct Watched {
    operations: Mutex<Vec<String>>,
    refused: Mutex<Option<Refused>>,
}

/// Operations that fail.
#[derive(Clone, Copy, Debug)]
struct Refused {
    /// How they begin.
    operation: &'static str,
    /// They fail once this one was done; none: from the beginning.
    after: Option<&'static str>,
}

impl Watched {
    fn note(&self, operation: &str, path: &Path) -> io::Result<()> {
        let name = path.file_name().unwrap().to_string_lossy();
        self.note_line(format!("{operation} {name}"))
    }

    fn note_line(&self, line: String) -> io::Result<()> {
        let mut operations = self.operations.lock().unwrap();
        let is_refused = self.refused.lock().unwrap().is_some_and(|refused| {
            line.starts_with(refused.operation)
                && refused.after.is_none_or(|after| operations.iter().any(|operation| operation == after))
        });
        operations.push(line);
        if is_refused { Err(io::Error::other("no such luck")) } else { Ok(()) }
    }

    fn refuse(&self, operation: &'static str, after: Option<&'static str>) {
        *self.refused.lock().unwrap() = Some(Refused { operation, after });
    }

    fn allow(&self) {
        *self.refused.lock().unwrap() = None;
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
        self.note("rename to", to)?;
        SystemFiles.rename(from, to)
    }

    fn remove(&self, file: &Path) -> io::Result<()> {
        SystemFiles.remove(file)?;
        self.note("remove", file)
    }

    fn sync_file(&self, file: &Path) -> io::Result<()> {
        self.note("sync", file)?;
        SystemFiles.sync_file(file)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.note_line("sync folder".to_owned())?;
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
    files.refuse("rename to", None);
    let error = within(log.seal()).await.unwrap_err();
    assert!(matches!(error, LogError::Io { action: "rename", .. }), "{error}");
    append(&log, readings(&points, 10, 10)).await;
    assert_eq!(log.history(points[0], None, None, 0, 100).unwrap().len(), 10, "the open twin is read");
    assert!(log.stats().sealings_failed > 0);

    files.allow();
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

#[tokio::test]
async fn an_opening_that_fails_after_the_state_was_built_anew_forgets_no_seq_that_may_have_been_given() {
    let dir = tempfile::tempdir().unwrap();
    let log = config(dir.path()).open().unwrap();
    let points = declare(&log, 2);
    append(&log, readings(&points, 0, 10)).await;
    within(log.seal()).await.unwrap();
    let given = append(&log, readings(&points, 10, 10)).await.last;
    within(log.close()).await.unwrap();
    // The newest segment goes with the state: nothing says any more what was given behind the sealed one.
    for name in std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()) {
        if name.starts_with("state.db") || name.contains("open") {
            std::fs::remove_file(dir.path().join(name)).unwrap();
        }
    }
    let files = Arc::new(Watched::default());
    files.refuse("sync folder", Some("rename to state.db"));
    config(dir.path()).open_with(files).unwrap_err();

    let log = config(dir.path()).open().unwrap();
    let points = declare(&log, 2);
    let next = append(&log, readings(&points, 20, 1)).await.first;
    assert!(next > given, "seq {next} was given before");
}

#[tokio::test]
async fn a_salvage_that_fails_and_is_tried_again_sets_the_file_aside_once() {
    let dir = tempfile::tempdir().unwrap();
    let log = config(dir.path()).open().unwrap();
    let points = declare(&log, 5);
    let mut all = readings(&points, 0, 20_000);
    for (number, reading) in (1_u64..).zip(&mut all) {
        // Values that no compression makes small.
        reading.value = Some(Value::Real(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) as f64));
    }
    append(&log, all).await;
    within(log.seal()).await.unwrap();
    within(log.close()).await.unwrap();
    let sealed = segment_files(dir.path()).into_iter().find(|name| !name.contains("open") && name.ends_with(".db"));
    let path = dir.path().join(sealed.unwrap());
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    // Of two neighbouring pages one at least is in use to its end.
    bytes[middle] ^= 0x10;
    bytes[middle + 4096] ^= 0x10;
    std::fs::write(&path, bytes).unwrap();

    let aside = || std::fs::read_dir(dir.path().join("damaged")).map_or(0, Iterator::count);
    let files = Arc::new(Watched::default());
    let log = config(dir.path()).open_with(files.clone()).unwrap();
    files.refuse("rename to seg-", None);
    for _ in 0..3 {
        assert!(matches!(log.read(0, usize::MAX), Err(LogError::Damaged { .. })));
        within(log.seal()).await.unwrap();
        assert_eq!(aside(), 0, "the damaged file is where it was");
    }
    files.allow();
    within(log.seal()).await.unwrap();
    assert!(log.read(0, usize::MAX).unwrap().len() < 20_000);
    assert_eq!(aside(), 1);
}
