//! Which coils and holding registers a connection may write: the setting `allow_write`. Pure.

use bulkhead_sandbox::capability::{Change, Table};
use std::ops::RangeInclusive;

/// The ranges that may be written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct WriteGrant(Vec<(Table, RangeInclusive<u16>)>);

/// What a range must look like.
pub(crate) const EXPECTED: &str = "`coil:3`, `coil:0-15`, `holding-register:100` or `holding-register:100-120`";

impl WriteGrant {
    /// Reads the ranges; the error is the text that is none.
    pub(crate) fn parse(ranges: &[String]) -> Result<Self, String> {
        ranges.iter().map(|text| range(text).ok_or_else(|| text.clone())).collect::<Result<_, _>>().map(Self)
    }

    /// Whether every word of a change lies in the ranges; several ranges may cover it together.
    pub(crate) fn allows(&self, change: &Change) -> bool {
        let last = u32::from(change.address) + u32::try_from(change.words.len()).unwrap_or(u32::MAX);
        let mut next = u32::from(change.address);
        while next < last {
            let Some(end) = self.end_of_range_with(change.table, next) else { return false };
            next = end + 1;
        }
        !change.words.is_empty()
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
}
