//! Actions: the same ways into the engine and the config as those of the REST API.

use super::model::{DISABLE, ENABLE, TEST, TESTED, WRITE, WRITTEN};
use super::row::text_of;
use super::service::GatewayService;
use crate::problem::Problem;
use bulkhead_engine::Command;
use bulkhead_odata::{Error, Home, Invocation, Record, Value};
use serde_json::json;
use std::sync::Arc;
use tokio::runtime::Handle;

/// Carries an action out. Blocks.
pub(super) fn invoke(service: &GatewayService, invocation: &Invocation<'_>) -> Result<Value, Error> {
    let text = |position: usize| match invocation.entity.and_then(|entity| entity.values.get(position)) {
        Some(Value::String(text)) => Ok(text.as_str()),
        _ => Err(Error::Internal("an action without the entity it is bound to".into())),
    };
    match invocation.operation.name.as_str() {
        WRITE => {
            // Of a point: its connection and its name.
            let Some(Value::String(value)) = invocation.arguments.first() else {
                return Err(Error::invalid("Value", "a value is expected"));
            };
            write(service, text(1)?, text(2)?, value)
        }
        ENABLE => switch(service, text(0)?, true),
        DISABLE => switch(service, text(0)?, false),
        TEST => test(service, text(0)?),
        other => Err(Error::unsupported(other, "this action is not carried out here")),
    }
}

fn may(allowed: bool, what: &str) -> Result<(), Error> {
    if allowed {
        return Ok(());
    }
    let message = format!("this credential may not {what}");
    Err(Error::Refused { status: 403, code: "forbidden".into(), message })
}

fn write(service: &GatewayService, connection: &str, point: &str, value: &str) -> Result<Value, Error> {
    may(service.rights.write, "write to points")?;
    let writing = service.engine().write(connection, point, Command::Text(value.to_owned()));
    let written = Handle::current().block_on(writing).map_err(|error| refused(error.into()))?;
    *service.note.lock() = Some(json!({ "written": crate::json::value(&written.value) }));
    let read_back = written.read_back.as_ref();
    let number = |number: u64| Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
    let back = read_back.and_then(|row| row.reading.value.as_ref());
    Ok(complex(
        service,
        WRITTEN,
        vec![
            Value::String(text_of(&written.value)),
            back.map_or(Value::Null, |value| Value::String(text_of(value))),
            read_back.map_or(Value::Null, |row| number(row.seq)),
            read_back.map_or(Value::Null, |row| Value::DateTimeOffset(row.reading.time.0)),
            read_back.map_or(Value::Null, |row| Value::Int(i64::from(row.reading.status.0))),
        ],
    ))
}

/// Changes the config as if its author had: everything else of its text stays.
fn switch(service: &GatewayService, connection: &str, enabled: bool) -> Result<Value, Error> {
    may(service.rights.configure, "change the config")?;
    let switching = crate::config::switched(&service.app, connection, enabled);
    Handle::current().block_on(switching).map(|_| Value::Null).map_err(refused)
}

fn test(service: &GatewayService, connection: &str) -> Result<Value, Error> {
    may(service.rights.write, "test connections")?;
    let testing = service.engine().test(connection);
    let found = Handle::current().block_on(testing).map_err(|error| refused(error.into()))?;
    let (ok, message) = match found {
        Ok(message) => (true, message),
        Err(message) => (false, message),
    };
    Ok(complex(service, TESTED, vec![Value::Boolean(ok), Value::String(message)]))
}

fn complex(service: &GatewayService, name: &str, values: Vec<Value>) -> Value {
    let ty = service.model.type_place(name).unwrap_or_default();
    Value::Record(Arc::new(Record { ty, home: Home::None, values }))
}

/// The problem that the REST API would answer with.
fn refused(problem: Problem) -> Error {
    let (code, message) = problem.told();
    Error::Refused { status: problem.status().as_u16(), code, message }
}
