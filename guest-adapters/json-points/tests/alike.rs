//! A payload that is like one before is not parsed, only compared and its values read. Whatever it holds, its readings and faults
//! are those of an adapter that has seen no other.

use bulkhead_json_points::{Arrival, Mapping, Origins, Rule, RuleSettings};
use bulkhead_sdk::testing::Host;
use bulkhead_sdk::{Reading, Status};
use proptest::prelude::*;

/// Each type of point, with and without what may be left out, at places of each kind.
const MAPPING: &str = r#"{
    "time": { "path": "t", "optional": true },
    "points": [
        { "path": "a", "scale": 0.1 }, { "path": "b.a", "type": "boolean", "optional": true },
        { "path": "b.b[1]", "type": "integer" }, { "path": "temperature of the bearing", "optional": true },
        { "path": "c", "type": "text", "optional": true },
        { "path": "d", "type": "time", "format": "unix-ms", "optional": true }
    ] }"#;

fn origins(mapping: &str) -> Origins {
    let mapping: Mapping = serde_json::from_str(mapping).expect("a mapping");
    let settings = RuleSettings { key: "filter", filter: "x", name: None, mapping, takes_arrays: false };
    let rule = Rule::compile(&settings).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    Origins::new(vec![rule]).unwrap_or_else(|fault| panic!("{}", fault.message))
}

/// Readings and faults, as text.
fn read(origins: &mut Origins, payload: &[u8]) -> (Vec<Reading>, Vec<String>) {
    let arrival =
        Arrival { origin: format_args!("x"), received: 5, status_without_time: Status::UNCERTAIN_LAST_USABLE_VALUE };
    let (mut readings, mut faults) = (Vec::new(), Vec::new());
    let mut report = |point, fault| faults.push(format!("{point:?} {fault:?}"));
    assert_eq!(origins.read("x", payload, arrival, &mut readings, &mut report).ok(), Some(true));
    (readings, faults)
}

/// The last of some payloads is read as if it were the only one.
fn check(payloads: &[&[u8]]) {
    check_mapping(MAPPING, payloads);
}

fn check_mapping(mapping: &str, payloads: &[&[u8]]) {
    let _host = Host::install();
    let mut experienced = origins(mapping);
    let seen = payloads.iter().map(|payload| read(&mut experienced, payload)).last();
    let alone = payloads.last().map(|payload| read(&mut origins(mapping), payload));
    let shown: Vec<String> = payloads.iter().map(|payload| payload.escape_ascii().to_string()).collect();
    // As text, since a zero is not a zero with a sign.
    assert_eq!(format!("{seen:?}"), format!("{alone:?}"), "{shown:#?}");
}

#[test]
fn values_of_another_type_and_texts_that_are_none_are_told_as_ever() {
    let first =
        r#"{"t":"2026-05-04T10:00:00Z","a":1.5,"b":{"a":true,"b":[0,1]},"c":"x","d":1700000000000,"e":[1,{"f":null}]}"#;
    for (from, to) in [
        ("1.5", "null"),
        ("1.5", "\"warm\""),
        ("1.5", "1e999"),
        ("1.5", "1.7e308"),
        ("1.5", "-0"),
        ("1.5", "01"),
        ("1.5", "1."),
        ("1.5", "123456789012345678901234567890"),
        ("1.5", "1234567890.1234567890"),
        ("1.5", "90071992547409931.5"),
        ("1.5", "9007199254740993e-3"),
        ("1.5", "900719925474099.3"),
        ("1.5", "1.5e22"),
        ("1.5", "1e-23"),
        ("1.5", "{}"),
        ("1.5", "1.5 "),
        ("1.5", "1.5,\"a\":2"),
        ("true", "truer"),
        ("true", "1"),
        ("[0,1]", "[0,1.5]"),
        ("[0,1]", "[0]"),
        ("[0,1]", "[0,1,2]"),
        ("\"x\"", "\"\\u0041\""),
        ("\"x\"", "\"Größe\""),
        ("\"x\"", "\"a\"b\""),
        ("\"x\"", "\"a\tb\""),
        ("00:00Z", "00:60Z"),
        ("2026-05", "2026-13"),
        ("\"2026-05-04T10:00:00Z\"", "1"),
        ("1700000000000", "-1"),
        ("1700000000000", "1e12"),
        ("\"e\"", "\"g\""),
        ("null", "nul"),
        ("}]}", "}]} "),
        ("}]}", "}]"),
        ("}]}", "}]}}"),
    ] {
        let second = first.replacen(from, to, 1);
        assert_ne!(first, second);
        check(&[first.as_bytes(), second.as_bytes()]);
        check(&[second.as_bytes(), first.as_bytes()]);
        let broken: Vec<u8> = second.bytes().map(|byte| if byte == b'x' { 0xff } else { byte }).collect();
        check(&[first.as_bytes(), &broken]);
    }
}

