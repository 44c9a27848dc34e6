//! Ids as values: what a source sends as its nth reading, so that whoever receives it knows which one it is, and whether
//! it is whole.

use crate::dice::Dice;
use serde_json::Value;

/// Points of a source; each carries its own ids, from 1 upwards.
pub(crate) type Lane = usize;

/// How an id becomes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ids {
    /// An integer, of which few others are ids.
    Numbers,
    /// A text of this many bytes.
    Texts { bytes: usize },
}

/// A number is an id only if it is a multiple of this, and the lane.
const STEP: u64 = 1_000_003;

impl Ids {
    /// The kind of the points, as the config names it.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Ids::Numbers => "integer",
            Ids::Texts { .. } => "text",
        }
    }

    /// The value of an id.
    pub(crate) fn value(self, lane: Lane, id: u64) -> Value {
        match self {
            Ids::Numbers => Value::from(id * STEP + lane as u64),
            Ids::Texts { bytes } => {
                let mut text = format!("{lane}:{id}:");
                // The filling differs from id to id, so that a mixture of two texts is neither, and does not compress.
                let mut filling = Dice::seeded(id * STEP + lane as u64);
                while text.len() < bytes {
                    text.push((b'0' + filling.below(64) as u8) as char);
                }
                Value::from(text)
            }
        }
    }

    /// The id that a value of a lane is; none: it is none, or damaged.
    pub(crate) fn id(self, lane: Lane, value: &Value) -> Option<u64> {
        let id = match self {
            Ids::Numbers => value.as_u64()? / STEP,
            Ids::Texts { .. } => value.as_str()?.split(':').nth(1)?.parse().ok()?,
        };
        (id > 0 && self.value(lane, id) == *value).then_some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_value_tells_its_id_and_a_damaged_one_none() {
        for ids in [Ids::Numbers, Ids::Texts { bytes: 40 }] {
            for id in [1, 27, 1_000_000] {
                let value = ids.value(3, id);
                assert_eq!(ids.id(3, &value), Some(id), "{ids:?}");
                assert_eq!(ids.id(4, &value), None, "another lane's is not this lane's");
            }
            assert_eq!(ids.id(3, &json!(null)), None);
        }
        assert_eq!(Ids::Numbers.id(3, &json!(7_000_020)), None);
        let text = Ids::Texts { bytes: 40 }.value(3, 5);
        let cut = text.as_str().unwrap().get(..39).unwrap();
        assert_eq!(Ids::Texts { bytes: 40 }.id(3, &json!(cut)), None);
    }
}
