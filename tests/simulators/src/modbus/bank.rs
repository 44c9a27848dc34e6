//! The registers of one simulated unit: four tables behind one cheap, shared handle.

use crate::SimulatorError;
use parking_lot::{Mutex, MutexGuard};
use std::{ops::Range, sync::Arc};
use tokio::sync::Notify;

/// The four tables of a Modbus device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Table {
    /// One bit, readable and writable (functions 1, 5, 15).
    Coil,
    /// One bit, readable (function 2).
    DiscreteInput,
    /// 16 bits, readable (function 4).
    InputRegister,
    /// 16 bits, readable and writable (functions 3, 6, 16).
    HoldingRegister,
}

/// How the bytes A (most significant) to D of a 32-bit value lie in two registers, or those of a 64-bit value in four.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WordOrder {
    /// Most significant word and byte first, as the standard has it.
    Abcd,
    /// Least significant word first, bytes in order.
    Cdab,
    /// Most significant word first, bytes swapped.
    Badc,
    /// Least significant byte first.
    Dcba,
}

impl WordOrder {
    /// Lays big-endian bytes out as registers in this order.
    #[must_use]
    pub fn words<const BYTES: usize>(self, big_endian: [u8; BYTES]) -> Vec<u16> {
        let swap = matches!(self, WordOrder::Badc | WordOrder::Dcba);
        let words = big_endian.chunks_exact(2).map(|pair| {
            let word = u16::from_be_bytes([pair[0], pair[1]]);
            if swap { word.swap_bytes() } else { word }
        });
        match self {
            WordOrder::Abcd | WordOrder::Badc => words.collect(),
            WordOrder::Cdab | WordOrder::Dcba => words.rev().collect(),
        }
    }
}

/// Which addresses a unit has; a request that touches any other is refused with exception 2.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BankLayout {
    /// Coils.
    pub coils: Vec<Range<u32>>,
    /// Discrete inputs.
    pub discrete_inputs: Vec<Range<u32>>,
    /// Input registers.
    pub input_registers: Vec<Range<u32>>,
    /// Holding registers.
    pub holding_registers: Vec<Range<u32>>,
}

impl BankLayout {
    /// Addresses 0 to `count` (exclusive, at most 65536) in each of the four tables.
    #[must_use]
    pub fn uniform(count: u32) -> Self {
        let ranges = Vec::from_iter(std::iter::once(0..count.min(65_536)));
        Self {
            coils: ranges.clone(),
            discrete_inputs: ranges.clone(),
            input_registers: ranges.clone(),
            holding_registers: ranges,
        }
    }

    /// Replaces the ranges of holding registers, so that there are holes between them.
    #[must_use]
    pub fn holding(mut self, ranges: impl IntoIterator<Item = Range<u32>>) -> Self {
        self.holding_registers = ranges.into_iter().collect();
        self
    }

    /// Replaces the ranges of input registers.
    #[must_use]
    pub fn input(mut self, ranges: impl IntoIterator<Item = Range<u32>>) -> Self {
        self.input_registers = ranges.into_iter().collect();
        self
    }
}

/// One table: its words (a bit is 0 or 1), which of them exist, and how often each was read where that is counted.
#[derive(Debug)]
pub(crate) struct Words {
    ranges: Vec<Range<u32>>,
    values: Vec<u16>,
    reads: Vec<u64>,
}

impl Words {
    fn new(ranges: Vec<Range<u32>>) -> Self {
        let ranges: Vec<_> = ranges.into_iter().map(|range| range.start..range.end.min(65_536)).collect();
        let end = ranges.iter().map(|range| range.end).max().unwrap_or(0) as usize;
        Self { ranges, values: vec![0; end], reads: Vec::new() }
    }

    fn span(&self, address: u16, count: u16) -> Option<Range<usize>> {
        let (start, end) = (u32::from(address), u32::from(address) + u32::from(count));
        // A span may run over the seam of two ranges that touch.
        let mut covered = start;
        while covered < end {
            covered = self.ranges.iter().find(|range| range.contains(&covered))?.end;
        }
        Some(start as usize..end as usize)
    }

    /// The words of a span, counted as read over the wire; none where any of them does not exist.
    pub(crate) fn read(&mut self, address: u16, count: u16) -> Option<&[u16]> {
        let span = self.span(address, count)?;
        if !self.reads.is_empty() {
            self.reads[span.clone()].iter_mut().for_each(|reads| *reads += 1);
        }
        Some(&self.values[span])
    }

    /// The words of a span, to be changed; none where any of them does not exist.
    pub(crate) fn span_mut(&mut self, address: u16, count: u16) -> Option<&mut [u16]> {
        let span = self.span(address, count)?;
        Some(&mut self.values[span])
    }
}

/// The four tables, locked.
#[derive(Debug)]
pub(crate) struct Tables {
    tables: [Words; 4],
}

impl Tables {
    pub(crate) fn table(&mut self, table: Table) -> &mut Words {
        &mut self.tables[table as usize]
    }
}

#[derive(Debug)]
struct Shared {
    tables: Mutex<Tables>,
    written: Notify,
}

