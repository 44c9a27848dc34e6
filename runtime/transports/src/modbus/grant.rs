//! Which registers and bits a connection may read and write: the settings `allow_read` and `allow_write`. Pure.

use bulkhead_sandbox::capability::{Change, Table};
use std::ops::RangeInclusive;

/// Ranges of addresses by table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Ranges(Vec<(Table, RangeInclusive<u16>)>);

/// The ranges that may be written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct WriteGrant(Ranges);

/// The ranges that may be read; none given: everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ReadGrant(Option<Ranges>);

/// What a range that may be written must look like.
pub(crate) const EXPECTED: &str = "`coil:3`, `coil:0-15`, `holding-register:100` or `holding-register:100-120`";
/// What a range that may be read must look like.
pub(crate) const EXPECTED_READ: &str =
    "`coil:3`, `discrete-input:0-15`, `input-register:7` or `holding-register:100-120`";

impl WriteGrant {
    /// Reads the ranges; the error is the text that is none.
    pub(crate) fn parse(ranges: &[String]) -> Result<Self, String> {
        Ranges::parse(ranges, &[Table::Coil, Table::HoldingRegister]).map(Self)
    }

    /// Whether every word of a change lies in the ranges; several ranges may cover it together.
    pub(crate) fn allows(&self, change: &Change) -> bool {
        let first = u32::from(change.address);
        self.0.cover(change.table, first, first + u32::try_from(change.words.len()).unwrap_or(u32::MAX - first))
    }
}

impl ReadGrant {
    /// Reads the ranges; the error is the text that is none. An empty list grants nothing.
    pub(crate) fn parse(ranges: Option<&[String]>) -> Result<Self, String> {
        const TABLES: [Table; 4] = [Table::Coil, Table::DiscreteInput, Table::InputRegister, Table::HoldingRegister];
        ranges.map(|ranges| Ranges::parse(ranges, &TABLES)).transpose().map(Self)
    }

    /// Whether everything from `first` up to, and without, `end` may be read.
    pub(crate) fn allows(&self, table: Table, first: u32, end: u32) -> bool {
        self.0.as_ref().is_none_or(|ranges| ranges.cover(table, first, end))
    }
}

impl Ranges {
    fn parse(ranges: &[String], tables: &[Table]) -> Result<Self, String> {
        let one = |text: &String| range(text).filter(|(table, _)| tables.contains(table)).ok_or_else(|| text.clone());
        ranges.iter().map(one).collect::<Result<_, _>>().map(Self)
    }

    /// Whether the ranges hold all of `first` up to, and without, `end`, several of them together if need be. Nothing is in
    /// no range.
    fn cover(&self, table: Table, first: u32, end: u32) -> bool {
        let mut next = first;
        while next < end {
            let Some(last) = self.end_of_range_with(table, next) else { return false };
            next = last + 1;
        }
        first < end
    }

    /// The furthest end among the ranges that hold an address.
    fn end_of_range_with(&self, table: Table, address: u32) -> Option<u32> {
        let address = u16::try_from(address).ok()?;
        let holding = self.0.iter().filter(|(of, range)| *of == table && range.contains(&address));
        holding.map(|(_, range)| u32::from(*range.end())).max()
    }
}

fn range(text: &str) -> Option<(Table, RangeInclusive<u16>)> {
    let (table, addresses) = text.trim().split_once(':')?;
    let table = match table.trim() {
        "coil" => Table::Coil,
        "discrete-input" => Table::DiscreteInput,
        "input-register" => Table::InputRegister,
        "holding-register" => Table::HoldingRegister,
        _ => return None,
    };
    let (first, last) = addresses.split_once('-').unwrap_or((addresses, addresses));
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first <= last).then_some((table, first..=last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(table: Table, address: u16, count: usize) -> Change {
        Change { table, address, words: vec![0; count] }
    }

    #[test]
    fn a_write_must_lie_in_the_ranges_as_a_whole() {
        let grant =
            WriteGrant::parse(&["holding-register:100-120".into(), "holding-register:121".into(), "coil:3".into()]);
        let grant = grant.unwrap();
        assert!(grant.allows(&change(Table::HoldingRegister, 100, 21)));
        assert!(grant.allows(&change(Table::HoldingRegister, 119, 3)), "two neighbouring ranges cover it together");
        assert!(!grant.allows(&change(Table::HoldingRegister, 120, 3)));
        assert!(!grant.allows(&change(Table::HoldingRegister, 99, 2)));
        assert!(grant.allows(&change(Table::Coil, 3, 1)) && !grant.allows(&change(Table::Coil, 100, 1)));
        assert!(!grant.allows(&change(Table::HoldingRegister, 100, 0)), "nothing to write is nothing granted");
        assert!(!WriteGrant::default().allows(&change(Table::Coil, 0, 1)));
    }

    #[test]
    fn the_last_address_is_an_address() {
        let grant = WriteGrant::parse(&["holding-register:65530-65535".into()]).unwrap();
        assert!(grant.allows(&change(Table::HoldingRegister, 65535, 1)));
        assert!(!grant.allows(&change(Table::HoldingRegister, 65535, 2)));
    }

    #[test]
    fn what_is_no_range_is_named() {
        for text in ["input-register:1", "coil", "coil:", "coil:5-3", "coil:65536", "holding-register:a-b"] {
            assert_eq!(WriteGrant::parse(&[text.to_owned()]), Err(text.to_owned()));
        }
    }

    #[test]
    fn without_a_list_everything_may_be_read_and_with_one_only_what_is_in_it() {
        let everything = ReadGrant::parse(None).unwrap();
        assert!(everything.allows(Table::InputRegister, 0, 65_536));
        let nothing = ReadGrant::parse(Some(&[])).unwrap();
        assert!(!nothing.allows(Table::Coil, 0, 1));
        let some = ReadGrant::parse(Some(&["input-register:10-19".into(), "discrete-input:3".into()])).unwrap();
        assert!(some.allows(Table::InputRegister, 10, 20) && some.allows(Table::DiscreteInput, 3, 4));
        assert!(!some.allows(Table::InputRegister, 9, 11) && !some.allows(Table::InputRegister, 19, 21));
        assert!(!some.allows(Table::HoldingRegister, 10, 11));
        assert_eq!(ReadGrant::parse(Some(&["relay:1".into()])), Err("relay:1".into()));
    }
}
