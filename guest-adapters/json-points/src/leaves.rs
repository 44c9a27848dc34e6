//! Every scalar of a payload under its path, for payloads whose points are not listed.

use crate::Scalar;
use crate::tree::unsigned;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt::{self, Write as _};

/// Gives `take` each scalar of a JSON text with its path: `motor.temp`, `sensors[0]`; the path of a payload that is itself
/// a scalar is `$`.
///
/// # Errors
/// The text is not JSON, or deeper than 128 levels; what was taken before the error stands.
pub(crate) fn walk(json: &[u8], take: &mut dyn FnMut(&str, &Scalar<'_>)) -> Result<(), serde_json::Error> {
    let mut parser = serde_json::Deserializer::from_slice(json);
    Place { path: &mut String::new(), take }.deserialize(&mut parser)?;
    parser.end()
}

struct Place<'a> {
    path: &'a mut String,
    take: &'a mut dyn FnMut(&str, &Scalar<'_>),
}

impl Place<'_> {
    fn leaf(self, scalar: &Scalar<'_>) {
        (self.take)(if self.path.is_empty() { "$" } else { self.path }, scalar);
    }
}

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<(), D::Error> {
        parser.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Place<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.leaf(&Scalar::Boolean(value));
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.leaf(&Scalar::Integer(value));
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.leaf(&unsigned(value));
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.leaf(&Scalar::Real(value));
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.leaf(&Scalar::Text(value));
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.leaf(&Scalar::Null);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let length = self.path.len();
        for index in 0.. {
            let _ = write!(self.path, "[{index}]");
            let more = items.next_element_seed(Place { path: self.path, take: self.take })?;
            self.path.truncate(length);
            if more.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let length = self.path.len();
        while let Some(name) = fields.next_key::<std::borrow::Cow<'_, str>>()? {
            if name.is_empty() || name.contains(['.', '[', ']']) {
                let _ = write!(self.path, "['{name}']");
            } else {
                if length > 0 {
                    self.path.push('.');
                }
                self.path.push_str(&name);
            }
            fields.next_value_seed(Place { path: self.path, take: self.take })?;
            self.path.truncate(length);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scalar_has_its_path() {
        let mut seen = Vec::new();
        walk(br#"{"a":{"b":[1,{"c":"x"}],"d.e":true},"n":null}"#, &mut |path, _| seen.push(path.to_owned()))
            .expect("JSON");
        assert_eq!(seen, ["a.b[0]", "a.b[1].c", "a['d.e']", "n"]);
    }

    #[test]
    fn deep_nesting_ends_in_an_error() {
        assert!(walk("[".repeat(100_000).as_bytes(), &mut |_, _| {}).is_err());
    }
}
