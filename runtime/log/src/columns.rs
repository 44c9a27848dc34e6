//! How one column of a block is written: whole numbers, reals, runs of equal numbers, and bytes. Pure.
//!
//! | column | bytes |
//! | --- | --- |
//! | numbers, none | nothing |
//! | numbers, all equal | `0`, the number (varint, zigzag) |
//! | numbers, few | `1`, for each its difference from the one before (varint, zigzag) |
//! | numbers, else | `2`, pco: its header, a chunk's metadata, one page (i64) |
//! | reals, none | nothing |
//! | reals | `2`, pco as above (f64) |
//! | runs | how many (varint), the column of their numbers behind its length (varint), the column of their lengths |
//! | bytes | `0` and they themselves, or `1` and an LZ4 block |
//!
//! How many numbers there are is known from elsewhere. A varint is LEB128, as in Protocol Buffers.

use pco::data_types::Number;
use pco::wrapped::{FileCompressor, FileDecompressor};
use pco::{ChunkConfig, DecompressorScratch, DeltaSpec, ModeSpec};

/// How hard pco tries: on 4,096 numbers level 8 gains 3 bytes in 100 over level 5 and takes up to three times as long.
const PCO_LEVEL: usize = 5;
/// Up to so many numbers are written as differences: pco's metadata would outweigh them.
const FEW: usize = 24;

/// Bytes that are not what this module writes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Damage(pub(crate) String);

impl Damage {
    pub(crate) fn of(what: impl std::fmt::Display) -> Self {
        Self(what.to_string())
    }
}

/// What is known of a column of whole numbers before it is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Shape {
    /// Each is near the one before it.
    Near,
    /// Nothing: what suits is tried.
    Any,
}

/// Appends a number of seven bits a byte.
pub(crate) fn put_varint(into: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        into.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    into.push(number.to_le_bytes()[0]);
}

/// Takes such a number off the front.
pub(crate) fn take_varint(from: &mut &[u8]) -> Result<u64, Damage> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = from.split_first().ok_or_else(|| Damage::of("a number is cut off"))?;
        *from = rest;
        let bits = u64::from(byte & 0x7f);
        number |= bits << shift;
        if (bits << shift) >> shift != bits {
            break;
        }
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Damage::of("a number is longer than 64 bits"))
}

/// Takes so many bytes off the front.
pub(crate) fn take_bytes<'a>(from: &mut &'a [u8], length: u64) -> Result<&'a [u8], Damage> {
    let length = usize::try_from(length).map_err(Damage::of)?;
    let (taken, rest) = from.split_at_checked(length).ok_or_else(|| Damage::of("a column is cut off"))?;
    *from = rest;
    Ok(taken)
}

fn zigzag(number: i64) -> u64 {
    (number.cast_unsigned() << 1) ^ (number >> 63).cast_unsigned()
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

/// Writes a column of whole numbers.
pub(crate) fn put_numbers(into: &mut Vec<u8>, numbers: &[i64], shape: Shape) -> Result<(), Damage> {
    let Some(&first) = numbers.first() else { return Ok(()) };
    if numbers.iter().all(|number| *number == first) {
        into.push(0);
        put_varint(into, zigzag(first));
    } else if numbers.len() <= FEW {
        into.push(1);
        let mut before = 0_i64;
        for number in numbers {
            put_varint(into, zigzag(number.wrapping_sub(before)));
            before = *number;
        }
    } else {
        let config = ChunkConfig::default().with_compression_level(PCO_LEVEL);
        let config = match shape {
            Shape::Near => config.with_mode_spec(ModeSpec::Classic).with_delta_spec(DeltaSpec::TryConsecutive(1)),
            Shape::Any => config,
        };
        put_pco(into, numbers, &config)?;
    }
    Ok(())
}

/// Writes a column of reals, each bit of them.
pub(crate) fn put_reals(into: &mut Vec<u8>, reals: &[f64]) -> Result<(), Damage> {
    if reals.is_empty() {
        return Ok(());
    }
    put_pco(into, reals, &ChunkConfig::default().with_compression_level(PCO_LEVEL))
}

fn put_pco<T: Number>(into: &mut Vec<u8>, numbers: &[T], config: &ChunkConfig) -> Result<(), Damage> {
    let file = FileCompressor::default();
    into.push(2);
    let mut write = || {
        file.write_header(&mut *into)?;
        let mut chunk = file.chunk_compressor(numbers, config)?;
        chunk.write_meta(&mut *into)?;
        chunk.write_page(0, &mut *into).map(drop)
    };
    write().map_err(Damage::of)
}

/// Reads columns; keeps what decompression needs from one column to the next.
#[derive(Default)]
pub(crate) struct ColumnReader {
    scratch: DecompressorScratch,
}

impl std::fmt::Debug for ColumnReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ColumnReader").finish_non_exhaustive()
    }
}

