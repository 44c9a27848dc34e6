//! Backup while readings are appended, restore, and what a damaged backup or an occupied target comes to.
#![allow(clippy::unwrap_used, reason = "a failure of a test's own step is to end it")]

mod harness;

use bulkhead_log::{
    BackupProgress, BackupReport, BackupStage, Beside, BesideContent, ImportMark, InFlight, Log, LogConfig, LogError,
    Restore, Restored, Row, restore, verify_backup,
};
use bulkhead_model::{Kind, PointInfo, Seq};
use harness::{all_rows, append, config, declare, readings, segment_files, seqs, within};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

fn go_on(_: BackupProgress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

async fn backup(log: &Log, dir: &Path, beside: Vec<Beside>) -> Result<BackupReport, LogError> {
    let (log, dir) = (log.clone(), dir.to_owned());
    within(tokio::task::spawn_blocking(move || log.backup_to(&dir, &beside, &mut go_on))).await.unwrap()
}

fn restored(from: &Path, to: &Path, how: Restore) -> Result<Restored, LogError> {
    restore(from, to, how, &mut go_on)
}

/// Small segments, so that some are sealed and one is open.
fn small(dir: &Path) -> LogConfig {
    LogConfig { segment_max_rows: 500, ..config(dir) }
}

/// A log with two sealed segments and an open one, and its backup beside it.
async fn backed_up(dir: &Path) -> (Log, PathBuf, BackupReport) {
    let log = small(&dir.join("log")).open().unwrap();
    let points = declare(&log, 7);
    for from in [0, 500, 1000] {
        append(&log, readings(&points, from, 500)).await;
    }
    within(log.seal()).await.unwrap();
    append(&log, readings(&points, 1500, 100)).await;
    let to = dir.join("backup");
    let beside = vec![
        Beside { name: "config/gateway.toml".into(), content: BesideContent::Bytes(b"[gateway]\n".to_vec()) },
        Beside { name: "adapters/a.wasm".into(), content: BesideContent::File(dir.join("log/lock")) },
    ];
    let report = backup(&log, &to, beside).await.unwrap();
    (log, to, report)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_went_on_during_a_backup_is_known_after_it_and_no_files() {
    let dir = tempfile::tempdir().unwrap();
    let log = small(&dir.path().join("log")).open().unwrap();
    let points = declare(&log, 1);
    let last = append(&log, readings(&points, 0, 10)).await.last;
    let mark =
        |id: &str, last| ImportMark { id: id.into(), bytes: 80, digest: vec![7; 32], last, ..Default::default() };
    // The second has rows behind the backup's moment.
    for mark in [mark("before", last), mark("during", last + 1)] {
        log.set_import_mark(&mark).unwrap();
    }
    let (to, target) = (dir.path().join("backup"), dir.path().join("restored"));
    backup(&log, &to, Vec::new()).await.unwrap();
    restored(&to, &target, Restore::default()).unwrap();
    let copy = small(&target).open().unwrap();
    assert_eq!(copy.import_mark("before").unwrap(), Some(mark("before", last)));
    let during = copy.import_mark("during").unwrap().expect("it is known");
    assert_eq!((during.bytes, during.digest), (80, vec![0; 32]));
    within(copy.close()).await.unwrap();
    within(log.close()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_backup_under_load_has_everything_acknowledged_before_it_and_nothing_torn() {
    let dir = tempfile::tempdir().unwrap();
    let log = small(&dir.path().join("log")).open().unwrap();
    let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let writing = {
        let (log, stop, acknowledged) = (log.clone(), Arc::clone(&stop), Arc::clone(&acknowledged));
        tokio::spawn(async move {
            let mut from = 0;
            while !stop.load(Ordering::Acquire) {
                // A new point with each batch: a row must never be in a backup without its point.
                let name = format!("made{from}");
                let point = log.declare("c", &[PointInfo::new(name, Kind::Real)]).unwrap();
                let committed = append(&log, readings(&point, from, 40)).await;
                log.set_cursor("erp", committed.last).unwrap();
                log.begin_batch("erp", InFlight { revision: "r".into(), first: committed.first, last: committed.last })
                    .unwrap();
                acknowledged.store(committed.last, Ordering::Release);
                from += 40;
            }
        })
    };
    let mut committed = log.committed();
    for round in 0..3_u64 {
        // Behind some segments, so that sealed, closed and open ones are all there.
        within(committed.wait_for(|seq| *seq > 1_700 * (round + 1))).await.unwrap();
        let before = acknowledged.load(Ordering::Acquire);
        let to = dir.path().join(format!("backup{round}"));
        let report = backup(&log, &to, Vec::new()).await.unwrap();
        let after = acknowledged.load(Ordering::Acquire);
        assert!(before > 0 && report.last_seq >= before, "{report:?} lacks seqs up to {before}");
        assert!(after > report.last_seq, "the log stood still meanwhile: {after}");

        let target = dir.path().join(format!("restored{round}"));
        let made = restored(&to, &target, Restore::default()).unwrap();
        assert_eq!(made.backup, report);
        let copy = small(&target).open().unwrap();
        let rows = all_rows(&copy);
        let original: Vec<Row> = all_rows(&log).into_iter().filter(|row| row.seq <= report.last_seq).collect();
        assert_eq!(rows.len(), usize::try_from(report.rows).unwrap());
        assert!(rows == original, "{} rows instead of {}", rows.len(), original.len());
        let named = |log: &Log, row: &Row| log.catalogue().by_id(row.reading.point).unwrap().info.name.clone();
        assert!(rows.iter().all(|row| named(&copy, row) == named(&log, row)));
        assert!(copy.cursor("erp").unwrap().unwrap() <= report.last_seq);
        assert!(copy.in_flight("erp").unwrap().is_none_or(|batch| batch.last <= report.last_seq));
        within(copy.close()).await.unwrap();
    }
    stop.store(true, Ordering::Release);
    within(writing).await.unwrap();
}

#[tokio::test]
async fn a_restored_log_is_another_log_and_goes_on_behind_what_the_original_had_reserved() {
    let dir = tempfile::tempdir().unwrap();
    let (log, backup, report) = backed_up(dir.path()).await;
    assert_eq!((report.rows, report.last_seq, report.log_id.as_str()), (1600, 1600, log.id().as_str()));
    assert_eq!(verify_backup(&backup, &mut go_on).unwrap(), report);
    assert_eq!(std::fs::read(backup.join("config/gateway.toml")).unwrap(), b"[gateway]\n");
    let rows = all_rows(&log);
    let points = declare(&log, 7);
    // The original goes on, as far as its reservation reaches.
    append(&log, readings(&points, 1600, 300)).await;
    let handed_out: Seq = log.stats().last;

    let target = dir.path().join("data/log");
    std::fs::create_dir(dir.path().join("data")).unwrap();
    let made = restored(&backup, &target, Restore::default()).unwrap();
    assert_eq!(made.set_aside, None);
    let copy = small(&target).open().unwrap();
    assert_eq!(copy.id().as_str(), made.log_id);
    assert_ne!(copy.id(), log.id());
    assert_eq!(all_rows(&copy), rows);
    assert_eq!(copy.stats().skipped_at_open, None);
    assert_eq!(declare(&copy, 7), points);
    let first = append(&copy, readings(&points, 5000, 10)).await.first;
    assert_eq!(first, made.next_seq);
    assert!(first > handed_out + 1_000_000, "{first}");
    let of_point = |rows: &[Row]| rows.iter().filter(|row| row.reading.point == points[0]).count();
    assert_eq!(copy.history(points[0], None, None, 0, 10_000).unwrap().len(), of_point(&rows) + 2);
    within(copy.seal()).await.unwrap();
    within(copy.close()).await.unwrap();
    let copy = small(&target).open().unwrap();
    assert_eq!(all_rows(&copy).len(), 1610);

    let known = Restore { continue_after: Some(77_000_000), ..Restore::default() };
    let far = restored(&backup, &dir.path().join("far"), known).unwrap();
    assert_eq!(far.next_seq, 78_000_001);
}

#[tokio::test]
async fn one_flipped_bit_anywhere_refuses_the_restore_with_the_files_name() {
    let dir = tempfile::tempdir().unwrap();
    let (_log, backup, report) = backed_up(dir.path()).await;
    assert!(report.segments >= 3, "{report:?}");
    let mut files = vec![backup.join("manifest.json"), backup.join("log/state.db")];
    files.extend(segment_files(&backup.join("log")).iter().map(|name| backup.join("log").join(name)));
    files.push(backup.join("config/gateway.toml"));
    for file in files {
        let whole = std::fs::read(&file).unwrap();
        for place in [0, whole.len() / 2, whole.len() - 1] {
            let mut flipped = whole.clone();
            flipped[place] ^= 0x10;
            std::fs::write(&file, &flipped).unwrap();
            let target = dir.path().join("target");
            let error = restored(&backup, &target, Restore::default()).unwrap_err();
            let name = file.file_name().unwrap().to_str().unwrap();
            assert!(error.to_string().contains(name), "{name}: {error}");
            assert!(!target.exists());
        }
        std::fs::write(&file, &whole).unwrap();
        std::fs::remove_file(&file).unwrap();
        let error = verify_backup(&backup, &mut go_on).unwrap_err();
        assert!(error.to_string().contains(file.file_name().unwrap().to_str().unwrap()), "{error}");
        std::fs::write(&file, &whole).unwrap();
    }
    assert_eq!(verify_backup(&backup, &mut go_on).unwrap(), report);
}

#[tokio::test]
async fn a_target_that_holds_a_log_is_set_aside_only_when_asked_and_never_while_it_is_open() {
    let dir = tempfile::tempdir().unwrap();
    let (log, backup, _) = backed_up(dir.path()).await;
    let target = dir.path().join("log");
    let refused = restored(&backup, &target, Restore::default()).unwrap_err();
    assert!(matches!(refused, LogError::Occupied { .. }), "{refused}");
    let replace = Restore { replace: true, ..Restore::default() };
    let busy = restored(&backup, &target, replace).unwrap_err();
    assert!(matches!(busy, LogError::InUse { .. }), "{busy}");
    let old = log.id();
    within(log.close()).await.unwrap();
    let made = restored(&backup, &target, replace).unwrap();
    let aside = made.set_aside.unwrap();
    let (new, kept) = (small(&target).open().unwrap(), small(&aside).open().unwrap());
    assert_eq!((kept.id(), new.id().as_str()), (old, made.log_id.as_str()));
    assert_eq!(all_rows(&new), all_rows(&kept));
}

#[tokio::test]
async fn a_backup_that_is_called_off_or_has_no_room_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (log, existing, _) = backed_up(dir.path()).await;
    let again = backup(&log, &existing, Vec::new()).await.unwrap_err();
    assert!(matches!(again, LogError::Occupied { .. }), "{again}");
    for stage in [BackupStage::Copying, BackupStage::Checking] {
        let to = dir.path().join("off");
        let off = log.backup_to(&to, &[], &mut |progress| match progress.stage == stage {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        });
        assert!(matches!(off, Err(LogError::CalledOff)), "{off:?}");
        assert!(!to.exists() && !dir.path().join("off.partial").exists());
    }
    for name in ["../x", "log/x", "manifest.json", "/x"] {
        let beside = vec![Beside { name: name.into(), content: BesideContent::Bytes(Vec::new()) }];
        assert!(backup(&log, &dir.path().join("bad"), beside).await.is_err(), "{name}");
    }
    assert_eq!(seqs(&all_rows(&log)).len(), 1600);
}

#[tokio::test]
async fn an_empty_log_can_be_backed_up_and_restored() {
    let dir = tempfile::tempdir().unwrap();
    let log = config(&dir.path().join("log")).open().unwrap();
    let report = backup(&log, &dir.path().join("backup"), Vec::new()).await.unwrap();
    assert_eq!((report.rows, report.segments, report.files), (0, 0, 1));
    restored(&dir.path().join("backup"), &dir.path().join("new"), Restore::default()).unwrap();
    assert!(all_rows(&config(&dir.path().join("new")).open().unwrap()).is_empty());
}
