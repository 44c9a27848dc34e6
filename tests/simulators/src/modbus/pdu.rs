//! What a device answers to a request: the protocol data unit, without transport. Application Protocol V1.1b3, section 6.

use super::bank::{Table, Tables};

/// Exception codes, section 7 of the Application Protocol.
pub mod exception {
    /// The device does not know the function.
    pub const ILLEGAL_FUNCTION: u8 = 1;
    /// It lacks one of the addresses.
    pub const ILLEGAL_DATA_ADDRESS: u8 = 2;
    /// A count or value is outside what the function allows.
    pub const ILLEGAL_DATA_VALUE: u8 = 3;
    /// It failed.
    pub const SERVER_DEVICE_FAILURE: u8 = 4;
    /// It is busy: try later.
    pub const SERVER_DEVICE_BUSY: u8 = 6;
    /// A gateway got no answer from the unit.
    pub const GATEWAY_TARGET_FAILED_TO_RESPOND: u8 = 11;
}

use exception::{ILLEGAL_DATA_ADDRESS, ILLEGAL_DATA_VALUE, ILLEGAL_FUNCTION};

/// Longest protocol data unit in bytes.
pub(crate) const MAX_PDU_BYTES: usize = 253;

const MAX_READ_BITS: u16 = 2000;
const MAX_READ_REGISTERS: u16 = 125;
const MAX_WRITE_BITS: u16 = 1968;
const MAX_WRITE_REGISTERS: u16 = 123;

/// What a request did, for the counters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Done {
    /// It read this many registers or bits.
    Read(u16),
    /// It wrote this many.
    Wrote(u16),
    /// It was refused with this exception.
    Refused(u8),
}

/// The first address of a request, 0 where it has none.
pub(crate) fn first_address(request: &[u8]) -> u16 {
    word(request, 1).unwrap_or(0)
}

/// Appends the answer to a request.
pub(crate) fn answer(request: &[u8], tables: &mut Tables, out: &mut Vec<u8>) -> Done {
    let function = request.first().copied().unwrap_or(0);
    let start = out.len();
    execute(function, request, tables, out).unwrap_or_else(|code| {
        out.truncate(start);
        refuse(function, code, out);
        Done::Refused(code)
    })
}

/// Appends an exception.
pub(crate) fn refuse(function: u8, code: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(&[function | 0x80, code]);
}

fn execute(function: u8, request: &[u8], tables: &mut Tables, out: &mut Vec<u8>) -> Result<Done, u8> {
    match function {
        1 => read_bits(Table::Coil, request, tables, out),
        2 => read_bits(Table::DiscreteInput, request, tables, out),
        3 => read_registers(Table::HoldingRegister, request, tables, out),
        4 => read_registers(Table::InputRegister, request, tables, out),
        5 => write_single(Table::Coil, request, tables, out),
        6 => write_single(Table::HoldingRegister, request, tables, out),
        15 => write_coils(request, tables, out),
        16 => write_registers(request, tables, out),
        _ => Err(ILLEGAL_FUNCTION),
    }
}

fn word(request: &[u8], at: usize) -> Result<u16, u8> {
    let bytes = request.get(at..at + 2).ok_or(ILLEGAL_DATA_VALUE)?;
    Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
}

fn span(request: &[u8], length: usize, most: u16) -> Result<(u16, u16), u8> {
    let (address, count) = (word(request, 1)?, word(request, 3)?);
    if count == 0 || count > most || request.len() != length { Err(ILLEGAL_DATA_VALUE) } else { Ok((address, count)) }
}

fn read_bits(table: Table, request: &[u8], tables: &mut Tables, out: &mut Vec<u8>) -> Result<Done, u8> {
    let (address, count) = span(request, 5, MAX_READ_BITS)?;
    let bits = tables.table(table).read(address, count).ok_or(ILLEGAL_DATA_ADDRESS)?;
    out.extend_from_slice(&[request[0], count.div_ceil(8) as u8]);
    out.extend(bits.chunks(8).map(|bits| bits.iter().rev().fold(0, |byte, bit| byte << 1 | *bit as u8)));
    Ok(Done::Read(count))
}

fn read_registers(table: Table, request: &[u8], tables: &mut Tables, out: &mut Vec<u8>) -> Result<Done, u8> {
    let (address, count) = span(request, 5, MAX_READ_REGISTERS)?;
    let words = tables.table(table).read(address, count).ok_or(ILLEGAL_DATA_ADDRESS)?;
    out.extend_from_slice(&[request[0], (count * 2) as u8]);
    let start = out.len();
    out.resize(start + words.len() * 2, 0);
    for (to, word) in out[start..].chunks_exact_mut(2).zip(words) {
        to.copy_from_slice(&word.to_be_bytes());
    }
    Ok(Done::Read(count))
}

fn write_single(table: Table, request: &[u8], tables: &mut Tables, out: &mut Vec<u8>) -> Result<Done, u8> {
    let (address, value) = (word(request, 1)?, word(request, 3)?);
    let value = match (table, value) {
        (Table::Coil, 0xFF00) => 1,
        (Table::Coil, 0) => 0,
        (Table::Coil, _) => return Err(ILLEGAL_DATA_VALUE),
        (_, value) => value,
    };
    tables.table(table).span_mut(address, 1).ok_or(ILLEGAL_DATA_ADDRESS)?[0] = value;
    out.extend_from_slice(&request[..5]);
    Ok(Done::Wrote(1))
}

