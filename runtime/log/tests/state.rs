//! What the log knows beside its rows: points, cursors, batches in flight, dead letters, adapters' memory.
#![allow(clippy::unwrap_used, reason = "a failure of a test's own step is to end it")]

mod harness;

use bulkhead_log::{
    DeadLetter, InFlight, LetterCount, LetterError, LetterItem, LogError, LostFrame, Origin, RefusedReading, Row,
};
use bulkhead_model::{File, Kind, PointId, PointInfo, Reading, Status, Timestamp, Value, WriteLimits};
use harness::{append, config, declare, readings, within};

#[tokio::test]
async fn declaring_again_gives_the_same_numbers_and_another_kind_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let log = config(dir.path()).open().unwrap();
    let force = PointInfo::new("force", Kind::Real);
    let state = PointInfo::new("state", Kind::Text);
    let ids = log.declare("press", &[force.clone(), state.clone()]).unwrap();
    assert_eq!(log.declare("press", &[state.clone(), force.clone()]).unwrap(), [ids[1], ids[0]]);
    assert_eq!(log.declare("press", &[force.clone(), force.clone()]).unwrap(), [ids[0], ids[0]]);
    let elsewhere = log.declare("lathe", std::slice::from_ref(&force)).unwrap()[0];
    assert!(!ids.contains(&elsewhere));

    let limits = Some(WriteLimits { min: Some(0.0), max: None });
    let richer = PointInfo { unit: Some("kN".into()), write: limits, ..force.clone() };
    assert_eq!(log.declare("press", std::slice::from_ref(&richer)).unwrap(), [ids[0]]);
    let whole = PointInfo::new("force", Kind::Integer);
    let changed = log.declare("press", std::slice::from_ref(&whole)).unwrap()[0];
    assert!(![ids[0], ids[1], elsewhere].contains(&changed));

    let check = |log: &bulkhead_log::Log| {
        let catalogue = log.catalogue();
        assert_eq!(catalogue.by_name("press", "force").unwrap().id, changed);
        assert_eq!(*catalogue.by_id(ids[0]).unwrap().info, richer);
        assert!(!catalogue.is_current(ids[0]) && catalogue.is_current(changed));
        assert_eq!(catalogue.of_connection("press").count(), 2);
    };
    check(&log);
    within(log.close()).await.unwrap();
    let log = config(dir.path()).open().unwrap();
    check(&log);
    assert_eq!(log.declare("press", &[richer]).unwrap(), [ids[0]], "the former kind has its former number");
    let next = log.declare("saw", &[force]).unwrap()[0];
    assert_eq!(next, PointId(changed.0 + 1), "numbers are never used again");
}

#[test]
fn points_that_cannot_be_are_refused_and_nothing_is_declared() {
    let dir = tempfile::tempdir().unwrap();
    let log = config(dir.path()).open().unwrap();
    for name in ["", "a\nb", &"x".repeat(256)] {
        let infos = [PointInfo::new("good", Kind::Real), PointInfo::new(name, Kind::Real)];
        assert!(matches!(log.declare("c", &infos), Err(LogError::BadPointName { .. })), "{name:?}");
    }
    let many: Vec<_> = (0..20_001).map(|index| PointInfo::new(format!("p{index}"), Kind::Real)).collect();
    assert!(matches!(log.declare("c", &many), Err(LogError::TooManyPoints { points: 20_001, .. })));
    assert!(log.catalogue().is_empty());
    assert_eq!(log.declare("c", &many[..20_000]).unwrap().len(), 20_000);
}

#[test]
fn a_connection_that_has_used_its_points_up_is_told_what_to_do_and_that_helps() {
    let dir = tempfile::tempdir().unwrap();
    let log = config(dir.path()).open().unwrap();
    let many: Vec<_> = (0..20_000).map(|index| PointInfo::new(format!("order {index}"), Kind::Real)).collect();
    log.declare("c", &many).unwrap();
    let told = log.declare("c", &[PointInfo::new("force", Kind::Real)]).unwrap_err().to_string();
    assert!(
        told.contains("`c` would have 20001 points") && told.contains("give the connection another name"),
        "{told}"
    );
    assert_eq!(log.declare("c", &many[7..8]).unwrap().len(), 1, "those that it has go on");
    assert_eq!(log.declare("press", &[PointInfo::new("force", Kind::Real)]).unwrap().len(), 1);
}

