//! Names of points and connections as OData identifiers, which have letters, digits and `_` only and begin with no digit.
//!
//! Every other character, and a digit at the beginning, is written as `_xHHHH_` with its UTF-16 code units in hexadecimal
//! digits, as XML names escape them; so is a `_` before what would read as such an escape. So different names stay
//! different, and a name can be read back. What goes beyond 128 characters ends in `_`, and a number where that is not
//! unique.

use std::collections::HashSet;

/// Most characters of an identifier.
const IDENTIFIER_MAX_CHARS: usize = bulkhead_odata::limits::IDENTIFIER_MAX_CHARS;

/// A name as an identifier.
pub(super) fn identifier(name: &str) -> String {
    let mut found = String::with_capacity(name.len());
    for (at, c) in name.char_indices() {
        let is_plain = c.is_ascii_alphabetic()
            || c == '_' && !begins_escape(&name[at..])
            || c.is_ascii_digit() && at > 0
            || !c.is_ascii() && c.is_alphabetic();
        if is_plain {
            found.push(c);
        } else {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                found.push_str(&format!("_x{unit:04X}_"));
            }
        }
    }
    if found.is_empty() { "_".to_owned() } else { found }
}

/// Whether a text begins like an escape.
fn begins_escape(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 7 && &bytes[..2] == b"_x" && bytes[2..6].iter().all(u8::is_ascii_hexdigit) && bytes[6] == b'_'
}

/// Identifiers for names, in their order, none twice and none that is taken.
pub(super) fn identifiers<'n>(names: impl Iterator<Item = &'n str>, taken: &[&str]) -> Vec<String> {
    let mut used: HashSet<String> = taken.iter().map(|name| (*name).to_owned()).collect();
    names
        .map(|name| {
            let whole = identifier(name);
            let mut found = shortened(&whole, "");
            let mut number = 1;
            while used.contains(&found) {
                found = shortened(&whole, &format!("_{number}"));
                number += 1;
            }
            used.insert(found.clone());
            found
        })
        .collect()
}

/// At most as many characters as an identifier may have, with an end of its own.
fn shortened(name: &str, end: &str) -> String {
    if name.chars().count() + end.len() <= IDENTIFIER_MAX_CHARS {
        return format!("{name}{end}");
    }
    let end = if end.is_empty() { "_" } else { end };
    let kept: String = name.chars().take(IDENTIFIER_MAX_CHARS - end.len()).collect();
    format!("{kept}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_escaped_by_their_code_units() {
        for (name, expected) in [
            ("flow_temp", "flow_temp"),
            ("hall/3 °C", "hall_x002F_3_x0020__x00B0_C"),
            ("3rd", "_x0033_rd"),
            ("boiler-1", "boiler_x002D_1"),
            ("Größe", "Größe"),
            ("a_x0020_b", "a_x005F_x0020_b"),
            ("🔥", "_xD83D__xDD25_"),
            ("", "_"),
        ] {
            assert_eq!(identifier(name), expected, "{name}");
        }
    }

    #[test]
    fn taken_and_long_names_get_a_number() {
        let long = "a".repeat(200);
        let found = identifiers(["time", &long, &long, "x"].into_iter(), &["time"]);
        assert_eq!((found[0].as_str(), found[3].as_str()), ("time_1", "x"));
        assert!(
            found[1] != found[2] && found.iter().all(|name| bulkhead_odata::model::is_identifier(name)),
            "{found:?}"
        );
    }

    proptest! {
        #[test]
        fn every_name_becomes_an_identifier_and_others_others(names in prop::collection::hash_set(".{0,40}", 1..20)) {
            let names: Vec<String> = names.into_iter().collect();
            let found = identifiers(names.iter().map(String::as_str), &["time"]);
            prop_assert!(found.iter().all(|name| bulkhead_odata::model::is_identifier(name)), "{found:?}");
            prop_assert_eq!(found.iter().collect::<HashSet<_>>().len(), names.len());
        }
    }
}
