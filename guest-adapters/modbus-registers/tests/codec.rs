//! The codec against values worked out by hand, and the law that what is written is what is read.
#![allow(clippy::unwrap_used, reason = "a test that fails is what it is for")]

use bulkhead_sdk::text::Encoding;
use bulkhead_sdk::{Scaling, Status, Value};
use modbus_registers::codec::{Codec, Shape, Unreadable, with_bit};
use modbus_registers::settings::WordOrder::{self, Abcd, Badc, Cdab, Dcba};
use proptest::prelude::*;

fn codec(shape: Shape, order: WordOrder) -> Codec {
    Codec { shape, order, scaling: None }
}

fn scaled(shape: Shape, factor: f64, offset: f64) -> Codec {
    Codec { shape, order: Abcd, scaling: Scaling::new(factor, offset) }
}

#[test]
fn registers_decode_to_known_values_and_back() {
    use Shape::{Bcd, F32, F64, Signed, Text, Unsigned};
    let text = |text: &str| Value::Text(text.to_owned());
    let golden: &[(Codec, &[u16], Value)] = &[
        (codec(Unsigned(1), Abcd), &[0xFFFE], Value::Integer(65_534)),
        (codec(Unsigned(1), Badc), &[0x1234], Value::Integer(0x3412)),
        (codec(Signed(1), Abcd), &[0xFFFE], Value::Integer(-2)),
        (codec(Unsigned(2), Abcd), &[0x1234, 0x5678], Value::Integer(0x1234_5678)),
        (codec(Unsigned(2), Cdab), &[0x5678, 0x1234], Value::Integer(0x1234_5678)),
        (codec(Unsigned(2), Badc), &[0x3412, 0x7856], Value::Integer(0x1234_5678)),
        (codec(Unsigned(2), Dcba), &[0x7856, 0x3412], Value::Integer(0x1234_5678)),
        (codec(Signed(2), Cdab), &[0xFFFE, 0xFFFF], Value::Integer(-2)),
        (codec(Unsigned(4), Abcd), &[0x0123, 0x4567, 0x89AB, 0xCDEF], Value::Integer(0x0123_4567_89AB_CDEF)),
        (codec(Unsigned(4), Cdab), &[0xCDEF, 0x89AB, 0x4567, 0x0123], Value::Integer(0x0123_4567_89AB_CDEF)),
        (codec(Unsigned(4), Badc), &[0x2301, 0x6745, 0xAB89, 0xEFCD], Value::Integer(0x0123_4567_89AB_CDEF)),
        (codec(Unsigned(4), Dcba), &[0xEFCD, 0xAB89, 0x6745, 0x2301], Value::Integer(0x0123_4567_89AB_CDEF)),
        (codec(Signed(4), Abcd), &[0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF], Value::Integer(-1)),
        (codec(F32, Abcd), &[0x4276, 0x0000], Value::Real(61.5)),
        (codec(F32, Cdab), &[0x0000, 0x4276], Value::Real(61.5)),
        (codec(F32, Badc), &[0x7642, 0x0000], Value::Real(61.5)),
        (codec(F32, Dcba), &[0x0000, 0x7642], Value::Real(61.5)),
        (codec(F64, Abcd), &[0x3FF8, 0, 0, 0], Value::Real(1.5)),
        (codec(F64, Dcba), &[0, 0, 0, 0xF83F], Value::Real(1.5)),
        (codec(Bcd(1), Abcd), &[0x1234], Value::Integer(1234)),
        (codec(Bcd(2), Abcd), &[0x1234, 0x5678], Value::Integer(12_345_678)),
        (codec(Bcd(2), Cdab), &[0x5678, 0x1234], Value::Integer(12_345_678)),
        (codec(Text(3, Encoding::Utf8), Abcd), &[0x424B, 0x2D37, 0x0000], text("BK-7")),
        (codec(Text(2, Encoding::Utf8), Badc), &[0x4B42, 0x372D], text("BK-7")),
        (codec(Text(1, Encoding::Cp1251), Abcd), &[0xC2E5], text("Ве")),
        (scaled(Signed(1), 0.1, 0.0), &[0xFFFD], Value::Real(-0.3)),
        (scaled(Unsigned(1), 0.01, 0.0), &[1999], Value::Real(19.99)),
        (scaled(Unsigned(1), 0.5, -40.0), &[130], Value::Real(25.0)),
        (scaled(Bcd(1), 10.0, 0.0), &[0x0042], Value::Real(420.0)),
        (codec(Shape::Boolean, Abcd), &[1], Value::Boolean(true)),
        (codec(Shape::Boolean, Abcd), &[0], Value::Boolean(false)),
    ];
    for (codec, words, value) in golden {
        assert_eq!(codec.decode(words).as_ref(), Ok(value), "{codec:?}");
        assert_eq!(codec.encode(value).as_deref(), Ok(*words), "{codec:?}");
    }
}

