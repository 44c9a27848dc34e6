//! Single resources: entities, properties, raw values, streams, references.

use super::context::{self, address};
use super::reach::Reached;
use super::write::{Object, etag};
use super::{Job, reply, table};
use crate::eval::Slots;
use crate::handle::{Response, success};
use crate::json::Style;
use crate::model::{Base, PrimitiveType, Type};
use crate::negotiate::{DataFormat, Metadata};
use crate::options::Options;
use crate::resource::{Tail, Target};
use crate::typed::Types;
use crate::value::Record;
use crate::{Error, Media, Value};

impl<'a> Job<'a> {
    pub(super) fn single(
        &self,
        target: &Target,
        reached: Reached,
        ty: Type,
        mut options: Options,
        types: &mut Types<'a>,
    ) -> Result<Response, Error> {
        match target.tail {
            Tail::Value => {
                options.nothing_left("a raw value")?;
                return self.raw(&reached, ty, types);
            }
            Tail::Ref => {
                options.nothing_left("a reference")?;
                let style = self.json_style()?;
                let mut out = Vec::new();
                let context = format!("{}$metadata#$ref", self.root);
                self.writer(style, types).reference(&mut out, &reached.value, Some(&context));
                return Ok(reply::json(style, out));
            }
            Tail::Count | Tail::None => {}
        }
        if ty == PrimitiveType::Stream {
            options.nothing_left("a stream")?;
            let (record, position) =
                reached.last.as_ref().ok_or_else(|| Error::NotFound("there is no stream".into()))?;
            return Ok(self.media(self.store.stream(record, *position)));
        }
        let view = self.planner(types).view(&mut options, ty)?;
        options.nothing_left(if ty.structure().is_some() { "a single entity" } else { "a single property" })?;
        super::queried::check_reach(&view, self.service, types)?;
        if reached.value == Value::Null {
            return Ok(self.nothing());
        }
        if ty.structure().is_none() {
            return self.property(&reached, ty, types);
        }
        self.record(target, &reached, &view, types)
    }

    /// No value: 204.
    fn nothing(&self) -> Response {
        let headers = vec![("odata-version", self.negotiated.version.name().to_owned())];
        Response { status: 204, headers, body: Vec::new() }
    }

    fn media(&self, media: Option<Media>) -> Response {
        media.map_or_else(|| self.nothing(), |media| success(self.negotiated, media.media_type, media.bytes))
    }

    /// `$value`
    fn raw(&self, reached: &Reached, ty: Type, types: &Types<'_>) -> Result<Response, Error> {
        if let (Value::Record(record), true) = (&reached.value, ty.structure().is_some()) {
            let tag = etag(types.structured(record.ty), record);
            return self.conditional(tag, || Ok(self.media(self.store.media(record))));
        }
        let tag = reached.owner.as_ref().and_then(|owner| etag(types.structured(owner.ty), owner));
        self.conditional(tag, || Ok(self.raw_property(reached, ty, types)))
    }

    fn raw_property(&self, reached: &Reached, ty: Type, types: &Types<'_>) -> Response {
        let bytes = match (&reached.value, ty.base) {
            (Value::Null, _) => return self.nothing(),
            (Value::Binary(bytes), _) => {
                let declared = reached.last.as_ref().and_then(|(record, position)| {
                    types.structured(record.ty).properties[*position].media_type.clone()
                });
                let media_type = declared.unwrap_or_else(|| "application/octet-stream".into());
                return self.media(Some(Media { media_type, bytes: bytes.clone() }));
            }
            (Value::Int(number), Base::Enum(place)) => types.enumeration(place).print(*number),
            (value, _) => value.to_string(),
        };
        success(self.negotiated, "text/plain;charset=utf-8".into(), bytes.into_bytes())
    }

