//! From the addresses people write to those that go over the wire.

use crate::settings::{AddressStyle, TableName};

/// Registers or bits a table has.
const TABLE_SIZE: u32 = 65_536;

/// Entries that a reference number of five digits can name in each table: 40001 to 49999.
const SHORT_REFERENCES: u32 = 9_999;

/// A place in a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// The table.
    pub table: TableName,
    /// The address over the wire.
    pub address: u16,
}

/// The place that a table and an address in some style name.
///
/// # Errors
/// A sentence that says what was expected.
pub fn place(style: AddressStyle, table: Option<TableName>, address: u32) -> Result<Place, String> {
    let (table, zero_based) = match style {
        AddressStyle::Reference => reference(table, address)?,
        AddressStyle::ZeroBased | AddressStyle::OneBased => {
            let table = table.ok_or("`table` is missing; only reference numbers such as 40001 go without")?;
            let zero_based = match style {
                AddressStyle::OneBased => {
                    address.checked_sub(1).ok_or("address 0: with one-based addresses the first is 1")?
                }
                _ => address,
            };
            (table, zero_based)
        }
    };
    let last = TABLE_SIZE - 1;
    match u16::try_from(zero_based) {
        Ok(address) => Ok(Place { table, address }),
        Err(_) => Err(format!("address {address} is beyond the last, {last} over the wire")),
    }
}

fn reference(table: Option<TableName>, number: u32) -> Result<(TableName, u32), String> {
    let found = [
        (1, SHORT_REFERENCES, TableName::Coil),
        (10_001, SHORT_REFERENCES, TableName::DiscreteInput),
        (30_001, SHORT_REFERENCES, TableName::InputRegister),
        (40_001, SHORT_REFERENCES, TableName::HoldingRegister),
        (100_001, TABLE_SIZE, TableName::DiscreteInput),
        (300_001, TABLE_SIZE, TableName::InputRegister),
        (400_001, TABLE_SIZE, TableName::HoldingRegister),
    ]
    .into_iter()
    .find_map(|(first, count, table)| number.checked_sub(first).filter(|at| *at < count).map(|at| (table, at)));
    let (named, at) = found.ok_or_else(|| {
        format!(
            "{number} is no reference number: expected 1 to 9999, 10001, 30001, 40001, 100001, 300001, 400001 and up"
        )
    })?;
    match table {
        Some(table) if table != named => {
            Err(format!("reference number {number} is a {}, but `table` says {}", named.name(), table.name()))
        }
        _ => Ok((named, at)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use AddressStyle::{OneBased, Reference, ZeroBased};
    use TableName::{Coil, DiscreteInput, HoldingRegister, InputRegister};

    #[test]
    fn addresses_of_each_style_name_the_same_register() {
        for (style, table, address) in [
            (ZeroBased, Some(HoldingRegister), 99),
            (OneBased, Some(HoldingRegister), 100),
            (Reference, None, 40_100),
            (Reference, Some(HoldingRegister), 400_100),
        ] {
            assert_eq!(place(style, table, address), Ok(Place { table: HoldingRegister, address: 99 }), "{style:?}");
        }
    }

    #[test]
    fn reference_numbers_name_their_table() {
        for (number, table, address) in [
            (1, Coil, 0),
            (9_999, Coil, 9_998),
            (10_001, DiscreteInput, 0),
            (165_536, DiscreteInput, 65_535),
            (30_001, InputRegister, 0),
            (49_999, HoldingRegister, 9_998),
            (465_536, HoldingRegister, 65_535),
        ] {
            assert_eq!(place(Reference, None, number), Ok(Place { table, address }), "{number}");
        }
    }

    #[test]
    fn what_names_no_register_is_said() {
        for (style, table, address, part) in [
            (ZeroBased, Some(Coil), 65_536, "beyond the last"),
            (OneBased, Some(Coil), 0, "the first is 1"),
            (ZeroBased, None, 5, "`table` is missing"),
            (Reference, None, 20_001, "no reference number"),
            (Reference, None, 465_537, "no reference number"),
            (Reference, Some(Coil), 40_001, "is a holding-register, but `table` says coil"),
        ] {
            let error = place(style, table, address).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