/// The registers of one unit; clones share them. A request sees and changes its span in one step, so that a value of
/// several registers is never torn.
#[derive(Clone, Debug)]
pub struct Bank(Arc<Shared>);

impl Bank {
    /// All words zero.
    #[must_use]
    pub fn new(layout: BankLayout) -> Self {
        let BankLayout { coils, discrete_inputs, input_registers, holding_registers } = layout;
        let tables = [coils, discrete_inputs, input_registers, holding_registers].map(Words::new);
        Self(Arc::new(Shared { tables: Mutex::new(Tables { tables }), written: Notify::new() }))
    }

    /// Sets words from an address on; for bits, zero is off and anything else on.
    ///
    /// # Errors
    /// [`SimulatorError::NoSuchRegister`] where the layout lacks one of them; then none is changed.
    pub fn set(&self, table: Table, address: u16, words: &[u16]) -> Result<(), SimulatorError> {
        let count = u16::try_from(words.len()).unwrap_or(u16::MAX);
        let is_bit = matches!(table, Table::Coil | Table::DiscreteInput);
        let mut tables = self.lock();
        let span = tables.table(table).span_mut(address, count).filter(|span| span.len() == words.len());
        let span = span.ok_or(SimulatorError::NoSuchRegister { table, address, count })?;
        for (to, from) in span.iter_mut().zip(words) {
            *to = if is_bit { u16::from(*from != 0) } else { *from };
        }
        drop(tables);
        self.notify_written();
        Ok(())
    }

    /// Sets a 32-bit float in two registers.
    ///
    /// # Errors
    /// As [`Bank::set`].
    pub fn set_f32(&self, table: Table, address: u16, value: f32, order: WordOrder) -> Result<(), SimulatorError> {
        self.set(table, address, &order.words(value.to_be_bytes()))
    }

    /// The words from an address on, as the device would show them now; not counted as read.
    ///
    /// # Errors
    /// [`SimulatorError::NoSuchRegister`] where the layout lacks one of them.
    pub fn get(&self, table: Table, address: u16, count: u16) -> Result<Vec<u16>, SimulatorError> {
        let mut tables = self.lock();
        let words = tables.table(table).span_mut(address, count);
        words.map(|words| words.to_vec()).ok_or(SimulatorError::NoSuchRegister { table, address, count })
    }

    /// Starts counting, from zero, how often each address of a table is read over the wire.
    pub fn count_reads(&self, table: Table) {
        let mut tables = self.lock();
        let words = tables.table(table);
        words.reads = vec![0; words.values.len()];
    }

    /// How often each address from 0 on was read over the wire; empty unless [`Bank::count_reads`] was called.
    #[must_use]
    pub fn reads(&self, table: Table) -> Vec<u64> {
        self.lock().table(table).reads.clone()
    }

    /// Waits until the words from an address on satisfy a predicate; looks anew after every write, local or remote.
    ///
    /// # Errors
    /// [`SimulatorError::NoSuchRegister`] where the layout lacks one of them.
    pub async fn wait_for(
        &self,
        table: Table,
        address: u16,
        count: u16,
        satisfied: impl Fn(&[u16]) -> bool,
    ) -> Result<Vec<u16>, SimulatorError> {
        loop {
            let written = self.0.written.notified();
            let words = self.get(table, address, count)?;
            if satisfied(&words) {
                return Ok(words);
            }
            written.await;
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Tables> {
        self.0.tables.lock()
    }

    pub(crate) fn notify_written(&self) {
        self.0.written.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_may_cross_touching_ranges_but_no_hole() {
        let bank = Bank::new(BankLayout::uniform(0).holding([0..10, 10..20, 30..40]));
        assert_eq!(bank.get(Table::HoldingRegister, 5, 10).unwrap(), vec![0; 10]);
        assert!(bank.get(Table::HoldingRegister, 15, 6).is_err());
        assert!(bank.set(Table::HoldingRegister, 39, &[1, 2]).is_err());
        assert_eq!(bank.get(Table::HoldingRegister, 39, 1).unwrap(), [0]);
        assert!(bank.get(Table::Coil, 0, 1).is_err());
    }

    #[test]
    fn the_last_address_exists_when_the_layout_says_so() {
        let bank = Bank::new(BankLayout::uniform(65_536));
        bank.set(Table::InputRegister, 65_535, &[7]).unwrap();
        assert_eq!(bank.get(Table::InputRegister, 65_535, 1).unwrap(), [7]);
        assert!(bank.get(Table::InputRegister, 65_535, 2).is_err());
    }

    #[test]
    fn word_orders_place_the_bytes_as_their_names_say() {
        let bytes = [0x0A, 0x0B, 0x0C, 0x0D];
        assert_eq!(WordOrder::Abcd.words(bytes), [0x0A0B, 0x0C0D]);
        assert_eq!(WordOrder::Cdab.words(bytes), [0x0C0D, 0x0A0B]);
        assert_eq!(WordOrder::Badc.words(bytes), [0x0B0A, 0x0D0C]);
        assert_eq!(WordOrder::Dcba.words(bytes), [0x0D0C, 0x0B0A]);
    }
}
