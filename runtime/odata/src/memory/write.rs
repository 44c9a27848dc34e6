//! Rows as JSON, with what they expand and the control information that a client asked for (JSON Format 4.01).

use super::context::address;
use super::queried::{Queried, check_reach, record, type_of, with_view};
use crate::eval::{Evaluator, Slots};
use crate::json::{self, Style, is_implied, type_annotation};
use crate::limits::{ENTITIES_MAX, EXPANDED_PAGE_ROWS};
use crate::model::{Base, PrimitiveType, StructuredType, Type};
use crate::negotiate::Metadata;
use crate::value::{Home, Record};
use crate::view::{Expand, Expanded, Shape, Way};
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
    /// Entities so far.
    pub(super) entities: Cell<usize>,
    /// The row of the resource path, which expansions may look back to.
    pub(super) it: RefCell<Value>,
}

/// An expansion on its way down: how much of its way is behind, and how many levels are left.
#[derive(Clone, Copy)]
struct Pending<'e> {
    expand: &'e Expand,
    done: usize,
    levels: usize,
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

type Written = Result<(), Error>;

impl<'a> Writer<'a> {
    fn types(&self) -> &'a crate::typed::Types<'a> {
        self.evaluator.types
    }

    fn full(&self) -> bool {
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

    fn object(
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
        self.control(&mut object, record, declared);
        let structured = self.types().structured(record.ty);
        let pending: Vec<Pending<'_>> = pending.iter().filter_map(|item| self.past_casts(*item, record.ty)).collect();
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
    fn control(&self, object: &mut Object<'_>, record: &Record, declared: Option<usize>) {
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
        if self.full()
            && let Some(address) = address(types, record)
        {
            let url = format!("{}{address}", self.style.root);
            object.text(&self.style.control("id"), &url);
            object.text(&self.style.control("readLink"), &url);
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
            let Some(inner) = wanted.filter(|_| !property.name.is_empty()) else { continue };
            if property.is_stream() {
                self.stream(object, record, position, &property.name, inner.is_some());
                continue;
            }
            let value = record.values.get(position).unwrap_or(&Value::Null);
            if *value == Value::Null && (union || self.omit_nulls) {
                continue;
            }
            let dynamic = position >= of_model && self.style.format.metadata == Metadata::Minimal;
            if (self.full() || dynamic) && *value != Value::Null && !self.tells_its_type(property.ty) {
                let name = format!("{}{}", property.name, self.style.control("type"));
                object.text(&name, &type_annotation(self.types().model(), property.ty));
            }
            let below: Vec<Pending<'_>> = pending
                .iter()
                .filter(|item| item.expand.way.get(item.done) == Some(&Way::Property(property.name.clone())))
                .map(|item| Pending { done: item.done + 1, ..*item })
                .collect();
            let plain = Shape::default();
            let out = object.name(&property.name);
            self.value(out, value, property.ty, inner.unwrap_or(&plain), &below)?;
        }
        Ok(())
    }

    /// Whether a value tells its type by itself: by its form, or by control information in it.
    fn tells_its_type(&self, ty: Type) -> bool {
        is_implied(ty) || (matches!(ty.base, Base::Structured(_)))
    }

    /// A stream has no value: there is only where it is read.
    fn stream(&self, object: &mut Object<'_>, record: &Record, position: usize, name: &str, selected: bool) {
        if !(self.full() || selected && self.style.format.metadata == Metadata::Minimal) {
            return;
        }
        if let Some(address) = address(self.types(), record) {
            let link = format!("{name}{}", self.style.control("mediaReadLink"));
            object.text(&link, &format!("{}{address}/{name}", self.style.root));
        }
        if let Some(media) = self.store.stream(record, position) {
            object.text(&format!("{name}{}", self.style.control("mediaContentType")), &media.media_type);
        }
    }

    /// Writes a value of a type.
    pub(super) fn plain(&self, out: &mut Vec<u8>, value: &Value, ty: Type) -> Written {
        self.value(out, value, ty, &Shape::default(), &[])
    }

    fn value(&self, out: &mut Vec<u8>, value: &Value, ty: Type, shape: &Shape, pending: &[Pending<'_>]) -> Written {
        match (value, ty.base) {
            (Value::Collection(items), _) => {
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

    /// Navigation properties: what they lead to where that is wanted, else where to find it.
    fn ways(
        &self,
        object: &mut Object<'_>,
        value: &Value,
        record: &Record,
        structured: &StructuredType,
        shape: &Shape,
        pending: &[Pending<'_>],
    ) -> Written {
        for (position, way) in structured.navigation.iter().enumerate() {
            let wanted = pending.iter().find(|item| item.expand.name == way.name && item.expand.way.len() == item.done);
            let selected = shape.select.as_ref().is_some_and(|select| select.of(&way.name).is_some());
            let link = self.full() && (shape.select.is_none() || selected)
                || selected && self.style.format.metadata == Metadata::Minimal;
            if let Some(address) = address(self.types(), record).filter(|_| link) {
                let url = format!("{}{address}/{}", self.style.root, way.name);
                if self.full() {
                    let name = format!("{}{}", way.name, self.style.control("associationLink"));
                    object.text(&name, &format!("{url}/$ref"));
                }
                object.text(&format!("{}{}", way.name, self.style.control("navigationLink")), &url);
            }
            if let Some(pending) = wanted {
                self.expanded(object, value, position, *pending)?;
            }
        }
        Ok(())
    }

    fn expanded(&self, object: &mut Object<'_>, value: &Value, position: usize, pending: Pending<'_>) -> Written {
        let expand = pending.expand;
        let view = &expand.view;
        let queried = match (value.record(), value.record().and_then(|record| self.types().of_model(record.ty))) {
            (Some(record), Some(ty)) => Queried::beyond(self.service, record, ty, position)?,
            _ => None,
        };
        if let Some(queried) = queried {
            return self.expanded_rows(object, value, &queried, pending);
        }
        let it = self.it.borrow().clone();
        let mut found = self.evaluator.follow(value, position);
        if let Some(cast) = expand.cast {
            found = narrowed(&found, cast, self.types());
        }
        let single = !matches!(found, Value::Collection(_));
        let rows: Vec<Value> = found.items().to_vec();
        let chosen = super::page::choose(view, rows, |row| Slots::below(&it, row.clone()), &self.evaluator);
        if view.count || expand.what == Expanded::Count {
            let out = object.name(&format!("{}{}", expand.name, self.style.control("count")));
            let _ = json::write_value(out, &Value::Int(chosen.count as i64), self.style.format.ieee754_compatible);
        }
        if expand.what == Expanded::Count {
            return Ok(());
        }
        let mut below = start(&view.shape);
        if pending.levels > 1 {
            below.push(Pending { expand, done: 0, levels: pending.levels - 1 });
        }
        let out = object.name(&expand.name);
        let declared = view.row.structure();
        let write = |out: &mut Vec<u8>, row: &Value| match expand.what {
            Expanded::References => {
                self.reference(out, row, None);
                Ok(())
            }
            _ => self.object(out, row, declared, &view.shape, &below, None),
        };
        if single {
            return match chosen.rows.first() {
                Some(row) => write(out, row),
                None => {
                    out.extend_from_slice(b"null");
                    Ok(())
                }
            };
        }
        out.push(b'[');
        for (index, row) in chosen.rows.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write(out, row)?;
        }
        out.push(b']');
        Ok(())
    }

    /// The rows of a set that the service is asked for: one page, and a link to the rest.
    fn expanded_rows(&self, object: &mut Object<'_>, from: &Value, queried: &Queried, pending: Pending<'_>) -> Written {
        let (expand, view) = (pending.expand, &pending.expand.view);
        check_reach(view, self.service, self.types())?;
        if !view.apply.is_empty() {
            return Err(Error::unsupported("$apply in $expand", format!("use $apply at `{}`", expand.name)));
        }
        let mut query = queried.query(self.service)?;
        with_view(&mut query, view);
        let most = view.top.map_or(EXPANDED_PAGE_ROWS, |top| usize::try_from(top).unwrap_or(usize::MAX));
        query.page_max_rows = most.min(EXPANDED_PAGE_ROWS);
        if expand.what == Expanded::Count {
            let count = self.service.count(&query)?;
            let out = object.name(&format!("{}{}", expand.name, self.style.control("count")));
            let count = Value::Int(i64::try_from(count).unwrap_or(i64::MAX));
            let _ = json::write_value(out, &count, self.style.format.ieee754_compatible);
            return Ok(());
        }
        let page = self.service.read(&query)?;
        if let Some(count) = page.count {
            let out = object.name(&format!("{}{}", expand.name, self.style.control("count")));
            let count = Value::Int(i64::try_from(count).unwrap_or(i64::MAX));
            let _ = json::write_value(out, &count, self.style.format.ieee754_compatible);
        }
        let (ty, declared, below) = (type_of(&query, self.service), view.row.structure(), start(&view.shape));
        let given = page.rows.len() as u64;
        let out = object.name(&expand.name);
        out.push(b'[');
        for (index, row) in page.rows.into_iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            let row = record(&query, ty, queried.set, row);
            let row = view.compute.iter().fold(row, |row, stage| {
                stage.apply(&row, &self.evaluator, &mut Slots::below(&self.it.borrow(), row.clone()))
            });
            match expand.what {
                Expanded::References => self.reference(out, &row, None),
                _ => self.object(out, &row, declared, &view.shape, &below, None)?,
            }
        }
        out.push(b']');
        let more = page.next_token.filter(|_| view.top.is_none_or(|top| top > given));
        if let (Some(token), Some(address)) = (more, from.record().and_then(|record| address(self.types(), record))) {
            let options = expand.link_options(&token, view.top.map(|top| top - given));
            let link = format!("{}{address}/{}?{options}", self.style.root, expand.name);
            object.text(&format!("{}{}", expand.name, self.style.control("nextLink")), &link);
        }
        Ok(())
    }

    /// What a client is told of an entity that no longer belongs to what it follows.
    pub(super) fn removed(&self, out: &mut Vec<u8>, row: &Value) {
        let mut object = Object::begin(out);
        object.name(&self.style.control("removed")).extend_from_slice(br#"{"reason":"changed"}"#);
        if let Some(address) = row.record().and_then(|record| address(self.types(), record)) {
            object.text(&self.style.control("id"), &format!("{}{address}", self.style.root));
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

fn start(shape: &Shape) -> Vec<Pending<'_>> {
    shape.expand.iter().map(|expand| Pending { expand, done: 0, levels: expand.levels }).collect()
}

fn narrowed(value: &Value, place: usize, types: &crate::typed::Types<'_>) -> Value {
    let is = |value: &Value| value.record().is_some_and(|record| types.is_a(record.ty, place));
    match value {
        Value::Collection(items) => {
            Value::Collection(std::sync::Arc::new(items.iter().filter(|item| is(item)).cloned().collect()))
        }
        single if is(single) => single.clone(),
        _ => Value::Null,
    }
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