impl ColumnReader {
    /// Reads a column of so many whole numbers.
    pub(crate) fn numbers(&mut self, mut column: &[u8], count: usize) -> Result<Vec<i64>, Damage> {
        if count == 0 {
            return is_empty(column).map(|()| Vec::new());
        }
        let (&tag, rest) = column.split_first().ok_or_else(|| Damage::of("a column of numbers is missing"))?;
        column = rest;
        match tag {
            0 => {
                let number = unzigzag(take_varint(&mut column)?);
                is_empty(column).map(|()| vec![number; count])
            }
            1 if count <= FEW => {
                let mut before = 0_i64;
                let numbers = (0..count)
                    .map(|_| {
                        before = before.wrapping_add(unzigzag(take_varint(&mut column)?));
                        Ok(before)
                    })
                    .collect::<Result<_, Damage>>()?;
                is_empty(column).map(|()| numbers)
            }
            2 => self.pco(column, count),
            _ => Err(Damage::of(format!("a column of {count} numbers begins with {tag}"))),
        }
    }

    /// Reads a column of so many reals.
    pub(crate) fn reals(&mut self, column: &[u8], count: usize) -> Result<Vec<f64>, Damage> {
        match (count, column.split_first()) {
            (0, None) => Ok(Vec::new()),
            (1.., Some((2, rest))) => self.pco(rest, count),
            _ => Err(Damage::of(format!("{} bytes are no column of {count} reals", column.len()))),
        }
    }

    fn pco<T: Number + Default>(&mut self, column: &[u8], count: usize) -> Result<Vec<T>, Damage> {
        let mut numbers = vec![T::default(); count];
        let mut read = || {
            let (file, rest) = FileDecompressor::new(column)?;
            let (chunk, rest) = file.chunk_decompressor::<T, _>(rest)?;
            let mut page = chunk.page_decompressor_with_scratch(rest, count, &mut self.scratch)?;
            page.read(&mut numbers)?;
            Ok::<_, pco::errors::PcoError>(page.into_src())
        };
        let rest = read().map_err(Damage::of)?;
        is_empty(rest).map(|()| numbers)
    }

    /// Reads a column of runs: each run's number and the row behind its last one. They cover so many rows.
    pub(crate) fn runs(&mut self, mut column: &[u8], rows: usize) -> Result<Vec<(u32, usize)>, Damage> {
        let count = usize::try_from(take_varint(&mut column)?).map_err(Damage::of)?;
        if count > rows {
            return Err(Damage::of(format!("{count} runs in {rows} rows")));
        }
        let length = take_varint(&mut column)?;
        let numbers = self.numbers(take_bytes(&mut column, length)?, count)?;
        let lengths = self.numbers(column, count)?;
        let mut end = 0_usize;
        let mut runs = Vec::with_capacity(count);
        for (number, length) in numbers.into_iter().zip(lengths) {
            let length = usize::try_from(length).map_err(Damage::of)?;
            end = end.checked_add(length).filter(|end| *end <= rows).ok_or_else(|| Damage::of("runs too long"))?;
            runs.push((u32::try_from(number).map_err(Damage::of)?, end));
        }
        if end == rows { Ok(runs) } else { Err(Damage::of(format!("runs over {end} of {rows} rows"))) }
    }
}

fn is_empty(rest: &[u8]) -> Result<(), Damage> {
    if rest.is_empty() { Ok(()) } else { Err(Damage::of(format!("{} bytes too many in a column", rest.len()))) }
}

/// Writes numbers as runs of equal ones.
pub(crate) fn put_runs(into: &mut Vec<u8>, numbers: impl Iterator<Item = u32>) -> Result<(), Damage> {
    let (mut values, mut lengths): (Vec<i64>, Vec<i64>) = (Vec::new(), Vec::new());
    for number in numbers.map(i64::from) {
        match (values.last(), lengths.last_mut()) {
            (Some(last), Some(length)) if *last == number => *length += 1,
            _ => {
                values.push(number);
                lengths.push(1);
            }
        }
    }
    put_varint(into, values.len() as u64);
    let mut column = Vec::new();
    put_numbers(&mut column, &values, Shape::Near)?;
    put_varint(into, column.len() as u64);
    into.append(&mut column);
    put_numbers(into, &lengths, Shape::Any)
}

/// Writes bytes, compressed where that makes them fewer.
pub(crate) fn put_text(into: &mut Vec<u8>, text: &[u8]) {
    if text.is_empty() {
        return;
    }
    let packed = lz4_flex::block::compress(text);
    let (tag, bytes) = if packed.len() < text.len() { (1, packed.as_slice()) } else { (0, text) };
    into.push(tag);
    into.extend_from_slice(bytes);
}