/// Only a text that nobody asked for may be no UTF-8, not one where the mapping has places in it.
#[test]
fn a_text_in_the_place_of_an_object_or_array_is_checked_as_ever() {
    let mapping = r#"{"points": [{ "path": "a", "optional": true }, { "path": "b.c", "optional": true },
        { "path": "d[1].e", "optional": true }]}"#;
    for shape in
        ["\"@\"", "{\"a\":1,\"b\":\"@\"}", "{\"a\":1,\"d\":\"@\"}", "{\"a\":1,\"d\":[0,\"@\"]}", "{\"x\":\"@\"}"]
    {
        let text = |byte| -> Vec<u8> { shape.bytes().map(|b| if b == b'@' { byte } else { b }).collect() };
        check_mapping(mapping, &[&text(b'x'), &text(0xff)]);
        check_mapping(mapping, &[&text(b'x'), &text(b'y')]);
    }
}

/// A scalar, more often plain than not.
fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "-?[0-9]{1,4}",
        4 => "-?[0-9]{1,3}\\.[0-9]{1,4}",
        2 => "-?[0-9]{1,20}(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?",
        1 => any::<f64>().prop_filter("JSON has no others", |number| number.is_finite()).prop_map(|number| format!("{number:e}")),
        1 => any::<i64>().prop_map(|number| number.to_string()),
        2 => "\"[a-zé\\\\\"n ]{0,12}\"",
        2 => "\"20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9](\\.[0-9]{1,20})?(Z|\\+0[0-9]:30)\"",
        1 => prop_oneof!["true", "false", "null"],
    ]
}

/// Payloads that differ in some of their scalars, and perhaps in a byte of the last.
fn payloads() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let shape = prop::sample::select(vec![
        r#"{"t":@,"a":@,"b":{"a":@,"b":[@,@]},"c":@}"#,
        r#"{ "a" : @ , "b" : { "b" : [ @ , @ , @ ] } , "d" : @ , "t" : @ }"#,
        r#"{"b":{"b":[[@],@],"other":{"deep":[@,{"x":@}]}},"temperature of the bearing":@,"a":@,"unknown long name":@}"#,
        r#"{"a":@,"a":@,"b":{"b":[@,@]}}"#,
        r#"{"a":@}"#,
        "@",
    ]);
    let values = prop::collection::vec(scalar(), 24);
    (shape, values, any::<prop::sample::Index>(), prop::option::of((any::<prop::sample::Index>(), any::<u8>())))
        .prop_map(|(shape, values, changed, byte)| {
            let fill = |offset: usize| {
                let mut values = values.iter().cycle().skip(offset);
                let parts: Vec<&str> = shape.split('@').collect();
                let mut text = parts[0].to_owned();
                for part in &parts[1..] {
                    text += values.next().map_or("", |value| value);
                    text += part;
                }
                text.into_bytes()
            };
            let mut payloads = vec![fill(0), fill(1), fill(2 + changed.index(8))];
            if let (Some((place, byte)), Some(last)) = (byte, payloads.last_mut()) {
                let place = place.index(last.len().max(1));
                last.splice(place..last.len().min(place + 1), [byte]);
            }
            payloads
        })
}

proptest! {
    #[test]
    fn what_was_read_before_changes_nothing(payloads in payloads()) {
        let payloads: Vec<&[u8]> = payloads.iter().map(Vec::as_slice).collect();
        check(&payloads);
    }
}
