//! Rows as CSV (RFC 4180): a line of names, then a line a row; properties of complex values under their path.

use crate::Value;
use crate::cells::guarded;
use crate::model::{Base, StructuredType, Type};
use crate::negotiate::CellText;
use crate::typed::Types;
use crate::view::{Shape, View};

/// A column: its name, and the positions that lead to its value.
struct Column {
    name: String,
    path: Vec<usize>,
    ty: Type,
}

/// A table being written.
pub(super) struct Table<'t> {
    columns: Vec<Column>,
    types: &'t Types<'t>,
    cell_text: CellText,
}

impl<'t> Table<'t> {
    pub(super) fn new(view: &View, types: &'t Types<'t>, cell_text: CellText) -> Self {
        let mut columns = Vec::new();
        match view.row.structure() {
            Some(place) => collect(types.structured(place), &view.shape, "", &[], types, &mut columns),
            None => columns.push(Column { name: "value".into(), path: Vec::new(), ty: view.row }),
        }
        Self { columns, types, cell_text }
    }

    /// The line of names.
    pub(super) fn head(&self, out: &mut Vec<u8>) {
        line(out, self.columns.iter().map(|column| column.name.clone()));
    }

    /// The line of a row.
    pub(super) fn row(&self, row: &Value, out: &mut Vec<u8>) {
        let cells = self.columns.iter().map(|column| text(at(row, &column.path), column.ty, self.types));
        match self.cell_text {
            CellText::Exact => line(out, cells),
            CellText::Guarded => line(out, cells.map(|cell| guarded(&cell).into_owned())),
        }
    }
}

/// The rows as CSV.
pub(super) fn csv(rows: &[&Value], view: &View, types: &Types<'_>, cell_text: CellText) -> Vec<u8> {
    let (table, mut out) = (Table::new(view, types, cell_text), Vec::new());
    table.head(&mut out);
    rows.iter().for_each(|row| table.row(row, &mut out));
    out
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

fn line(out: &mut Vec<u8>, cells: impl Iterator<Item = String>) {
    for (index, cell) in cells.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        if cell.contains([',', '"', '\r', '\n']) {
            out.extend_from_slice(format!("\"{}\"", cell.replace('"', "\"\"")).as_bytes());
        } else {
            out.extend_from_slice(cell.as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
}
