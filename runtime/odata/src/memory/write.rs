//! Rows as JSON, with what they expand and the control information that a client asked for (JSON Format 4.01).

use super::context::address;
use super::inline;
use crate::eval::{Evaluator, Slots};
use crate::json::{self, Style, is_implied, type_annotation};
use crate::limits::{ENTITIES_MAX, WRITTEN_ITEM_STEPS};
use crate::model::{Base, PrimitiveType, StructuredType, Type};
use crate::negotiate::{Metadata, Version};
use crate::value::{Home, Record};
use crate::view::{Expand, Expanded, Shape, View, Way};
use crate::{Error, Service, Store, Value, apply};
use std::cell::{Cell, RefCell};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Writes rows.
pub(super) struct Writer<'a> {
    pub(super) style: Style<'a>,
    pub(super) evaluator: Evaluator<'a>,
    pub(super) store: &'a dyn Store,
    pub(super) service: &'a dyn Service,
    pub(super) omit_nulls: bool,
    /// Most rows of a collection in a row.
    pub(super) page_rows: usize,
    /// Entities so far.
    pub(super) entities: Cell<usize>,
    /// The row of the resource path, which expansions may look back to.
    pub(super) it: RefCell<Value>,
}

/// An expansion on its way down: how much of its way is behind, and how many levels are left.
#[derive(Clone, Copy)]
pub(super) struct Pending<'e> {
    pub(super) expand: &'e Expand,
    pub(super) done: usize,
    pub(super) levels: usize,
}

/// The members of an object being written.
pub(super) struct Object<'o> {
    out: &'o mut Vec<u8>,
    first: bool,
}

impl<'o> Object<'o> {
    pub(super) fn begin(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, first: true }
    }

    pub(super) fn name(&mut self, name: &str) -> &mut Vec<u8> {
        // Writing to memory does not fail.
        let _ = json::write_name(self.out, name, &mut self.first);
        self.out
    }

    pub(super) fn text(&mut self, name: &str, text: &str) {
        let out = self.name(name);
        let _ = json::write_string(out, text);
    }

    pub(super) fn end(self) {
        self.out.push(b'}');
    }

    /// The object that is open at the end of what is written, with members before.
    pub(super) fn within(out: &'o mut Vec<u8>) -> Self {
        Self { out, first: false }
    }
}

pub(super) type Written = Result<(), Error>;

impl<'a> Writer<'a> {
    pub(super) fn types(&self) -> &'a crate::typed::Types<'a> {
        self.evaluator.types
    }

    pub(super) fn full(&self) -> bool {
        self.style.format.metadata == Metadata::Full
    }

    /// Writes a row; `declared` is the type that the context says.
    pub(super) fn row(
        &self,
        out: &mut Vec<u8>,
        value: &Value,
        declared: Option<usize>,
        shape: &Shape,
        context: Option<&str>,
    ) -> Written {
        self.it.replace(value.clone());
        let pending: Vec<Pending<'_>> = start(shape);
        self.object(out, value, declared, shape, &pending, context)
    }