#[test]
fn what_holds_no_value_is_bad_and_never_zero() {
    for (shape, words, reason, status) in [
        (Shape::F32, vec![0x7FC0, 0], Unreadable::NotANumber, Status::BAD_NO_DATA),
        (Shape::F32, vec![0xFF80, 0], Unreadable::Infinite, Status::BAD_OUT_OF_RANGE),
        (Shape::F64, vec![0x7FF8, 0, 0, 1], Unreadable::NotANumber, Status::BAD_NO_DATA),
        (Shape::Unsigned(4), vec![0x8000, 0, 0, 0], Unreadable::TooLarge, Status::BAD_OUT_OF_RANGE),
        (Shape::Bcd(1), vec![0x12A4], Unreadable::NotDecimal, Status::BAD_DECODING_ERROR),
        (Shape::Text(1, Encoding::Utf8), vec![0xFF41], Unreadable::NotText, Status::BAD_DECODING_ERROR),
    ] {
        assert_eq!(codec(shape, Abcd).decode(&words), Err(reason));
        assert_eq!(reason.status(), status);
    }
}

#[test]
fn values_that_registers_cannot_hold_are_refused_with_the_range() {
    for (codec, value, part) in [
        (codec(Shape::Unsigned(1), Abcd), Value::Integer(65_536), "0 to 65535 fit"),
        (codec(Shape::Unsigned(4), Abcd), Value::Integer(-1), "-1 does not"),
        (codec(Shape::Signed(1), Abcd), Value::Integer(32_768), "-32768 to 32767 fit"),
        (codec(Shape::Bcd(1), Abcd), Value::Integer(10_000), "0 to 9999 fit"),
        (scaled(Shape::Signed(1), 0.1, 0.0), Value::Real(3276.8), "is 32768 in the device"),
        (codec(Shape::F32, Abcd), Value::Real(1e39), "does not fit into an f32"),
        (codec(Shape::F64, Abcd), Value::Real(f64::NAN), "does not fit into an f64"),
        (codec(Shape::Text(1, Encoding::Utf8), Abcd), Value::Text("abc".into()), "3 bytes and the registers hold 2"),
        (codec(Shape::Text(1, Encoding::Latin1), Abcd), Value::Text("€".into()), "the encoding lacks"),
        (codec(Shape::Unsigned(1), Abcd), Value::Real(1.0), "expected a value of kind integer, got real"),
    ] {
        let error = codec.encode(&value).unwrap_err();
        assert!(error.contains(part), "{error} ≠ {part}");
    }
}

#[test]
fn a_bit_is_changed_where_it_is_read() {
    for order in [Abcd, Badc] {
        for bit in 0..16 {
            let on = with_bit(0x0F0F, bit, order, true);
            assert_eq!(codec(Shape::Bit(bit), order).decode(&[on]), Ok(Value::Boolean(true)), "{order:?} {bit}");
            let off = with_bit(on, bit, order, false);
            assert_eq!(codec(Shape::Bit(bit), order).decode(&[off]), Ok(Value::Boolean(false)));
            assert!((on ^ off).is_power_of_two());
        }
    }
}

fn orders() -> impl Strategy<Value = WordOrder> {
    prop_oneof![Just(Abcd), Just(Cdab), Just(Badc), Just(Dcba)]
}

fn number_shapes() -> impl Strategy<Value = Shape> {
    prop_oneof![
        prop_oneof![Just(1u8), Just(2), Just(4)]
            .prop_flat_map(|words| { prop_oneof![Just(Shape::Unsigned(words)), Just(Shape::Signed(words))] }),
        Just(Shape::F32),
        Just(Shape::F64),
        (1u8..=2).prop_map(Shape::Bcd),
    ]
}

proptest! {
    #[test]
    fn what_decodes_encodes_to_the_same_registers(shape in number_shapes(), order in orders(), words: [u16; 4]) {
        let codec = codec(shape, order);
        let words = &words[..codec.words().into()];
        if let Ok(value) = codec.decode(words) {
            prop_assert_eq!(codec.encode(&value).unwrap(), words);
        }
    }

    #[test]
    fn scaled_numbers_of_32_bits_come_back_exactly(
        words: [u16; 2],
        factor in prop_oneof![Just(0.1), Just(0.01), Just(0.001), Just(0.25), Just(10.0), Just(1.0), 0.0001f64..1000.0],
        offset in -1000.0f64..1000.0,
    ) {
        let codec = scaled(Shape::Signed(2), factor, offset);
        let value = codec.decode(&words).unwrap();
        prop_assert_eq!(codec.encode(&value).unwrap(), words);
    }

    #[test]
    fn text_comes_back(text in "[A-Za-zА-я0-9 ]{0,19}[A-Za-z0-9]", order in orders()) {
        let codec = codec(Shape::Text(20, Encoding::Cp1251), order);
        let value = Value::Text(text);
        prop_assert_eq!(codec.decode(&codec.encode(&value).unwrap()).unwrap(), value);
    }
}
