//! Rows that need nothing but their own values: written straight from what the service gave, without a record and without a
//! look at names. It is how long answers leave; what it writes is what [`super::write`] would.

use super::write::Writer;
use crate::json::{key_literal, write_moment, write_string, write_value};
use crate::limits::FLAT_CHUNK_BYTES;
use crate::model::PrimitiveType;
use crate::negotiate::Metadata;
use crate::service::Given;
use crate::typed::Types;
use crate::url::encode_segment;
use crate::view::View;
use crate::{Error, Query, Row, Service, Value};
use std::ops::ControlFlow;

/// The members of a row, in the order of the type.
pub(super) struct Flat {
    /// What names the entity where its key is not among the members.
    id: Option<Id>,
    members: Vec<Member>,
}

/// The address of an entity, as a member before the others.
struct Id {
    /// The member's name and the address up to the key's parenthesis.
    before: Vec<u8>,
    /// The parts of the key: what stands before the value, and where it stands in a row.
    parts: Vec<(String, usize)>,
    /// Whether members follow.
    comma: bool,
}

impl Id {
    fn write(&self, row: &Row, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.before);
        for (name, column) in &self.parts {
            out.extend_from_slice(name.as_bytes());
            let literal = key_literal(row.get(*column).unwrap_or(&Value::Null));
            out.extend_from_slice(encode_segment(&literal).as_bytes());
        }
        out.extend_from_slice(if self.comma { b")\"," } else { b")\"" });
    }
}

struct Member {
    /// Where the value stands in a row.
    column: usize,
    /// The name, quoted, with the colon, and the comma before if it is not the first.
    name: Vec<u8>,
    /// Whether numbers are texts here.
    as_text: bool,
}

impl Flat {
    /// The members of rows of a query; none where rows need more than their values.
    pub(super) fn of(query: &Query<'_>, view: &View, writer: &Writer<'_>, types: &Types<'_>) -> Option<Self> {
        let (ty, style) = (query.entity_type, writer.style);
        let place = view.row.structure()?;
        let tagged =
            (ty.etag.is_some() || ty.etag_of_all) && !ty.etag_in_header && style.format.metadata != Metadata::None;
        let plain_type = types.of_model(place) == Some(place) && ty.base.is_none() && !ty.has_stream && !tagged;
        let plain_view = view.compute.is_empty() && view.shape.expand.is_empty() && !writer.omit_nulls;
        if !plain_type || !plain_view || style.format.metadata == Metadata::Full {
            return None;
        }
        let select = view.shape.select.as_ref();
        if select.is_some_and(|select| select.items.iter().any(|(name, _)| ty.navigation_position(name).is_some())) {
            return None;
        }
        let mut members: Vec<Member> = Vec::new();
        for (position, property) in ty.properties.iter().enumerate() {
            if select.is_some_and(|select| !select.star && select.of(&property.name).is_none()) {
                continue;
            }
            let primitive = property.ty.primitive()?;
            if primitive.is_geo() || primitive == PrimitiveType::Stream {
                return None;
            }
            let mut name = Vec::new();
            if !members.is_empty() {
                name.push(b',');
            }
            // Writing to memory does not fail.
            let _ = write_string(&mut name, &property.name);
            name.push(b':');
            let long = matches!(primitive, PrimitiveType::Int64 | PrimitiveType::Decimal);
            let as_text = long && style.format.ieee754_compatible;
            let column = query.columns.iter().position(|column| *column == position)?;
            members.push(Member { column, name, as_text });
        }
        let keyless = ty.key.iter().any(|key| select.is_some_and(|select| !select.star && select.of(key).is_none()));
        let id = if keyless && style.format.metadata == Metadata::Minimal {
            let mut before = format!("\"{}\":", style.control("id")).into_bytes();
            let _ = write_string(&mut before, &format!("{}{}(", style.root, encode_segment(&query.set.name)));
            before.pop();
            let alone = ty.key.len() == 1;
            let parts = ty.key.iter().zip(ty.key_positions()).enumerate().map(|(index, (name, position))| {
                let column = query.columns.iter().position(|column| *column == position)?;
                let comma = if index == 0 { "" } else { "," };
                Some((if alone { String::new() } else { format!("{comma}{name}=") }, column))
            });
            Some(Id { before, parts: parts.collect::<Option<_>>()?, comma: !members.is_empty() })
        } else {
            None
        };
        Some(Self { id, members })
    }

    /// Writes rows of a page, each as a line or with a comma between them, until they are long enough to leave, and counts them
    /// to those before; where the next page begins. None: the service does not hand over rows of this set.
    pub(super) fn write_each(
        &self,
        service: &dyn Service,
        query: &Query<'_>,
        is_lines: bool,
        given: &mut u64,
        out: &mut Vec<u8>,
    ) -> Result<Option<Given>, Error> {
        service.each(query, &mut |row| {
            self.write_one(row, is_lines, given, out);
            if out.len() < FLAT_CHUNK_BYTES { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
    }

    /// Writes a row as a line, or behind a comma.
    pub(super) fn write_one(&self, row: &Row, is_lines: bool, given: &mut u64, out: &mut Vec<u8>) {
        if *given > 0 && !is_lines {
            out.push(b',');
        }
        self.write(row, out);
        if is_lines {
            out.push(b'\n');
        }
        *given += 1;
    }

    fn write(&self, row: &Row, out: &mut Vec<u8>) {
        out.push(b'{');
        if let Some(id) = &self.id {
            id.write(row, out);
        }
        for member in &self.members {
            out.extend_from_slice(&member.name);
            match row.get(member.column) {
                Some(Value::DateTimeOffset(ns)) => {
                    out.push(b'"');
                    write_moment(out, *ns);
                    out.push(b'"');
                }
                Some(value) => {
                    let _ = write_value(&mut *out, value, member.as_text);
                }
                None => out.extend_from_slice(b"null"),
            }
        }
        out.push(b'}');
    }
}