#[tokio::test]
async fn a_segment_takes_the_points_new_description() {
    let dir = tempfile::tempdir().unwrap();
    let log = config(dir.path()).open().unwrap();
    let points = declare(&log, 1);
    append(&log, readings(&points, 0, 1)).await;
    let info = PointInfo { unit: Some("bar".into()), ..PointInfo::new("p0", Kind::Real) };
    log.declare("c", &[info]).unwrap();
    append(&log, readings(&points, 1, 1)).await;
    within(log.seal()).await.unwrap();
    let segment = dir.path().join("seg-00000000000000000001-00000000000000000002.db");
    let connection = rusqlite::Connection::open(segment).unwrap();
    let described: (u32, String, String, String) = connection
        .query_row("SELECT id, connection, name, unit FROM points", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .unwrap();
    assert_eq!(described, (points[0].0, "c".into(), "p0".into(), "bar".into()));
    let id: String =
        connection.query_row("SELECT value FROM segment WHERE key = 'log_id'", [], |row| row.get(0)).unwrap();
    assert_eq!(id, log.id().as_str());
}

#[tokio::test]
async fn cursors_move_and_stay() {
    let dir = tempfile::tempdir().unwrap();
    let log = config(dir.path()).open().unwrap();
    assert_eq!(log.cursor("erp").unwrap(), None);
    log.set_cursor("erp", 70).unwrap();
    log.set_cursor("delta/1", 3).unwrap();
    log.set_cursor("erp", 60).unwrap();
    within(log.close()).await.unwrap();
    let log = config(dir.path()).open().unwrap();
    assert_eq!(log.cursors().unwrap(), [("delta/1".to_owned(), 3), ("erp".to_owned(), 60)]);
    log.remove_cursor("erp").unwrap();
    log.remove_cursor("nobody").unwrap();
    assert_eq!(log.cursor("erp").unwrap(), None);
    assert!(matches!(log.set_cursor("x", u64::MAX), Err(LogError::OutOfRange { .. })));
}

#[tokio::test]
async fn a_batch_is_in_flight_until_it_is_finished_with_its_cursor_and_dead_letters() {
    let dir = tempfile::tempdir().unwrap();
    let log = config(dir.path()).open().unwrap();
    let batch = InFlight { revision: "r1".into(), first: 5, last: 9 };
    log.begin_batch("erp", batch.clone()).unwrap();
    within(log.close()).await.unwrap();
    let log = config(dir.path()).open().unwrap();
    assert_eq!(log.in_flight("erp").unwrap(), Some(batch));
    assert_eq!(log.in_flight("mes").unwrap(), None);
    log.finish_batch("erp", 9, None, vec![refused(6, Value::Text("é".into())), refused(7, Value::Real(f64::NAN))])
        .unwrap();
    log.finish_batch("mes", 4, None, Vec::new()).unwrap();
    let rest = InFlight { revision: "r1".into(), first: 5, last: 6 };
    log.finish_batch("mes", 4, Some(rest.clone()), Vec::new()).unwrap();
    assert_eq!(log.in_flight("mes").unwrap(), Some(rest), "what is left of a batch stays in flight");
    assert_eq!((log.in_flight("erp").unwrap(), log.cursor("erp").unwrap()), (None, Some(9)));
    assert_eq!(seqs(&log.dead_letters(None, None, 10, usize::MAX).unwrap()), [7, 6]);
    let newest = log.dead_letters(Some(Origin::Route("erp")), None, 1, usize::MAX).unwrap();
    assert_eq!(seqs(&newest), [7]);
    assert_eq!(seqs(&log.dead_letters(None, Some(newest[0].id), 10, usize::MAX).unwrap()), [6]);
    assert_eq!(seqs(&log.dead_letters(None, None, 10, 1).unwrap()), [7], "the one that reaches the bound still comes");
    let count = |route| log.dead_letter_count(Origin::Route(route)).unwrap();
    assert_eq!((count("erp"), count("mes")), (LetterCount { kept: 2, dropped: 0 }, LetterCount::default()));
}

#[tokio::test]
async fn a_dead_letter_is_whole_is_tried_again_and_goes() {
    let dir = tempfile::tempdir().unwrap();
    let log = config(dir.path()).open().unwrap();
    let file = File { name: "a.png".into(), media_type: "image/png".into(), data: vec![0, 1, 2] };
    let kept = [
        refused(6, Value::File(Box::new(file))),
        RefusedReading {
            row: Row { seq: 7, reading: Reading { value: None, ..refused(7, Value::Real(0.0)).row.reading } },
            ..refused(7, Value::Real(0.0))
        },
    ];
    log.finish_batch("erp", 9, None, kept.to_vec()).unwrap();
    let frame = LostFrame {
        transport: "broker".into(),
        topic: "plant/é".into(),
        payload: vec![0, 255],
        payload_bytes: 70_000,
        received: Timestamp(-5),
        retained: true,
        properties: vec![("a".into(), "\0".into())],
    };
    log.keep_frames("line", vec![(frame.clone(), error(2))]).unwrap();
    within(log.close()).await.unwrap();
    let log = config(dir.path()).open().unwrap();
    let letters = log.dead_letters(None, None, 10, usize::MAX).unwrap();
    assert_eq!(letters[0].item, LetterItem::Frame { connection: "line".into(), frame });
    for (letter, kept) in letters[1..].iter().rev().zip(kept) {
        assert_eq!(letter.item, LetterItem::Reading { route: "erp".into(), row: kept.row });
        assert_eq!(letter.error, kept.error);
    }
    let id = letters[1].id;
    assert_eq!(log.dead_letter_numbers(Origin::Route("erp"), 10).unwrap(), [letters[2].id, id], "the oldest first");
    log.dead_letter_failed(id, error(3)).unwrap();
    assert_eq!(log.dead_letter(id).unwrap().unwrap().error.tries, 3);
    assert!(log.remove_dead_letter(id).unwrap() && !log.remove_dead_letter(id).unwrap());
    assert_eq!(log.dead_letter(id).unwrap(), None);
    assert_eq!(log.remove_dead_letters(Origin::Route("line"), u64::MAX).unwrap(), 0, "a frame is no route's");
    assert_eq!(log.remove_dead_letters(Origin::Connection("line"), letters[0].id).unwrap(), 1);
    log.finish_batch("erp", 10, None, vec![refused(10, Value::Real(1.0))]).unwrap();
    let newest = log.dead_letters(None, None, 1, usize::MAX).unwrap();
    assert!(newest[0].id > letters[0].id, "a number is never given twice");
}

#[tokio::test]
async fn dead_letters_are_bounded_in_number_and_bytes_and_those_dropped_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let log = config(dir.path()).open().unwrap();
    let many: Vec<_> = (0..10_003).map(|index| refused(100 + index, Value::Real(0.0))).collect();
    log.finish_batch("erp", 20_000, None, many).unwrap();
    let count = |route| log.dead_letter_count(Origin::Route(route)).unwrap();
    assert_eq!(count("erp"), LetterCount { kept: 10_000, dropped: 3 });
    let kept = log.dead_letters(Some(Origin::Route("erp")), None, 20_000, usize::MAX).unwrap();
    assert_eq!(seqs(&kept).last(), Some(&103), "the oldest went");
    for seq in 1..=40 {
        log.finish_batch("photos", seq, None, vec![refused(seq, Value::Bytes(vec![7; 1 << 20]))]).unwrap();
    }
    assert_eq!(count("photos"), LetterCount { kept: 31, dropped: 9 }, "32 MiB with what goes around the values");
    assert_eq!(count("erp"), LetterCount { kept: 10_000, dropped: 3 }, "each has its own room");
}

