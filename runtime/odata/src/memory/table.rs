//! Rows as CSV (RFC 4180): a line of names, then a line a row; properties of complex values under their path.

use crate::Value;
use crate::model::{Base, StructuredType, Type};
use crate::typed::Types;
use crate::view::{Shape, View};

/// A column: its name, and the positions that lead to its value.
struct Column {
    name: String,
    path: Vec<usize>,
    ty: Type,
}

/// The rows as CSV.
pub(super) fn csv(rows: &[&Value], view: &View, types: &Types<'_>) -> Vec<u8> {
    let mut columns = Vec::new();
    match view.row.structure() {
        Some(place) => collect(types.structured(place), &view.shape, "", &[], types, &mut columns),
        None => columns.push(Column { name: "value".into(), path: Vec::new(), ty: view.row }),
    }
    let mut out = String::new();
    line(&mut out, columns.iter().map(|column| column.name.clone()));
    for row in rows {
        line(&mut out, columns.iter().map(|column| text(at(row, &column.path), column.ty, types)));
    }
    out.into_bytes()
}

fn collect(
    structured: &StructuredType,
    shape: &Shape,
    before: &str,
    path: &[usize],
    types: &Types<'_>,
    columns: &mut Vec<Column>,
) {
    for (position, property) in structured.properties.iter().enumerate() {
        let inner = shape.select.as_ref().map_or(Some(None), |select| match select.of(&property.name) {
            Some(inner) => Some(Some(inner)),
            None => select.star.then_some(None),
        });
        let Some(inner) = inner.filter(|_| !property.name.is_empty() && !property.is_stream()) else { continue };
        let name = format!("{before}{}", property.name);
        let path: Vec<usize> = path.iter().copied().chain([position]).collect();
        match property.ty.structure().filter(|_| !property.ty.collection) {
            Some(place) => {
                let plain = Shape::default();
                let inner = inner.unwrap_or(&plain);
                collect(types.structured(place), inner, &format!("{name}/"), &path, types, columns);
            }
            None => columns.push(Column { name, path, ty: property.ty }),
        }
    }
}

fn at<'v>(value: &'v Value, path: &[usize]) -> &'v Value {
    path.iter().fold(value, |value, position| {
        value.record().and_then(|record| record.values.get(*position)).unwrap_or(&Value::Null)
    })
}

/// A value without quotes; nothing for null.
fn text(value: &Value, ty: Type, types: &Types<'_>) -> String {
    match (value, ty.base) {
        (Value::Null, _) => String::new(),
        (Value::Int(number), Base::Enum(place)) => types.enumeration(place).print(*number),
        (Value::Collection(items), _) => {
            items.iter().map(|item| text(item, ty.item(), types)).collect::<Vec<_>>().join(";")
        }
        _ => value.to_string(),
    }
}

fn line(out: &mut String, cells: impl Iterator<Item = String>) {
    for (index, cell) in cells.enumerate() {
        if index > 0 {
            out.push(',');
        }
        if cell.contains([',', '"', '\r', '\n']) {
            out.push_str(&format!("\"{}\"", cell.replace('"', "\"\"")));
        } else {
            out.push_str(&cell);
        }
    }
    out.push_str("\r\n");
}
