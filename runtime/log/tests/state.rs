//! What the log knows beside its rows: points, cursors, batches in flight, dead letters, adapters' memory.
#![allow(clippy::unwrap_used, reason = "a failure of a test's own step is to end it")]

mod harness;

use bulkhead_log::{DeadLetter, InFlight, LogError};
use bulkhead_model::{Kind, PointId, PointInfo, Timestamp, WriteLimits};
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
        assert_eq!(catalogue.by_id(ids[0]).unwrap().info, richer);
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
    let letter = |seq| DeadLetter {
        route: "erp".into(),
        seq,
        point: PointId(2),
        code: "refused".into(),
        message: "400: no such field".into(),
        time: Timestamp(8),
    };
    log.finish_batch("erp", 9, &[letter(6), letter(7)]).unwrap();
    log.finish_batch("mes", 4, &[]).unwrap();
    assert_eq!((log.in_flight("erp").unwrap(), log.cursor("erp").unwrap()), (None, Some(9)));
    assert_eq!(log.dead_letters(None, 10).unwrap(), [letter(7), letter(6)]);
    assert_eq!(log.dead_letters(Some("erp"), 1).unwrap(), [letter(7)]);
    assert_eq!((log.dead_letter_count("erp").unwrap(), log.dead_letter_count("mes").unwrap()), (2, 0));
    let many: Vec<_> = (0..10_000).map(|index| letter(100 + index)).collect();
    log.finish_batch("erp", 20_000, &many).unwrap();
    assert_eq!(log.dead_letter_count("erp").unwrap(), 10_000);
    let kept = log.dead_letters(Some("erp"), 20_000).unwrap();
    assert_eq!(kept.last().map(|letter| letter.seq), Some(100), "the oldest went");
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
