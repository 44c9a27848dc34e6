//! Commands: a value for a point, checked against the point before the adapter sees it, and read back afterwards.

use crate::connection::{Assembled, ConnectionHandle, Request};
use crate::error::EngineError;
use bulkhead_config::DEFAULT_POLL_GROUP;
use bulkhead_log::{Log, Row};
use bulkhead_model::{Kind, PointInfo, Value, WriteLimits};
use bulkhead_sandbox::{CallError, PointTable, Role};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Longest wait for a command to be carried out, and again for reading back.
const COMMAND_MAX: Duration = Duration::from_secs(30);

/// What to write.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// A value as a person typed it; it is read as the point's kind says.
    Text(String),
    /// A value with its kind; whole numbers are taken for real points, too.
    Value(Value),
}

/// A command that was carried out.
#[derive(Debug, Clone)]
pub struct Written {
    /// The value that was written.
    pub value: Value,
    /// What the device says afterwards; none where the connection cannot be polled for it.
    pub read_back: Option<Row>,
}

/// Checks a command, has it carried out and reads the point back.
pub(crate) async fn write(
    connection: &ConnectionHandle,
    log: &Log,
    point: &str,
    command: Command,
) -> Result<Written, EngineError> {
    let parts = connection.running()?;
    let name = connection.name.as_str();
    let Some((number, declared)) = parts.points.find(point) else {
        return Err(no_such_point(name, point, &parts.points));
    };
    let value = checked(name, &declared.info, command)?;
    let Some(second) = parts.second.as_ref().filter(|_| parts.has(Role::Writer)) else {
        return Err(not_writable(name, point, "its adapter has no role writer"));
    };
    let given = value.clone();
    let before = *log.committed().borrow();
    ask(name, second, |reply| Request::Write(number, given, reply)).await?;
    let read_back = read_back(name, &parts, &declared.info).await;
    if let Err(error) = &read_back {
        tracing::warn!(connection = name, point, "the value was written but could not be read back: {error}");
    }
    let row = matches!(read_back, Ok(true)).then(|| log.latest(declared.id)).flatten();
    // Only what was read after the write tells of it.
    let row = row.filter(|row| row.seq > before);
    Ok(Written { value, read_back: row })
}

/// Polls the point's group. False: the connection is not one that is polled.
async fn read_back(connection: &str, parts: &Assembled, info: &PointInfo) -> Result<bool, EngineError> {
    if !parts.has(Role::Poller) {
        return Ok(false);
    }
    let group = info.group.clone().unwrap_or_else(|| DEFAULT_POLL_GROUP.to_owned());
    ask(connection, &parts.main, |reply| Request::Poll(group, reply)).await.map(|()| true)
}

/// Sends a request to an actor that has room for it, and waits for the answer.
pub(crate) async fn ask<T>(
    connection: &str,
    to: &mpsc::Sender<Request>,
    request: impl FnOnce(oneshot::Sender<Result<T, CallError>>) -> Request,
) -> Result<T, EngineError> {
    let (reply, answer) = oneshot::channel();
    let stopped = || EngineError::NotRunning { connection: connection.to_owned(), reason: "it has stopped".into() };
    to.try_send(request(reply)).map_err(|error| match error {
        mpsc::error::TrySendError::Full(_) => {
            EngineError::Busy { connection: connection.to_owned(), limit: to.max_capacity() }
        }
        mpsc::error::TrySendError::Closed(_) => stopped(),
    })?;
    match tokio::time::timeout(COMMAND_MAX, answer).await {
        Ok(Ok(outcome)) => outcome.map_err(|cause| EngineError::Call { connection: connection.to_owned(), cause }),
        Ok(Err(_)) => Err(stopped()),
        Err(_) => Err(EngineError::Timeout { connection: connection.to_owned(), limit: COMMAND_MAX }),
    }
}

pub(crate) fn no_such_point(connection: &str, point: &str, points: &PointTable) -> EngineError {
    let names: Vec<String> = points.all().into_iter().map(|declared| declared.info.name.clone()).collect();
    let candidates: Vec<&str> = names.iter().map(String::as_str).collect();
    let near = bulkhead_config::nearest(point, &candidates).map(str::to_owned);
    EngineError::NoSuchPoint { connection: connection.to_owned(), point: point.to_owned(), near }
}

pub(crate) fn not_writable(connection: &str, point: &str, reason: &str) -> EngineError {
    EngineError::NotWritable { connection: connection.to_owned(), point: point.to_owned(), reason: reason.to_owned() }
}