#[tokio::test]
async fn reading_ends_with_the_row_that_reaches_the_bound_in_memory_and_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let log = config(dir.path()).open().unwrap();
    let point = log.declare("c", &[PointInfo::new("photo", Kind::Bytes)]).unwrap()[0];
    let heavy =
        |_| Reading { point, time: Timestamp(0), status: Status::GOOD, value: Some(Value::Bytes(vec![1; 300_000])) };
    append(&log, (0..20).map(heavy).collect()).await;
    let all = |log: &bulkhead_log::Log| {
        let mut read = Vec::new();
        let mut after = 0;
        loop {
            let rows = log.read_within(after, 100, 1_000_000).unwrap();
            let Some(last) = rows.last() else { return read };
            assert!(rows.len() <= 4, "{} rows of 300 kB", rows.len());
            after = last.seq;
            read.extend(seqs_of(&rows));
        }
    };
    assert_eq!(all(&log), (1..=20).collect::<Vec<u64>>());
    within(log.seal()).await.unwrap();
    within(log.close()).await.unwrap();
    let log = config(dir.path()).open().unwrap();
    assert_eq!(all(&log), (1..=20).collect::<Vec<u64>>());
    assert_eq!(seqs_of(&log.read(0, 100).unwrap()).len(), 20);
}