/// Reads so many bytes.
pub(crate) fn take_text(column: &[u8], length: usize) -> Result<Vec<u8>, Damage> {
    match column.split_first() {
        None if length == 0 => Ok(Vec::new()),
        Some((0, bytes)) if bytes.len() == length => Ok(bytes.to_owned()),
        Some((1, packed)) => {
            let mut text = vec![0; length];
            let found = lz4_flex::block::decompress_into(packed, &mut text).map_err(Damage::of)?;
            if found == length { Ok(text) } else { Err(Damage::of(format!("{found} of {length} bytes"))) }
        }
        _ => Err(Damage::of(format!("a column of {length} bytes has {}", column.len()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn numbers_back(numbers: &[i64], shape: Shape) -> Vec<i64> {
        let mut column = Vec::new();
        put_numbers(&mut column, numbers, shape).unwrap();
        ColumnReader::default().numbers(&column, numbers.len()).unwrap()
    }

    fn reals_back(reals: &[f64]) -> Vec<u64> {
        let mut column = Vec::new();
        put_reals(&mut column, reals).unwrap();
        ColumnReader::default().reals(&column, reals.len()).unwrap().into_iter().map(f64::to_bits).collect()
    }

    /// Numbers as they come: anything, near each other, all alike, multiples.
    fn numbers() -> impl Strategy<Value = Vec<i64>> {
        prop_oneof![
            prop::collection::vec(any::<i64>(), 0..300),
            prop::collection::vec(-3..3_i64, 0..300),
            (any::<i64>(), 0..300_usize).prop_map(|(number, count)| vec![number; count]),
            prop::collection::vec((0..9_i64).prop_map(|n| n * 1_000_003), 0..300),
        ]
    }

    /// Bit patterns of reals: anything at all, decimals, and what is no number.
    fn real_bits() -> impl Strategy<Value = Vec<u64>> {
        let odd = [0_u64, 1 << 63, 1, f64::INFINITY.to_bits(), f64::NEG_INFINITY.to_bits(), f64::NAN.to_bits()];
        prop_oneof![
            prop::collection::vec(any::<u64>(), 0..300),
            prop::collection::vec((-500..500_i32).prop_map(|n| (f64::from(n) / 10.0).to_bits()), 0..300),
            prop::collection::vec(prop::sample::select(odd.to_vec()), 0..300),
            prop::collection::vec((0..u64::MAX).prop_map(|bits| bits | 0x7ff0_0000_0000_0000), 0..300),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]
        #[test]
        fn numbers_come_back_as_they_were(numbers in numbers()) {
            prop_assert_eq!(&numbers_back(&numbers, Shape::Near), &numbers);
            prop_assert_eq!(&numbers_back(&numbers, Shape::Any), &numbers);
        }

        #[test]
        fn every_bit_of_a_real_comes_back(bits in real_bits()) {
            let reals: Vec<f64> = bits.iter().map(|bits| f64::from_bits(*bits)).collect();
            prop_assert_eq!(reals_back(&reals), bits);
        }

        #[test]
        fn runs_come_back_as_they_were(lengths in prop::collection::vec((0..5_u32, 1..40_usize), 0..80)) {
            let numbers: Vec<u32> = lengths.iter().flat_map(|(n, length)| vec![*n * 1_000_000; *length]).collect();
            let mut column = Vec::new();
            put_runs(&mut column, numbers.iter().copied()).unwrap();
            let runs = ColumnReader::default().runs(&column, numbers.len()).unwrap();
            let mut from = 0;
            let mut back = Vec::new();
            for (number, end) in runs {
                back.extend(std::iter::repeat_n(number, end - from));
                from = end;
            }
            prop_assert_eq!(back, numbers);
        }

        #[test]
        fn bytes_come_back_as_they_were(text in prop_oneof![any::<Vec<u8>>(), "(abc){0,200}".prop_map(String::into_bytes)]) {
            let mut column = Vec::new();
            put_text(&mut column, &text);
            prop_assert_eq!(take_text(&column, text.len()).unwrap(), text);
        }

        #[test]
        fn other_bytes_are_refused_or_read_but_never_past_their_end(bytes in any::<Vec<u8>>(), count in 0..200_usize) {
            let mut reader = ColumnReader::default();
            let _ = (reader.numbers(&bytes, count), reader.reals(&bytes, count), reader.runs(&bytes, count));
            let _ = take_text(&bytes, count);
        }
    }

    #[test]
    fn the_ends_of_the_range_come_back() {
        let ends = [i64::MIN, i64::MAX, 0, -1, i64::MIN];
        assert_eq!(numbers_back(&ends, Shape::Near), ends);
        assert_eq!(numbers_back(&ends.repeat(50), Shape::Near), ends.repeat(50));
        for number in [0, 127, 128, u64::MAX] {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, number);
            assert_eq!(take_varint(&mut bytes.as_slice()), Ok(number));
        }
        assert!(take_varint(&mut [0xff; 10].as_slice()).is_err());
    }
}
