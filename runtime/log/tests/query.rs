//! SQL over the log: tables, joins, values, time limit.
#![allow(clippy::unwrap_used, reason = "a failure of a test's own step is to end it")]

mod harness;

use bulkhead_log::{LogError, SqlValue, value_of};
use bulkhead_model::{Kind, PointId, PointInfo, Reading, Status, Timestamp, Value};
use harness::{append, config, declare, reading, readings};
use std::ops::ControlFlow;
use std::time::Duration;

#[tokio::test]
async fn points_readings_and_latest_readings_join() {
    let dir = tempfile::tempdir().unwrap();
    let log = config(dir.path()).open().unwrap();
    let old = log.declare("press", &[PointInfo::new("force", Kind::Integer)]).unwrap()[0];
    let value = Some(Value::Integer(4));
    append(&log, vec![Reading { point: old, time: Timestamp(1), status: Status::GOOD, value }]).await;
    let info = PointInfo { unit: Some("kN".into()), ..PointInfo::new("force", Kind::Real) };
    let new = log.declare("press", &[info]).unwrap()[0];
    append(&log, vec![reading(new, 2, 4.5), reading(new, 3, f64::NAN), reading(new, 4, 9.5)]).await;

    let query = log.query().unwrap();
    assert_eq!(query.last_seq(), 4);
    let rows = query
        .collect(
            "SELECT p.kind, p.unit, p.current, r.time, r.value FROM readings r JOIN points p ON p.id = r.point
             WHERE p.connection = ?1 ORDER BY r.seq",
            &[SqlValue::Text("press".into())],
            10,
        )
        .unwrap();
    let row = |kind: &str, unit: Option<&str>, current, time, value| {
        let unit = unit.map_or(SqlValue::Null, |unit| SqlValue::Text(unit.into()));
        vec![SqlValue::Text(kind.into()), unit, SqlValue::Integer(current), SqlValue::Integer(time), value]
    };
    assert_eq!(
        rows,
        [
            row("integer", None, 0, 1, SqlValue::Integer(4)),
            row("real", Some("kN"), 1, 2, SqlValue::Real(4.5)),
            row("real", Some("kN"), 1, 3, SqlValue::Null),
            row("real", Some("kN"), 1, 4, SqlValue::Real(9.5)),
        ]
    );
    let high = query.collect("SELECT seq FROM readings WHERE value > 4.2", &[], 10).unwrap();
    assert_eq!(high.len(), 2, "a real that is no number is not above one");
    let latest = query.collect("SELECT seq, point, value FROM latest_readings", &[], 10).unwrap();
    assert_eq!(latest, [[SqlValue::Integer(4), SqlValue::Integer(i64::from(new.0)), SqlValue::Real(9.5)]]);
    let none =
        query.collect("SELECT seq FROM latest_readings WHERE point = ?1", &[SqlValue::Integer(i64::from(old.0))], 10);
    assert!(none.unwrap().is_empty(), "the former point is no longer current");
    let stored = query.collect("SELECT name FROM points WHERE id = 1.0", &[], 10).unwrap();
    assert_eq!(stored, [[SqlValue::Text("force".into())]]);
    assert_eq!(value_of(Kind::Real, &rows[1][4]), Some(Some(Value::Real(4.5))));
    assert!(log.read(2, 1).unwrap()[0].reading.value.as_ref().and_then(Value::as_f64).unwrap().is_nan());
}

#[tokio::test]
async fn a_query_sees_the_log_as_it_was_when_it_was_opened_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let log = config(dir.path()).open().unwrap();
    let points = declare(&log, 2);
    append(&log, readings(&points, 0, 5)).await;
    let query = log.query().unwrap();
    append(&log, readings(&points, 5, 5)).await;
    let count = |query: &bulkhead_log::Query| query.collect("SELECT count(*) FROM readings", &[], 1).unwrap();
    assert_eq!(count(&query), [[SqlValue::Integer(5)]]);
    assert_eq!(count(&log.query().unwrap()), [[SqlValue::Integer(10)]]);
    for sql in ["CREATE TABLE t(x)", "DELETE FROM readings", "SELECT nonsense FROM readings"] {
        assert!(matches!(query.collect(sql, &[], 1), Err(LogError::Sqlite { .. })), "{sql}");
    }
    let mut seen = Vec::new();
    query
        .rows("SELECT seq, 'x' FROM readings", &[], |row| {
            seen.push((row.integer(0).unwrap(), row.text(1).unwrap().to_owned(), row.value(9)));
            if seen.len() == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap();
    assert_eq!(seen, [(1, "x".to_owned(), SqlValue::Null), (2, "x".to_owned(), SqlValue::Null)]);
}

#[tokio::test]
async fn a_query_that_takes_too_long_is_ended_and_the_next_one_runs() {
    let dir = tempfile::tempdir().unwrap();
    let log = config(dir.path()).open().unwrap();
    let points = declare(&log, 100);
    append(&log, readings(&points, 0, 1000)).await;
    let endless = "SELECT count(*) FROM readings a, readings b, readings c WHERE a.value + b.value + c.value = -1";
    let mut query = log.query().unwrap();
    query.set_time_limit(Duration::from_millis(30));
    let error = query.collect(endless, &[], 1).unwrap_err();
    assert!(matches!(error, LogError::QueryTimeout { limit_ms: 30 }), "{error}");
    drop(query);
    let query = log.query().unwrap();
    assert_eq!(query.collect("SELECT max(seq) FROM readings", &[], 1).unwrap(), [[SqlValue::Integer(1000)]]);
}

#[tokio::test]
async fn queries_beyond_the_bound_wait_for_one_to_end() {
    let dir = tempfile::tempdir().unwrap();
    let log = config(dir.path()).open().unwrap();
    let mut open: Vec<_> = (0..4).map(|_| log.query().unwrap()).collect();
    let waiting = std::thread::spawn({
        let log = log.clone();
        move || log.query().map(|query| query.last_seq())
    });
    open.pop();
    assert_eq!(waiting.join().unwrap().unwrap(), 0);
    assert_eq!(log.latest(PointId(0)), None);
}