/// The command's value, if the point takes it.
pub(crate) fn checked(connection: &str, info: &PointInfo, command: Command) -> Result<Value, EngineError> {
    let Some(limits) = info.write else {
        return Err(not_writable(connection, &info.name, "its adapter declares it as read-only"));
    };
    let bad = |value: String, expected: String| EngineError::BadValue {
        connection: connection.to_owned(),
        point: info.name.clone(),
        value,
        expected,
    };
    let value = match command {
        Command::Text(text) => Value::parse(info.kind, &text)
            .map_err(|error| bad(format!("`{}`", error.text), format!("{}{}", error.expected, range(limits))))?,
        Command::Value(value) => fitting(value, info.kind)
            .map_err(|value| bad(format!("a {} ({value})", value.kind()), format!("a value of kind {}", info.kind)))?,
    };
    match value.as_f64() {
        Some(number) if limits.min.is_some_and(|min| number < min) || limits.max.is_some_and(|max| number > max) => {
            Err(bad(value.to_string(), format!("a value{}", range(limits))))
        }
        Some(number) if !number.is_finite() => Err(bad(value.to_string(), "a finite number".into())),
        _ => Ok(value),
    }
}

/// A value as one of a kind, where nothing is lost: JSON has one sort of number and no times, and decimals are text in it.
fn fitting(value: Value, kind: Kind) -> Result<Value, Value> {
    match (value, kind) {
        (value, kind) if value.kind() == kind => Ok(value),
        #[expect(clippy::cast_precision_loss, reason = "only numbers that a real holds exactly pass the guard")]
        (Value::Integer(number), Kind::Real) if number.unsigned_abs() <= 1 << 53 => Ok(Value::Real(number as f64)),
        #[expect(clippy::cast_possible_truncation, reason = "only whole numbers in range pass the guard")]
        (Value::Real(number), Kind::Integer) if number.fract() == 0.0 && number.abs() <= 9.007_199_254_740_992e15 => {
            Ok(Value::Integer(number as i64))
        }
        (Value::Integer(number), Kind::Time) => Ok(Value::Time(number)),
        (Value::Integer(number), Kind::Duration) => Ok(Value::Duration(number)),
        (Value::Integer(number), Kind::Decimal) => Ok(Value::Decimal(number.to_string())),
        (Value::Text(text), Kind::Decimal | Kind::Bytes | Kind::Time | Kind::Duration) => {
            Value::parse(kind, &text).map_err(|_| Value::Text(text))
        }
        (value, _) => Err(value),
    }
}

fn range(limits: WriteLimits) -> String {
    match (limits.min, limits.max) {
        (Some(min), Some(max)) => format!(" from {min} to {max}"),
        (Some(min), None) => format!(" of at least {min}"),
        (None, Some(max)) => format!(" of at most {max}"),
        (None, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(kind: Kind, write: Option<WriteLimits>) -> PointInfo {
        PointInfo { write, ..PointInfo::new("setpoint", kind) }
    }

    fn error(info: &PointInfo, command: Command) -> String {
        checked("boiler", info, command).unwrap_err().to_string()
    }

    #[test]
    fn a_value_is_read_as_the_points_kind_says_and_held_to_its_range() {
        let limits = WriteLimits { min: Some(10.0), max: Some(90.0) };
        let setpoint = point(Kind::Real, Some(limits));
        assert_eq!(checked("boiler", &setpoint, Command::Text("55.5".into())).unwrap(), Value::Real(55.5));
        assert_eq!(checked("boiler", &setpoint, Command::Value(Value::Integer(60))).unwrap(), Value::Real(60.0));
        let expected = "point boiler/setpoint does not take 95: expected a value from 10 to 90";
        assert_eq!(error(&setpoint, Command::Text("95".into())), expected);
        assert!(error(&setpoint, Command::Text("warm".into())).contains("`warm`: expected a number from 10 to 90"));
        assert!(error(&setpoint, Command::Value(Value::Text("x".into()))).contains("of kind real"));
    }

    #[test]
    fn a_read_only_point_says_so() {
        assert!(error(&point(Kind::Real, None), Command::Text("1".into())).contains("read-only"));
    }

    #[test]
    fn numbers_change_kind_only_where_nothing_is_lost() {
        assert_eq!(fitting(Value::Real(3.0), Kind::Integer), Ok(Value::Integer(3)));
        assert_eq!(fitting(Value::Real(3.5), Kind::Integer), Err(Value::Real(3.5)));
        assert_eq!(fitting(Value::Integer(i64::MAX), Kind::Real), Err(Value::Integer(i64::MAX)));
        assert_eq!(fitting(Value::Text("1.50".into()), Kind::Decimal), Ok(Value::Decimal("1.50".into())));
    }
}
