//! The draft of the WIT package to come, beside the version that is in use: adapters of both run in one gateway. Values of the
//! draft become those of the version in use where they enter, so that nothing behind this module knows two.
//!
//! The draft has what is to change (`unsigned` among the values) and the interfaces around it; it is offered by a build with
//! the feature `wit-next` only, because a draft changes.

mod bindings;

pub(crate) use bindings::EveryRole;
pub(crate) use bindings::exports::bulkhead::adapter as exports;

use crate::bindings::bulkhead::adapter as current;
use crate::capability::Fault;
use crate::host::HostState;
use bindings::bulkhead::adapter as draft;
use wasmtime::Store;

impl draft::types::Host for HostState {}

impl draft::points::Host for HostState {
    async fn declare(&mut self, points: Vec<draft::types::PointInfo>) -> Result<Vec<u32>, draft::types::Fault> {
        let points = points.into_iter().map(point_info).collect();
        current::points::Host::declare(self, points).await.map_err(fault_to_draft)
    }
}

impl draft::log::Host for HostState {
    async fn write(&mut self, level: draft::log::Level, message: String) {
        let level = match level {
            draft::log::Level::Debug => current::log::Level::Debug,
            draft::log::Level::Info => current::log::Level::Info,
            draft::log::Level::Warn => current::log::Level::Warn,
            draft::log::Level::Error => current::log::Level::Error,
        };
        current::log::Host::write(self, level, message).await;
    }

    async fn report(&mut self, point: Option<u32>, reported: draft::types::Fault) {
        current::log::Host::report(self, point, fault(reported)).await;
    }
}

impl draft::clock::Host for HostState {
    async fn now(&mut self) -> i64 {
        current::clock::Host::now(self).await
    }

    async fn monotonic(&mut self) -> u64 {
        current::clock::Host::monotonic(self).await
    }
}

/// What every adapter of the draft exports.
#[derive(Clone)]
pub(crate) struct AdapterExport(pub(crate) exports::adapter::Guest);

impl AdapterExport {
    pub(crate) async fn start(
        &self,
        store: &mut Store<HostState>,
        settings: &str,
    ) -> wasmtime::Result<Result<(), Fault>> {
        Ok(self.0.call_start(store, settings).await?.map_err(fault))
    }

    pub(crate) async fn check(&self, store: &mut Store<HostState>) -> wasmtime::Result<Result<String, Fault>> {
        Ok(self.0.call_check(store).await?.map_err(fault))
    }

    pub(crate) async fn stop(&self, store: &mut Store<HostState>) -> wasmtime::Result<()> {
        self.0.call_stop(store).await
    }
}

/// A poller of the draft.
#[derive(Clone)]
pub(crate) struct PollerExport(pub(crate) exports::poller::Guest);

impl PollerExport {
    pub(crate) async fn poll(
        &self,
        store: &mut Store<HostState>,
        group: &str,
    ) -> wasmtime::Result<Result<Vec<current::types::Reading>, Fault>> {
        let polled = self.0.call_poll(store, group).await?;
        Ok(polled.map(|readings| readings.into_iter().map(reading).collect()).map_err(fault))
    }
}

fn point_info(info: draft::types::PointInfo) -> current::types::PointInfo {
    current::types::PointInfo {
        name: info.name,
        kind: kind(info.kind),
        unit: info.unit,
        group: info.group,
        write: info.write.map(|limits| current::types::WriteLimits { min: limits.min, max: limits.max }),
        description: info.description,
    }
}

fn kind(kind: draft::types::Kind) -> current::types::Kind {
    use current::types::Kind as Current;
    use draft::types::Kind;
    match kind {
        Kind::Boolean => Current::Boolean,
        Kind::Integer => Current::Integer,
        Kind::Real => Current::Real,
        Kind::Decimal | Kind::Unsigned => Current::Decimal,
        Kind::Text => Current::Text,
        Kind::Time => Current::Time,
        Kind::Duration => Current::Duration,
        Kind::Bytes => Current::Bytes,
        Kind::File => Current::File,
    }
}

fn value(value: draft::types::Value) -> current::types::Value {
    use current::types::Value as Current;
    use draft::types::Value;
    match value {
        Value::Boolean(value) => Current::Boolean(value),
        Value::Integer(value) => Current::Integer(value),
        Value::Real(value) => Current::Real(value),
        Value::Decimal(digits) => Current::Decimal(digits),
        Value::Unsigned(value) => Current::Decimal(value.to_string()),
        Value::Text(text) => Current::Text(text),
        Value::Time(time) => Current::Time(time),
        Value::Duration(duration) => Current::Duration(duration),
        Value::Bytes(bytes) => Current::Bytes(bytes),
        Value::File(file) => {
            Current::File(current::types::File { name: file.name, media_type: file.media_type, data: file.data })
        }
    }
}

fn reading(reading: draft::types::Reading) -> current::types::Reading {
    current::types::Reading {
        point: reading.point,
        time: reading.time,
        status: reading.status,
        value: reading.value.map(value),
    }
}

fn fault(fault: draft::types::Fault) -> Fault {
    use current::types::Remedy as Current;
    use draft::types::Remedy;
    let remedy = match fault.remedy {
        Remedy::Retry => Current::Retry,
        Remedy::Reconnect => Current::Reconnect,
        Remedy::Reject => Current::Reject,
        Remedy::Reconfigure => Current::Reconfigure,
    };
    Fault { remedy, code: fault.code, message: fault.message, retry_after_ms: fault.retry_after_ms }
}

fn fault_to_draft(fault: Fault) -> draft::types::Fault {
    use current::types::Remedy as Current;
    use draft::types::Remedy;
    let remedy = match fault.remedy {
        Current::Retry => Remedy::Retry,
        Current::Reconnect => Remedy::Reconnect,
        Current::Reject => Remedy::Reject,
        Current::Reconfigure => Remedy::Reconfigure,
    };
    draft::types::Fault { remedy, code: fault.code, message: fault.message, retry_after_ms: fault.retry_after_ms }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unsigned_number_keeps_every_digit() {
        let given = draft::types::Reading {
            point: 3,
            time: Some(5),
            status: 7,
            value: Some(draft::types::Value::Unsigned(u64::MAX)),
        };
        let expected = current::types::Value::Decimal("18446744073709551615".into());
        assert_eq!(
            reading(given),
            current::types::Reading { point: 3, time: Some(5), status: 7, value: Some(expected) }
        );
        assert_eq!(kind(draft::types::Kind::Unsigned), current::types::Kind::Decimal);
    }

    #[test]
    fn a_fault_is_the_same_on_the_way_there_and_back() {
        let given = Fault {
            remedy: current::types::Remedy::Reconnect,
            code: "gone".into(),
            message: "It went.".into(),
            retry_after_ms: Some(9),
        };
        assert_eq!(fault(fault_to_draft(given.clone())), given);
    }
}
