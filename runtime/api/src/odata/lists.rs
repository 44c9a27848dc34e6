//! The sets that the gateway has in memory, as rows: connections, points, routes, faults, gaps, dead letters.

use super::row::text_of;
use bulkhead_engine::{ConnectionStatus, RouteStatus};
use bulkhead_log::{Catalogue, DeadLetter, Gap, LetterItem, Point};
use bulkhead_odata::Value;

/// A row: a value for every property of its type, in the type's order.
pub(super) type Values = Vec<Value>;

fn text(text: impl Into<String>) -> Value {
    Value::String(text.into())
}

fn optional(given: Option<impl Into<String>>) -> Value {
    given.map_or(Value::Null, text)
}

/// A count: none goes beyond 63 bits.
fn count(number: u64) -> Value {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

pub(super) fn connection(connection: &ConnectionStatus) -> Values {
    let fault = connection.last_fault.as_ref();
    vec![
        text(&connection.name),
        text(&connection.adapter),
        Value::Boolean(connection.enabled),
        text(connection.phase.name()),
        optional(connection.phase.reason()),
        count(connection.points as u64),
        count(connection.counters.readings),
        count(connection.counters.readings_bad),
        count(connection.faults.values().sum()),
        fault.map_or(Value::Null, |fault| Value::DateTimeOffset(fault.time)),
        optional(fault.map(|fault| &fault.code)),
        optional(fault.map(|fault| &fault.message)),
    ]
}

pub(super) fn point(point: &Point, catalogue: &Catalogue) -> Values {
    let info = &point.info;
    let limits = info.write.as_ref();
    let double = |limit: Option<f64>| limit.map_or(Value::Null, Value::Double);
    vec![
        Value::Int(i64::from(point.id.0)),
        text(&*point.connection),
        text(&info.name),
        text(info.kind.name()),
        optional(info.unit.as_ref()),
        optional(info.group.as_ref()),
        Value::Boolean(limits.is_some()),
        double(limits.and_then(|limits| limits.min)),
        double(limits.and_then(|limits| limits.max)),
        optional(info.description.as_ref()),
        Value::Boolean(catalogue.is_current(point.id)),
    ]
}

pub(super) fn route(route: &RouteStatus) -> Values {
    let numbers = [
        route.cursor,
        route.backlog,
        route.accepted,
        route.rejected,
        route.batches,
        route.retries,
        route.resent,
        route.gap,
        route.dead_letters,
        route.dead_letters_dropped,
    ];
    let mut values = vec![
        text(&route.name),
        text(&route.to),
        Value::Boolean(route.enabled),
        text(route.phase.name()),
        optional(route.phase.reason()),
    ];
    values.extend(numbers.map(count));
    values
}

/// The faults of a connection, one a code.
pub(super) fn faults(connection: &ConnectionStatus) -> Vec<Values> {
    let row = |(code, times): (&String, &u64)| {
        let last = connection.last_fault.as_ref().filter(|fault| fault.code == *code);
        vec![
            text(&connection.name),
            text(code),
            count(*times),
            last.map_or(Value::Null, |fault| Value::DateTimeOffset(fault.time)),
            optional(last.and_then(|fault| fault.point.as_ref())),
            optional(last.map(|fault| &fault.message)),
        ]
    };
    connection.faults.iter().map(row).collect()
}

pub(super) fn gap(gap: &Gap) -> Values {
    vec![
        count(gap.id),
        count(gap.first),
        count(gap.last),
        gap.rows.map_or(Value::Null, count),
        text(gap.reason.code()),
        optional(gap.connection.as_ref()),
        Value::Collection(std::sync::Arc::new(gap.routes.iter().map(text).collect())),
        Value::DateTimeOffset(gap.time.0),
    ]
}

/// A dead letter without its payload, which is a stream.
pub(super) fn dead_letter(letter: &DeadLetter) -> Values {
    let mut values = vec![Value::Null; 17];
    values[0] = count(letter.id);
    match &letter.item {
        LetterItem::Reading { route, row } => {
            values[1] = text("reading");
            values[2] = text(route);
            values[4] = count(row.seq);
            values[5] = Value::Int(i64::from(row.reading.point.0));
            values[6] = Value::DateTimeOffset(row.reading.time.0);
            values[7] = Value::Int(i64::from(row.reading.status.0));
            values[8] = optional(row.reading.value.as_ref().map(text_of));
        }
        LetterItem::Frame { connection, frame } => {
            values[1] = text("frame");
            values[3] = text(connection);
            values[6] = Value::DateTimeOffset(frame.received.0);
            values[9] = text(&frame.transport);
            values[10] = text(&frame.topic);
            values[11] = count(frame.payload_bytes);
        }
    }
    values[13] = text(&letter.error.code);
    values[14] = text(&letter.error.message);
    values[15] = count(u64::from(letter.error.tries));
    values[16] = Value::DateTimeOffset(letter.error.time.0);
    values
}