    pub(super) fn object(
        &self,
        out: &mut Vec<u8>,
        value: &Value,
        declared: Option<usize>,
        shape: &Shape,
        pending: &[Pending<'_>],
        context: Option<&str>,
    ) -> Written {
        let Value::Record(record) = value else {
            out.extend_from_slice(b"null");
            return Ok(());
        };
        self.entities.set(self.entities.get() + 1);
        if self.entities.get() > ENTITIES_MAX {
            return Err(Error::Limit { target: "$expand".into(), limit: "entities", max: ENTITIES_MAX });
        }
        let mut object = Object::begin(out);
        if let Some(context) = context.filter(|_| self.style.format.metadata != Metadata::None) {
            object.text(&self.style.control("context"), context);
        }
        self.control(&mut object, record, declared, shape);
        let structured = self.types().structured(record.ty);
        let pending: Vec<Pending<'_>> = pending.iter().filter_map(|item| self.past_casts(*item, record.ty)).collect();
        if structured.has_stream && inline::is_wanted(&pending, "$value") {
            self.media_value(&mut object, record);
        }
        self.properties(&mut object, record, structured, shape, &pending)?;
        self.ways(&mut object, value, record, structured, shape, &pending)?;
        object.end();
        Ok(())
    }

    /// An expansion behind the casts on its way; none if the record is not of their types.
    fn past_casts<'e>(&self, mut pending: Pending<'e>, ty: usize) -> Option<Pending<'e>> {
        while let Some(Way::Cast(place)) = pending.expand.way.get(pending.done) {
            if !self.types().is_a(ty, *place) {
                return None;
            }
            pending.done += 1;
        }
        Some(pending)
    }

    /// Control information about the record itself.
    fn control(&self, object: &mut Object<'_>, record: &Record, declared: Option<usize>, shape: &Shape) {
        if self.style.format.metadata == Metadata::None {
            return;
        }
        let types = self.types();
        let of_model = types.of_model(record.ty);
        let derived = of_model.is_some() && declared.and_then(|place| types.of_model(place)) != of_model;
        if let Some(place) = of_model.filter(|_| derived || self.full()) {
            object.text(&self.style.control("type"), &format!("#{}", types.name(Type::structured(place))));
        }
        let structured = types.structured(record.ty);
        if structured.complex {
            return;
        }
        // Without its whole key an entity has to tell which one it is (JSON Format §4.5.9).
        let select = shape.select.as_ref().filter(|select| !select.star);
        let keyless = select.is_some_and(|select| structured.key.iter().any(|key| select.of(key).is_none()));
        if (self.full() || keyless)
            && let Some(address) = address(types, record)
        {
            let url = format!("{}{address}", self.style.root);
            object.text(&self.style.control("id"), &url);
            if self.full() {
                object.text(&self.style.control("readLink"), &url);
            }
        }
        if !structured.etag_in_header
            && let Some(etag) = etag(structured, record)
        {
            object.text(&self.style.control("etag"), &etag);
        }
        if structured.has_stream && record.home != Home::None {
            if let Some(media) = self.store.media(record) {
                object.text(&self.style.control("mediaContentType"), &media.media_type);
            }
            if let Some(address) = address(types, record).filter(|_| self.full()) {
                object.text(&self.style.control("mediaReadLink"), &format!("{}{address}/$value", self.style.root));
            }
        }
    }

    fn properties(
        &self,
        object: &mut Object<'_>,
        record: &Record,
        structured: &StructuredType,
        shape: &Shape,
        pending: &[Pending<'_>],
    ) -> Written {
        let of_model =
            self.types().of_model(record.ty).map_or(0, |place| self.types().structured(place).properties.len());
        let union = structured.name == apply::UNION;
        for (position, property) in structured.properties.iter().enumerate() {
            let wanted = match &shape.select {
                None => Some(None),
                Some(select) => match select.of(&property.name) {
                    Some(inner) => Some(Some(inner)),
                    None => select.star.then_some(None),
                },
            };
            let expanded = property.is_stream() && inline::is_wanted(pending, &property.name);
            let there = pending.iter().find(|item| {
                item.expand.what == Expanded::Inline && item.expand.name == property.name && item.done == 0
            });
            let there = there.map(|item| &item.expand.view);
            let wanted = match there {
                Some(view) => Some(Some(&view.shape)),
                None if expanded => wanted.or(Some(None)),
                None => wanted,
            };
            let Some(inner) = wanted.filter(|_| !property.name.is_empty()) else { continue };
            if inner.is_some() && !self.is_for(shape, &property.name, record.ty) {
                continue;
            }
            if property.is_stream() {
                self.stream(object, record, position, &property.name, inner.is_some(), expanded);
                if expanded {
                    self.content(object, &property.name, self.store.stream(record, position));
                }
                continue;
            }
            let value = record.values.get(position).unwrap_or(&Value::Null);
            let options = there.or(inner.and_then(|shape| shape.inner.as_deref()));
            let shown = options.map(|view| self.chosen(value, view));
            if let (Some((_, count)), Some(true)) = (&shown, options.map(|view| view.count)) {
                let out = object.name(&format!("{}{}", property.name, self.style.control("count")));
                let count = Value::Int(i64::try_from(*count).unwrap_or(i64::MAX));
                let _ = json::write_value(out, &count, self.style.format.ieee754_compatible);
            }
            let value = shown.as_ref().map_or(value, |(shown, _)| shown);
            if *value == Value::Null && (union || self.omit_nulls) {
                continue;
            }
            let dynamic = position >= of_model && self.style.format.metadata == Metadata::Minimal;
            if (self.full() || dynamic) && *value != Value::Null && !self.tells_its_type(value, property.ty) {
                let name = format!("{}{}", property.name, self.style.control("type"));
                object.text(&name, &type_annotation(self.types().model(), property.ty, self.style.negotiated));
            }
            let below: Vec<Pending<'_>> = pending
                .iter()
                .filter(|item| item.expand.way.get(item.done) == Some(&Way::Property(property.name.clone())))
                .map(|item| Pending { done: item.done + 1, ..*item })
                .chain(there.into_iter().flat_map(|view| start(&view.shape)))
                .collect();
            let plain = Shape::default();
            let out = object.name(&property.name);
            self.value(out, value, property.ty, inner.unwrap_or(&plain), &below)?;
        }
        Ok(())
    }

    /// Whether a property is wanted of records of a type.
    fn is_for(&self, shape: &Shape, name: &str, ty: usize) -> bool {
        let Some(select) = &shape.select else { return true };
        let mut types = select.only_of(name).peekable();
        types.peek().is_none() || types.any(|place| self.types().is_a(ty, place))
    }

    /// What a client wants of a property with options, and how many items there are before `$skip` and `$top`.
    fn chosen(&self, value: &Value, view: &View) -> (Value, usize) {
        let it = self.it.borrow().clone();
        let slots = |row: &Value| Slots::below(&it, row.clone());
        match value {
            Value::Collection(items) => {
                let chosen = super::page::choose(view, items.to_vec(), &slots, &self.evaluator);
                (Value::Collection(std::sync::Arc::new(chosen.rows)), chosen.count)
            }
            Value::Record(_) => {
                let stages = view.compute.iter();
                let row = stages.fold(value.clone(), |row, stage| stage.apply(&row, &self.evaluator, &mut slots(&row)));
                (row, 1)
            }
            _ => (value.clone(), 0),
        }
    }

    /// Whether a value tells its type by itself: by its form, or by control information in it. A number that is written as a text
    /// does not.
    fn tells_its_type(&self, value: &Value, ty: Type) -> bool {
        let spelled_out = matches!(value, Value::Double(number) if !number.is_finite());
        (is_implied(ty) && !spelled_out) || (matches!(ty.base, Base::Structured(_)))
    }

    /// Writes a value of a type.
    pub(super) fn plain(&self, out: &mut Vec<u8>, value: &Value, ty: Type) -> Written {
        self.value(out, value, ty, &Shape::default(), &[])
    }

    fn value(&self, out: &mut Vec<u8>, value: &Value, ty: Type, shape: &Shape, pending: &[Pending<'_>]) -> Written {
        match (value, ty.base) {
            (Value::Collection(items), _) => {
                let texts = items.iter().map(|item| if let Value::String(text) = item { text.len() } else { 0 });
                let steps = items.len().saturating_mul(WRITTEN_ITEM_STEPS).saturating_add(texts.sum());
                if !self.types().may_work(steps) {
                    return self.types().check_rows();
                }
                out.push(b'[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    self.value(out, item, ty.item(), shape, pending)?;
                }
                out.push(b']');
            }
            (Value::Record(_), _) => self.object(out, value, ty.structure(), shape, pending, None)?,
            (Value::Int(number), Base::Enum(place)) => {
                let _ = json::write_string(out, &self.types().enumeration(place).print(*number));
            }
            (Value::Geo(geo), _) => out.extend_from_slice(geo.json().to_string().as_bytes()),
            _ => {
                let long = matches!(ty.primitive(), Some(PrimitiveType::Int64 | PrimitiveType::Decimal));
                let _ = json::write_value(out, value, long && self.style.format.ieee754_compatible);
            }
        }
        Ok(())
    }

    /// What a client is told of an entity that no longer belongs to what it follows; each version has its own form (JSON Format
    /// §15.3).
    pub(super) fn removed(&self, out: &mut Vec<u8>, row: &Value, set: &str) {
        let address = row.record().and_then(|record| address(self.types(), record));
        let url = address.map(|address| format!("{}{address}", self.style.root));
        let mut object = Object::begin(out);
        if self.style.negotiated.version == Version::V4_0 {
            object.text(&self.style.control("context"), &format!("#{set}/$deletedEntity"));
            object.text("reason", "changed");
            object.text("id", &url.unwrap_or_default());
        } else {
            object.name(&self.style.control("removed")).extend_from_slice(br#"{"reason":"changed"}"#);
            if let Some(url) = url {
                object.text(&self.style.control("id"), &url);
            }
        }
        object.end();
    }

    /// The address of an entity, as an object.
    pub(super) fn reference(&self, out: &mut Vec<u8>, row: &Value, context: Option<&str>) {
        let address = row.record().and_then(|record| address(self.types(), record)).unwrap_or_default();
        let mut object = Object::begin(out);
        if let Some(context) = context.filter(|_| self.style.format.metadata != Metadata::None) {
            object.text(&self.style.control("context"), context);
        }
        object.text(&self.style.control("id"), &format!("{}{address}", self.style.root));
        object.end();
    }
}

pub(super) fn start(shape: &Shape) -> Vec<Pending<'_>> {
    shape.expand.iter().map(|expand| Pending { expand, done: 0, levels: expand.levels }).collect()
}

/// The entity tag of an entity: weak, because other formats of it have the same.
pub(super) fn etag(structured: &StructuredType, record: &Record) -> Option<String> {
    if structured.etag_of_all {
        let mut hasher = DefaultHasher::new();
        record.values.iter().for_each(|value| value.to_string().hash(&mut hasher));
        return Some(format!("W/\"{:016x}\"", hasher.finish()));
    }
    let position = structured.position(structured.etag.as_ref()?)?;
    Some(format!("W/\"{}\"", record.values.get(position)?))
}
