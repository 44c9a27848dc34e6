//! What goes wrong on a Modbus wire, and the fault a guest gets for it: code for programs, sentence with device, table
//! and address for people. Pure.

use super::coalesce::{Refusal, Request, is_bits};
use bulkhead_sandbox::capability::{Fault, Remedy, Span, Table};

/// Why a request was not answered as asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WireError {
    /// The device answered with an exception (Modbus Application Protocol V1.1b3 §7).
    Exception(u8),
    /// No answer in time.
    Timeout,
    /// There is no connection or port.
    NotConnected(String),
    /// The connection ended, or what came is no answer to the request.
    Broken(String),
}

impl WireError {
    /// The device says that what was asked for is not there, or too much: a smaller request may be answered.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, WireError::Exception(1..=3))
    }

    /// Asking the same device for more is of no use now.
    pub(crate) fn ends_the_call(&self) -> bool {
        // 10 and 11 come from a gateway that cannot reach the device: each further request would wait for it again.
        !matches!(self, WireError::Exception(code) if !matches!(code, 10 | 11))
    }

    /// The fault for what was being done, such as `reading holding-register 100-109`, to a device.
    pub(crate) fn fault(&self, device: &str, doing: &str, timeout_ms: u32) -> Fault {
        match self {
            WireError::Exception(code) => {
                let (remedy, name, meaning) = exception(*code);
                let name = if name.is_empty() { format!("exception-{code}") } else { name.to_owned() };
                Fault::new(remedy, name, format!("{device}: {doing}: exception {code}: {meaning}"))
            }
            WireError::Timeout => Fault::new(
                Remedy::Retry,
                "timeout",
                format!(
                    "{device}: {doing}: no answer within {timeout_ms} ms; is the device on, and is its unit id right?"
                ),
            ),
            WireError::NotConnected(reason) => {
                Fault::new(Remedy::Retry, "not-connected", format!("{device}: {doing}: not connected: {reason}"))
            }
            WireError::Broken(reason) => {
                Fault::new(Remedy::Retry, "bad-answer", format!("{device}: {doing}: {reason}"))
            }
        }
    }
}

/// Remedy, code and meaning of an exception.
fn exception(code: u8) -> (Remedy, &'static str, &'static str) {
    match code {
        1 => (Remedy::Reject, "illegal-function", "the device does not know this function for this table"),
        2 => (
            Remedy::Reject,
            "illegal-data-address",
            "the device does not have this address (some manuals count from 1)",
        ),
        3 => (Remedy::Reject, "illegal-data-value", "the device does not take this value or this many registers"),
        4 => (Remedy::Retry, "device-failure", "the device says it has failed"),
        5 => (Remedy::Retry, "busy", "the device has begun and needs longer"),
        6 => (Remedy::Retry, "busy", "the device is busy with something else"),
        8 => (Remedy::Retry, "memory-parity-error", "the device found an error in its memory"),
        10 => (Remedy::Retry, "gateway-path-unavailable", "the gateway in between has no path to this unit id"),
        11 => (Remedy::Retry, "gateway-target-silent", "the device behind the gateway did not answer"),
        _ => (Remedy::Retry, "", "an exception the standard does not name"),
    }
}

/// The fault of a span that cannot be asked for at all.
pub(crate) fn span_refused(device: &str, span: &Span, refusal: Refusal) -> Fault {
    let what = describe(span.table, span.address, span.count);
    let why = match refusal {
        Refusal::NotGranted => {
            let message = format!("{device}: {what}: outside of the transport's `allow_read`");
            return Fault::new(Remedy::Reject, "not-granted", message);
        }
        Refusal::Empty => "it has no registers: expected a count of at least 1".to_owned(),
        Refusal::PastEnd => "it goes beyond address 65535".to_owned(),
        Refusal::TooLong(max) => format!("it is longer than one request may be: at most {max}"),
    };
    Fault::new(Remedy::Reject, "bad-span", format!("{device}: {what}: {why}"))
}

/// `reading holding-register 100-109`.
pub(crate) fn reading(request: &Request) -> String {
    format!("reading {}", describe(request.table, request.address, request.count))
}

/// `holding-register 100-109`.
pub(crate) fn describe(table: Table, address: u16, count: u16) -> String {
    let name = table_name(table);
    match count {
        0 | 1 => format!("{name} {address}"),
        _ => format!("{name} {address}-{}", u32::from(address) + u32::from(count) - 1),
    }
}

/// The table's name as in the config.
pub(crate) fn table_name(table: Table) -> &'static str {
    match table {
        Table::Coil => "coil",
        Table::DiscreteInput => "discrete-input",
        Table::InputRegister => "input-register",
        Table::HoldingRegister => "holding-register",
    }
}

/// Most words in one write (Modbus Application Protocol V1.1b3 §6.11, §6.12).
pub(crate) fn write_max(table: Table) -> usize {
    if is_bits(table) { 1968 } else { 123 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_name_device_table_address_and_code() {
        let fault = WireError::Exception(2).fault("modbus-tcp plc:502 unit 1", "reading holding-register 7", 100);
        assert_eq!((fault.code.as_str(), fault.remedy), ("illegal-data-address", Remedy::Reject));
        assert!(fault.message.contains("plc:502 unit 1") && fault.message.contains("holding-register 7"));
        assert_eq!(WireError::Exception(6).fault("", "", 0).code, "busy");
        assert_eq!(WireError::Exception(99).fault("", "", 0).code, "exception-99");
        assert_eq!(describe(Table::Coil, 65_535, 1), "coil 65535");
        assert_eq!(describe(Table::Coil, 10, 3), "coil 10-12");
    }

    #[test]
    fn a_busy_device_is_asked_for_the_rest_and_a_silent_one_is_not() {
        assert!(!WireError::Exception(6).ends_the_call() && !WireError::Exception(2).ends_the_call());
        assert!(WireError::Timeout.ends_the_call() && WireError::Exception(11).ends_the_call());
        assert!(WireError::Exception(3).is_refusal() && !WireError::Exception(4).is_refusal());
    }
}
