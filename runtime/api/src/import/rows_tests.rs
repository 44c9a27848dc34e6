//! What rows say, and that they say again what an export has written.

use super::*;
use crate::json;
use bulkhead_log::{Point, Row};
use bulkhead_model::PointId;
use proptest::prelude::*;
use std::sync::Arc;

fn settings(media_type: &str, query: &str) -> Settings {
    Settings::of(media_type, Some(query)).unwrap()
}

fn value(kind: Kind) -> BoxedStrategy<Value> {
    match kind {
        Kind::Boolean => any::<bool>().prop_map(Value::Boolean).boxed(),
        Kind::Integer => any::<i64>().prop_map(Value::Integer).boxed(),
        Kind::Real => prop_oneof![any::<f64>(), Just(f64::INFINITY), Just(-0.0)].prop_map(Value::Real).boxed(),
        Kind::Decimal => "-?[0-9]{1,20}(\\.[0-9]{1,9})?".prop_map(Value::Decimal).boxed(),
        Kind::Text => ".{0,20}".prop_map(Value::Text).boxed(),
        Kind::Time => any::<i64>().prop_map(Value::Time).boxed(),
        Kind::Duration => any::<i64>().prop_map(Value::Duration).boxed(),
        Kind::Bytes => proptest::collection::vec(any::<u8>(), 0..20).prop_map(Value::Bytes).boxed(),
        Kind::File => proptest::collection::vec(any::<u8>(), 0..20)
            .prop_map(|data| {
                Value::File(Box::new(File { name: "a.bin".into(), media_type: "application/x".into(), data }))
            })
            .boxed(),
    }
}

fn reading() -> impl Strategy<Value = (Kind, Reading)> {
    let kind = proptest::sample::select(Kind::ALL.to_vec());
    let status = prop_oneof![Just(Status::GOOD), Just(Status::BAD_TIMEOUT), any::<u32>().prop_map(Status)];
    (kind, any::<i64>(), status).prop_flat_map(|(kind, time, status)| {
        let value = if status.is_bad() { Just(None).boxed() } else { value(kind).prop_map(Some).boxed() };
        value.prop_map(move |value| (kind, Reading { point: PointId(7), time: Timestamp(time), status, value }))
    })
}

/// As a text that differs wherever the readings do, in bits of reals, too.
fn shown(reading: &Reading) -> String {
    let bits = match &reading.value {
        Some(Value::Real(real)) if !real.is_nan() => real.to_bits(),
        _ => 0,
    };
    format!("{reading:?} {bits:x}")
}

fn line(text: String) -> Record {
    Record { line: 1, end: text.len() as u64, cells: vec![text.into_bytes()] }
}

fn from_json(record: &Record, kind: Kind, settings: &Settings) -> Result<Reading, BadRow> {
    let members = members(record)?;
    let names: Vec<String> = members.iter().map(|(name, _)| name.to_string()).collect();
    let columns = Columns::of(&names, settings).unwrap();
    let drafts = of_json(1, &members, &columns, settings)?;
    drafts[0].of_point(PointId(7), kind, settings)
}

fn from_csv(cells: &[&str], header: &[&str], kind: Kind, settings: &Settings) -> Result<Reading, BadRow> {
    let header: Vec<String> = header.iter().map(|name| (*name).to_owned()).collect();
    let columns = Columns::of(&header, settings).unwrap();
    let cells = cells.iter().map(|cell| cell.as_bytes().to_vec()).collect();
    let record = Record { line: 3, end: 0, cells };
    let drafts = of_csv(&record, &columns, settings)?;
    drafts[0].of_point(PointId(7), kind, settings)
}

proptest! {
    #[test]
    fn what_the_pull_api_shows_is_the_same_reading_again((kind, reading) in reading()) {
        let point = Point { id: PointId(7), connection: Arc::from("boiler"), info: PointInfo::new("a \"b\"", kind).into() };
        let row = Row { seq: 9, reading: reading.clone() };
        let exported = line(serde_json::to_string(&json::named_reading(&row, &point)).unwrap());
        let settings = settings("application/x-ndjson", "");
        let drafts = members(&exported).unwrap();
        prop_assert!(drafts.iter().any(|(name, _)| name == "point"));
        prop_assert_eq!(shown(&from_json(&exported, kind, &settings).unwrap()), shown(&reading));
    }

    #[test]
    fn what_odata_shows_as_text_is_the_same_reading_again((kind, reading) in reading()) {
        prop_assume!(kind != Kind::File);
        let text = reading.value.as_ref().map_or(String::new(), crate::odata::text_of);
        let (time, status) = (moment::rfc3339(reading.time.0), reading.status.0.to_string());
        let header = ["Connection", "Point", "Time", "Status", "StatusName", "Value"];
        let cells = ["boiler", "flow", &time, &status, "whatever", &text];
        let settings = settings("text/csv", "");
        prop_assert_eq!(shown(&from_csv(&cells, &header, kind, &settings).unwrap()), shown(&reading));
    }

    #[test]
    fn any_line_is_a_reading_or_told(text in "\\PC{0,60}", kind in proptest::sample::select(Kind::ALL.to_vec())) {
        let settings = settings("text/csv", "connection=b&point=p&decimal=comma&zone=UTC");
        _ = from_csv(&[&text, &text], &["time", "value"], kind, &settings);
        _ = members(&line(text));
    }
}

#[test]
fn decimal_commas_and_statuses_are_read_and_mistakes_name_line_and_column() {
    let comma = settings("text/csv", "connection=b&point=p&decimal=comma");
    let point = settings("text/csv", "connection=b&point=p");
    let of = |settings: &Settings, value: &str, status: &str, kind: Kind| {
        from_csv(&["1000", value, status], &["time", "value", "status"], kind, settings)
    };
    let good = |value| {
        Ok(Reading { point: PointId(7), time: Timestamp(1_000_000_000), status: Status::GOOD, value: Some(value) })
    };
    assert_eq!(of(&comma, "-61,5", "", Kind::Real), good(Value::Real(-61.5)));
    assert_eq!(of(&comma, "1,50", "0", Kind::Decimal), good(Value::Decimal("1.50".into())));
    assert_eq!(of(&point, "TRUE", "Good", Kind::Boolean), good(Value::Boolean(true)));
    assert_eq!(of(&point, "", "BadTimeout", Kind::Real).unwrap().status, Status::BAD_TIMEOUT);
    assert_eq!(of(&point, "", "0x80AB0000", Kind::Real).unwrap().status, Status(0x80AB_0000));
    assert_eq!(of(&point, "", "Bad(0x80AB0000)", Kind::Real).unwrap().status, Status(0x80AB_0000));
    for (settings, value, status, kind, column, part) in [
        (&point, "61,5", "", Kind::Real, "value", "decimal=comma"),
        (&comma, "61.5", "", Kind::Real, "value", "decimal comma"),
        (&point, "", "", Kind::Real, "value", "a value"),
        (&point, "1", "fine", Kind::Real, "status", "StatusCode"),
        (&point, "1.5", "", Kind::Integer, "value", "whole number"),
        (&point, "1234", "", Kind::Time, "value", "2026-01-31"),
    ] {
        let bad = of(settings, value, status, kind).unwrap_err();
        assert_eq!((bad.line, bad.column.as_deref()), (3, Some(column)), "{bad:?}");
        assert!(bad.expected.contains(part), "{bad:?}");
    }
}
