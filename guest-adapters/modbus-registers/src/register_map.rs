//! The register map: settings checked and turned into what a poll needs, once at start.

use crate::address::{self, Place};
use crate::codec::{Codec, Shape};
use crate::settings::{PointSettings, Settings, TableName, ValueType};
use bulkhead_sdk::{Fault, NewPoint, Scaling};
use std::collections::HashSet;

/// The poll group of points that name none.
pub(crate) const DEFAULT_GROUP: &str = "default";

/// Registers of a `string` that names no length: none, it must.
const LENGTH_RANGE: std::ops::RangeInclusive<u16> = 1..=125;

/// A point whose settings hold together.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct MappedPoint {
    /// Its name.
    pub(crate) name: String,
    /// Where it is.
    pub(crate) place: Place,
    /// How it is held.
    pub(crate) codec: Codec,
    /// The poll group that reads it.
    pub(crate) group: String,
    /// Whether it can be written.
    pub(crate) writable: bool,
}

/// Checks all points and says how each is declared: two lists in the same order. It takes the settings, and lets go of each
/// point as it is mapped: memory that an instance has once used is never given back.
///
/// # Errors
/// `bad-settings`, naming the point, what is wrong and what was expected.
pub(crate) fn map(
    mut settings: Settings,
    listed: Vec<PointSettings>,
) -> Result<(Vec<MappedPoint>, Vec<NewPoint>), Fault> {
    let inline = std::mem::take(&mut settings.points);
    let wrong = |name: &str, message: &str| Fault::reconfigure("bad-settings", format!("point `{name}`: {message}"));
    if let Some(name) = repeated(inline.iter().chain(&listed)) {
        return Err(wrong(name, "there are two of this name"));
    }
    let count = inline.len() + listed.len();
    if count == 0 {
        return Err(Fault::reconfigure("bad-settings", "no points: give `points` or `points_csv`"));
    }
    let (mut mapped, mut declared) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for point in inline.into_iter().chain(listed) {
        let (place, codec) = check(&settings, &point).map_err(|message| wrong(&point.name, &message))?;
        declared.push(declaration(&point, &codec));
        mapped.push(MappedPoint {
            name: point.name,
            place,
            codec,
            group: point.group.unwrap_or_else(|| DEFAULT_GROUP.to_owned()),
            writable: point.writable.limits().is_some(),
        });
    }
    Ok((mapped, declared))
}

/// The first name that stands there a second time.
fn repeated<'a>(points: impl Iterator<Item = &'a PointSettings>) -> Option<&'a str> {
    let mut names = HashSet::new();
    points.map(|point| point.name.as_str()).find(|name| !names.insert(*name))
}

fn declaration(point: &PointSettings, codec: &Codec) -> NewPoint {
    NewPoint::new(&point.name, codec.kind())
        .unit(point.unit.as_deref())
        .group(Some(point.group.as_deref().unwrap_or(DEFAULT_GROUP)))
        .description(point.description.as_deref())
        .writable(point.writable.limits())
}

/// Where a point is and how it is held, if its settings hold together.
fn check(settings: &Settings, point: &PointSettings) -> Result<(Place, Codec), String> {
    let place = address::place(settings.address_style, point.table, point.address)?;
    let codec = Codec {
        shape: shape(point, place.table)?,
        order: point.word_order.unwrap_or(settings.word_order),
        scaling: scaling(point)?,
    };
    if codec.scaling.is_some() && matches!(codec.shape, Shape::Boolean | Shape::Bit(_) | Shape::Text(..)) {
        return Err("`scale` and `offset` are for numbers".to_owned());
    }
    if u32::from(place.address) + u32::from(codec.words()) > 65_536 {
        return Err(format!("{} registers from {} on go beyond the last", codec.words(), place.address));
    }
    if point.writable.limits().is_some() {
        check_writable(settings, place.table, codec.shape)?;
    }
    Ok((place, codec))
}

fn shape(point: &PointSettings, table: TableName) -> Result<Shape, String> {
    let is_string = point.value_type == Some(ValueType::String);
    if point.length.is_some() && !is_string {
        return Err("`length` is for points of type string".to_owned());
    }
    if point.encoding.is_some() && !is_string {
        return Err("`encoding` is for points of type string".to_owned());
    }
    match (table.holds_bits(), point.bit, point.value_type) {
        (true, Some(_), _) => Err(format!("`bit` is for registers; a {} is a bit already", table.name())),
        (true, None, None | Some(ValueType::Bool)) => Ok(Shape::Boolean),
        (true, None, Some(_)) => Err(format!("a {} is a bit: its type is bool", table.name())),
        (false, Some(bit @ 0..=15), None | Some(ValueType::Bool)) => Ok(Shape::Bit(bit)),
        (false, Some(bit @ 0..=15), Some(_)) => Err(format!("bit {bit} of a register is of type bool")),
        (false, Some(bit), _) => Err(format!("bit {bit}: a register has bits 0 to 15")),
        (false, None, value_type) => register_shape(point, value_type.unwrap_or(ValueType::U16)),
    }
}

