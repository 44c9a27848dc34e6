//! Writing: the inverse of reading, one request a command.

use crate::codec::{Shape, with_bit};
use crate::poll::{TRANSPORT, span};
use crate::register_map::MappedPoint;
use bulkhead_sdk::modbus::{self, Change};
use bulkhead_sdk::{Fault, Value};

/// Writes a value to a point's registers.
///
/// # Errors
/// `out-of-range` for what the registers cannot hold, or the host's fault; the message names the point.
pub(crate) fn write(point: &MappedPoint, value: &Value) -> Result<(), Fault> {
    let mut words = point
        .codec
        .encode(value)
        .map_err(|reason| Fault::reject("out-of-range", format!("point `{}`: {reason}", point.name)))?;
    if let Shape::Bit(bit) = point.codec.shape {
        let register = read_register(point)?;
        words = vec![with_bit(register, bit, point.codec.order, words.first() == Some(&1))];
    }
    let change = Change { table: point.place.table.table(), address: point.place.address, words };
    let result = modbus::write(TRANSPORT, &[change]).pop();
    let silent = || Err(Fault::retry("no-result", "the host gave no result for the write"));
    result.unwrap_or_else(silent).map_err(|fault| named(point, fault))
}

/// The register as it is now, before one of its bits is changed.
fn read_register(point: &MappedPoint) -> Result<u16, Fault> {
    let answer = modbus::read(TRANSPORT, &[span(point)]).map_err(|fault| named(point, fault))?;
    if let Some(refused) = answer.faults.into_iter().next() {
        return Err(named(point, refused.fault));
    }
    let missing = || Fault::retry("short-answer", format!("point `{}`: the host answered no word", point.name));
    answer.words.first().copied().ok_or_else(missing)
}

fn named(point: &MappedPoint, mut fault: Fault) -> Fault {
    fault.message = format!("point `{}`: {}", point.name, fault.message);
    fault
}