fn seqs_of(rows: &[Row]) -> Vec<u64> {
    rows.iter().map(|row| row.seq).collect()
}

fn error(tries: u32) -> LetterError {
    LetterError { code: "refused".into(), message: "400: no such field".into(), tries, time: Timestamp(8) }
}

fn refused(seq: u64, value: Value) -> RefusedReading {
    let reading = Reading { point: PointId(2), time: Timestamp(3), status: Status::GOOD, value: Some(value) };
    RefusedReading { row: Row { seq, reading }, error: error(1) }
}

fn seqs(letters: &[DeadLetter]) -> Vec<u64> {
    letters
        .iter()
        .map(|letter| match &letter.item {
            LetterItem::Reading { row, .. } => row.seq,
            LetterItem::Frame { .. } => 0,
        })
        .collect()
}

#[tokio::test]
async fn an_adapter_remembers_within_its_bounds() {
    let dir = tempfile::tempdir().unwrap();
    let log = config(dir.path()).open().unwrap();
    log.state_set("a", "k", b"one").unwrap();
    log.state_set("a", "k", b"two").unwrap();
    log.state_set("b", "k", b"").unwrap();
    within(log.close()).await.unwrap();
    let log = config(dir.path()).open().unwrap();
    assert_eq!(log.state_get("a", "k").unwrap().as_deref(), Some(&b"two"[..]));
    assert_eq!(log.state_get("b", "k").unwrap().as_deref(), Some(&b""[..]));
    log.state_remove("a", "k").unwrap();
    assert_eq!(log.state_get("a", "k").unwrap(), None);

    let full = |result: Result<(), LogError>| matches!(result, Err(LogError::StateFull { .. }));
    log.state_set("a", "big", &vec![1; 65_536 - 3]).unwrap();
    assert!(full(log.state_set("a", "x", b"")), "the key counts too");
    log.state_set("a", "big", &[2; 10]).unwrap();
    for index in 0..255 {
        log.state_set("a", &format!("k{index}"), b"v").unwrap();
    }
    assert!(full(log.state_set("a", "one more", b"v")));
    log.state_set("a", "k7", b"w").unwrap();
    assert!(full(log.state_set("b", "", b"v")) && full(log.state_set("b", &"x".repeat(256), b"v")));
}

#[test]
fn a_renamed_route_takes_all_it_has_along_and_a_forgotten_one_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let log = config(dir.path()).open().unwrap();
    let batch = InFlight { revision: "r".into(), first: 6, last: 9 };
    log.finish_batch("old", 5, None, vec![refused(3, Value::Integer(1))]).unwrap();
    let kept = |origin| log.dead_letter_count(origin).unwrap().kept;
    log.begin_batch("old", batch.clone()).unwrap();
    assert!(!log.rename_route("nobody", "new").unwrap(), "there is nothing to take over");
    assert!(log.rename_route("old", "new").unwrap());
    assert_eq!((log.cursor("old").unwrap(), log.cursor("new").unwrap()), (None, Some(5)));
    assert_eq!((log.in_flight("old").unwrap(), log.in_flight("new").unwrap()), (None, Some(batch)));
    assert_eq!((kept(Origin::Route("old")), kept(Origin::Route("new"))), (0, 1));

    log.set_cursor("old", 1).unwrap();
    assert!(!log.rename_route("old", "new").unwrap(), "a route with a cursor goes on behind it");
    assert_eq!(log.cursor("new").unwrap(), Some(5));
    log.forget_route("new").unwrap();
    assert_eq!((log.cursor("new").unwrap(), log.in_flight("new").unwrap()), (None, None));
    assert_eq!(kept(Origin::Route("new")), 0);
}