fn write_coils(request: &[u8], tables: &mut Tables, out: &mut Vec<u8>) -> Result<Done, u8> {
    let bytes = usize::from(*request.get(5).ok_or(ILLEGAL_DATA_VALUE)?);
    let (address, count) = span(request, 6 + bytes, MAX_WRITE_BITS)?;
    if bytes != usize::from(count.div_ceil(8)) {
        return Err(ILLEGAL_DATA_VALUE);
    }
    let coils = tables.table(Table::Coil).span_mut(address, count).ok_or(ILLEGAL_DATA_ADDRESS)?;
    for (index, coil) in coils.iter_mut().enumerate() {
        *coil = u16::from(request[6 + index / 8] >> (index % 8) & 1);
    }
    out.extend_from_slice(&request[..5]);
    Ok(Done::Wrote(count))
}

fn write_registers(request: &[u8], tables: &mut Tables, out: &mut Vec<u8>) -> Result<Done, u8> {
    let bytes = usize::from(*request.get(5).ok_or(ILLEGAL_DATA_VALUE)?);
    let (address, count) = span(request, 6 + bytes, MAX_WRITE_REGISTERS)?;
    if bytes != usize::from(count) * 2 {
        return Err(ILLEGAL_DATA_VALUE);
    }
    let words = tables.table(Table::HoldingRegister).span_mut(address, count).ok_or(ILLEGAL_DATA_ADDRESS)?;
    for (word, bytes) in words.iter_mut().zip(request[6..].chunks_exact(2)) {
        *word = u16::from_be_bytes([bytes[0], bytes[1]]);
    }
    out.extend_from_slice(&request[..5]);
    Ok(Done::Wrote(count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modbus::{Bank, BankLayout};

    /// Request and answer as in the examples of section 6: both without unit and checksum.
    fn check(bank: &Bank, request: &[u8], expected: &[u8]) {
        let mut out = Vec::new();
        answer(request, &mut bank.lock(), &mut out);
        assert_eq!(out, expected, "answer to {request:02x?}");
    }

    #[test]
    fn the_examples_of_the_standard() {
        let bank = Bank::new(BankLayout::uniform(1000));
        let bits: Vec<u16> =
            [0xCDu8, 0x6B, 0x05].iter().flat_map(|b| (0..8).map(move |i| u16::from(b >> i & 1))).collect();
        bank.set(Table::Coil, 0x13, &bits[..19]).unwrap();
        check(&bank, &[1, 0, 0x13, 0, 0x13], &[1, 3, 0xCD, 0x6B, 0x05]);
        bank.set(Table::HoldingRegister, 0x6B, &[0x022B, 0, 0x64]).unwrap();
        check(&bank, &[3, 0, 0x6B, 0, 3], &[3, 6, 2, 0x2B, 0, 0, 0, 0x64]);
        check(&bank, &[5, 0, 0xAC, 0xFF, 0], &[5, 0, 0xAC, 0xFF, 0]);
        check(&bank, &[6, 0, 1, 0, 3], &[6, 0, 1, 0, 3]);
        check(&bank, &[15, 0, 0x13, 0, 0x0A, 2, 0xCD, 1], &[15, 0, 0x13, 0, 0x0A]);
        check(&bank, &[16, 0, 1, 0, 2, 4, 0, 0x0A, 1, 2], &[16, 0, 1, 0, 2]);
        assert_eq!(bank.get(Table::Coil, 0xAC, 1).unwrap(), [1]);
        assert_eq!(bank.get(Table::HoldingRegister, 1, 2).unwrap(), [0x0A, 0x102]);
    }

    #[test]
    fn refusals() {
        let bank = Bank::new(BankLayout::uniform(100));
        check(&bank, &[0x2B, 0, 0, 0, 1], &[0xAB, ILLEGAL_FUNCTION]);
        check(&bank, &[3, 0, 99, 0, 2], &[0x83, ILLEGAL_DATA_ADDRESS]);
        check(&bank, &[3, 0, 0, 0, 0], &[0x83, ILLEGAL_DATA_VALUE]);
        check(&bank, &[3, 0, 0, 0, 126], &[0x83, ILLEGAL_DATA_VALUE]);
        check(&bank, &[3, 0, 0], &[0x83, ILLEGAL_DATA_VALUE]);
        check(&bank, &[5, 0, 0, 0x12, 0x34], &[0x85, ILLEGAL_DATA_VALUE]);
        check(&bank, &[16, 0, 0, 0, 2, 3, 0, 0, 0], &[0x90, ILLEGAL_DATA_VALUE]);
        check(&bank, &[15, 0, 0, 0, 9, 1, 0], &[0x8F, ILLEGAL_DATA_VALUE]);
        check(&bank, &[], &[0x80, ILLEGAL_FUNCTION]);
    }

    proptest::proptest! {
        #[test]
        fn any_request_gets_an_answer_of_legal_length(request in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let bank = Bank::new(BankLayout::uniform(65_536));
            let mut out = Vec::new();
            answer(&request, &mut bank.lock(), &mut out);
            proptest::prop_assert!((2..=MAX_PDU_BYTES).contains(&out.len()));
        }
    }
}