    /// A primitive value in its envelope.
    fn property(&self, reached: &Reached, ty: Type, types: &Types<'a>) -> Result<Response, Error> {
        let style = self.json_style()?;
        let writer = self.writer(style, types);
        let mut out = Vec::new();
        let mut object = Object::begin(&mut out);
        if style.format.metadata != Metadata::None {
            let context = property_context(self.root, reached, types);
            object.text(&style.control("context"), &context.unwrap_or_else(|| format!("{}$metadata", self.root)));
        }
        if style.format.metadata == Metadata::Full && !crate::json::is_implied(ty) {
            object.text(&style.control("type"), &crate::json::type_annotation(types.model(), ty, style.negotiated));
        }
        writer.plain(object.name("value"), &reached.value, ty)?;
        object.end();
        let tag = reached.owner.as_ref().and_then(|owner| etag(types.structured(owner.ty), owner));
        self.conditional(tag, || Ok(reply::json(style, out)))
    }

    /// An entity, or a complex value.
    fn record(
        &self,
        target: &Target,
        reached: &Reached,
        view: &crate::view::View,
        types: &Types<'a>,
    ) -> Result<Response, Error> {
        let evaluator = self.evaluator(types);
        let chosen = view
            .compute
            .iter()
            .fold(reached.value.clone(), |row, stage| stage.apply(&row, &evaluator, &mut Slots::of(row.clone())));
        let Value::Record(record) = &chosen else { return Ok(self.nothing()) };
        let complex = types.structured(record.ty).complex;
        let entity = if complex { reached.owner.as_ref() } else { Some(record) };
        let tag = entity.and_then(|entity| etag(types.structured(entity.ty), entity));
        self.conditional(tag, || {
            let format = match self.data_format()? {
                DataFormat::Csv(cell_text) => {
                    let body = table::csv(&[&chosen], view, types, cell_text);
                    return Ok(success(self.negotiated, "text/csv;charset=utf-8;header=present".into(), body));
                }
                DataFormat::Json(format) | DataFormat::Ndjson(format) => format,
            };
            let style = Style { root: self.root, negotiated: self.negotiated, format };
            let context = match property_context(self.root, reached, types).filter(|_| complex) {
                Some(context) => {
                    let place = view.row.structure();
                    let list = place.map(|place| context::list(style, types, place, &view.shape));
                    format!("{context}{}", list.unwrap_or_default())
                }
                None => context::of_entities(style, types, target.home, view.row, &view.shape, true),
            };
            let mut out = Vec::new();
            self.writer(style, types).row(&mut out, &chosen, view.row.structure(), &view.shape, Some(&context))?;
            let applied = if self.preferences.omit_nulls { vec!["omit-values=nulls".to_owned()] } else { Vec::new() };
            Ok(reply::json(style, out).applied(&applied))
        })
    }

    /// Answers by the entity tag: 304 for a client that has it, 412 for one that asks for another.
    pub(super) fn conditional(
        &self,
        tag: Option<String>,
        answer: impl FnOnce() -> Result<Response, Error>,
    ) -> Result<Response, Error> {
        let Some(tag) = tag else { return answer() };
        let names = |header: &str| {
            let header = self.request.list_header(header)?;
            let same = |asked: &str| {
                let asked = asked.trim();
                asked == "*" || asked.trim_start_matches("W/") == tag.trim_start_matches("W/")
            };
            // Some clients send the word null where they have no tag.
            (header != "null").then(|| header.split(',').any(same))
        };
        if names("if-match") == Some(false) {
            return Err(Error::Precondition(format!("the entity has changed: its tag is {tag}")));
        }
        if names("if-none-match") == Some(true) {
            let headers = vec![("odata-version", self.negotiated.version.name().to_owned()), ("etag", tag)];
            return Ok(Response { status: 304, headers, body: Vec::new() });
        }
        Ok(answer()?.with("etag", Some(tag)))
    }
}

/// The context of a property: `Products(1)/Address/City`.
pub(super) fn property_context(root: &str, reached: &Reached, types: &Types<'_>) -> Option<String> {
    let owner: &Record = reached.owner.as_ref()?;
    if reached.properties.is_empty() {
        return None;
    }
    let address = address(types, owner)?;
    Some(format!("{root}$metadata#{address}/{}", reached.properties.join("/")))
}