fn register_shape(point: &PointSettings, value_type: ValueType) -> Result<Shape, String> {
    Ok(match value_type {
        ValueType::Bool => Shape::Boolean,
        ValueType::U16 => Shape::Unsigned(1),
        ValueType::U32 => Shape::Unsigned(2),
        ValueType::U64 => Shape::Unsigned(4),
        ValueType::I16 => Shape::Signed(1),
        ValueType::I32 => Shape::Signed(2),
        ValueType::I64 => Shape::Signed(4),
        ValueType::F32 => Shape::F32,
        ValueType::F64 => Shape::F64,
        ValueType::Bcd16 => Shape::Bcd(1),
        ValueType::Bcd32 => Shape::Bcd(2),
        ValueType::String => {
            let length = point.length.ok_or("a string needs its `length` in registers")?;
            match u8::try_from(length) {
                Ok(registers) if LENGTH_RANGE.contains(&length) => {
                    Shape::Text(registers, point.encoding.unwrap_or_default())
                }
                _ => return Err(format!("length {length}: a string has 1 to 125 registers")),
            }
        }
    })
}

fn scaling(point: &PointSettings) -> Result<Option<Scaling>, String> {
    match (point.scale, point.offset) {
        (None, None) => Ok(None),
        (scale, offset) => match Scaling::new(scale.unwrap_or(1.0), offset.unwrap_or(0.0)) {
            Some(scaling) => Ok(Some(scaling)),
            None => Err("`scale` must be a finite number other than 0, `offset` a finite number".to_owned()),
        },
    }
}

fn check_writable(settings: &Settings, table: TableName, shape: Shape) -> Result<(), String> {
    if !table.is_writable() {
        return Err(format!("a {} cannot be written", table.name()));
    }
    if matches!(shape, Shape::Bit(_)) && !settings.read_modify_write {
        return Err(
            "writing one bit reads the register, changes it and writes it back, and a change the device makes \
                    meanwhile is lost: set `read_modify_write = true` if that is acceptable"
                .to_owned(),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_sdk::Kind;

    fn settings(json: serde_json::Value) -> Settings {
        serde_json::from_value(json).unwrap()
    }

    fn point(json: serde_json::Value) -> Settings {
        settings(serde_json::json!({ "points": [json] }))
    }

    #[test]
    fn kinds_follow_type_and_scaling() {
        for (json, kind, words) in [
            (serde_json::json!({"name": "a", "table": "holding-register", "address": 1}), Kind::Integer, 1),
            (serde_json::json!({"name": "a", "table": "holding-register", "address": 1, "scale": 0.1}), Kind::Real, 1),
            (serde_json::json!({"name": "a", "table": "input-register", "address": 1, "type": "f64"}), Kind::Real, 4),
            (serde_json::json!({"name": "a", "table": "coil", "address": 1}), Kind::Boolean, 1),
            (serde_json::json!({"name": "a", "table": "input-register", "address": 1, "bit": 3}), Kind::Boolean, 1),
            (
                serde_json::json!({"name": "a", "table": "holding-register", "address": 1, "type": "string", "length": 8}),
                Kind::Text,
                8,
            ),
        ] {
            let (mapped, _) = map(point(json.clone()), Vec::new()).unwrap();
            assert_eq!((mapped[0].codec.kind(), mapped[0].codec.words()), (kind, words), "{json}");
        }
    }

    #[test]
    fn settings_that_do_not_hold_together_name_the_point() {
        for (json, part) in [
            (serde_json::json!({"name": "a", "address": 1}), "`table` is missing"),
            (serde_json::json!({"name": "a", "table": "coil", "address": 1, "type": "u16"}), "its type is bool"),
            (serde_json::json!({"name": "a", "table": "coil", "address": 1, "bit": 1}), "is a bit already"),
            (serde_json::json!({"name": "a", "table": "holding-register", "address": 1, "bit": 16}), "bits 0 to 15"),
            (
                serde_json::json!({"name": "a", "table": "holding-register", "address": 65_535, "type": "u32"}),
                "go beyond the last",
            ),
            (
                serde_json::json!({"name": "a", "table": "holding-register", "address": 1, "scale": 0}),
                "`scale` must be",
            ),
            (
                serde_json::json!({"name": "a", "table": "holding-register", "address": 1, "type": "string"}),
                "needs its `length`",
            ),
            (
                serde_json::json!({"name": "a", "table": "input-register", "address": 1, "writable": true}),
                "cannot be written",
            ),
            (
                serde_json::json!({"name": "a", "table": "holding-register", "address": 1, "bit": 0, "writable": true}),
                "read_modify_write",
            ),
        ] {
            let fault = map(point(json), Vec::new()).unwrap_err();
            assert!(fault.message.starts_with("point `a`: "), "{}", fault.message);
            assert!(fault.message.contains(part), "{} ≠ {part}", fault.message);
        }
    }

    #[test]
    fn two_points_of_one_name_and_no_point_at_all_are_refused() {
        let one = serde_json::json!({"name": "a", "table": "coil", "address": 1});
        let twice = settings(serde_json::json!({ "points": [one, one] }));
        assert!(map(twice, Vec::new()).unwrap_err().message.contains("two of this name"));
        assert!(map(settings(serde_json::json!({})), Vec::new()).unwrap_err().message.contains("no points"));
    }
}
