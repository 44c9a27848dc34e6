//! The shop: its model and rows, read from JSON. Keys that are GUIDs are made when it is read.

use bulkhead_odata::literal;
use bulkhead_odata::model::{
    ActionImport, EnumType, GeoKind, Model, Navigation, Parts, PrimitiveType, Property, Singleton, StructuredType, Type,
};
use bulkhead_odata::{EntitySet, Media, MemoryStore, Value};
use serde_json::Value as Json;
use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;

/// The shop's model and rows.
pub(crate) const SHOP: &str = include_str!("shop.json");

type Failed = Box<dyn Error>;

fn text<'j>(json: &'j Json, name: &str) -> Option<&'j str> {
    json.get(name).and_then(Json::as_str)
}

fn name(json: &Json) -> Result<&str, Failed> {
    text(json, "name").ok_or_else(|| "a name is missing".into())
}

fn list<'j>(json: &'j Json, name: &str) -> &'j [Json] {
    json.get(name).and_then(Json::as_array).map_or(&[], Vec::as_slice)
}

fn flag(json: &Json, name: &str) -> bool {
    json.get(name).and_then(Json::as_bool).unwrap_or(false)
}

/// Reads a model with its rows.
pub(crate) fn load(text: &str) -> Result<MemoryStore, Failed> {
    let file: Json = serde_json::from_str(text)?;
    let derived = derived_types(&file["model"]);
    let model = model(&file["model"])?;
    let mut store = MemoryStore::new(model.clone());
    let mut loader = Loader { model: &model, derived, named: HashMap::new() };
    // What others refer to by name comes first.
    let mut order: Vec<usize> = (0..model.entity_sets().len()).collect();
    let refers = |place: &usize| {
        let rows = list(&file["rows"], &model.entity_sets()[*place].name);
        rows.iter()
            .any(|row| row.as_object().is_some_and(|row| row.keys().any(|key| key.starts_with(char::is_lowercase))))
    };
    let weight = |place: &usize| match model.entity_sets()[*place].name.as_str() {
        name if file["rows"][name].get(0).is_none() => 0,
        _ => {
            let by_product =
                list(&file["rows"], &model.entity_sets()[*place].name).iter().any(|row| row.get("product").is_some());
            u8::from(refers(place)) + u8::from(by_product)
        }
    };
    order.sort_by_key(weight);
    for place in order {
        let set = &model.entity_sets()[place];
        let rows = list(&file["rows"], &set.name);
        let loaded: Vec<(usize, Vec<Value>)> =
            rows.iter().map(|row| loader.row(&set.entity_type, row)).collect::<Result<_, _>>()?;
        store = store.with_set(place, loaded);
        for (index, row) in rows.iter().enumerate() {
            if let Some(media_type) = self::text(row, "ContentType") {
                let size = row["Size"].as_u64().unwrap_or(64) as usize;
                store = store.with_media(place, index, media(media_type, size));
            }
        }
    }
    for (place, singleton) in model.singletons().iter().enumerate() {
        let (ty, values) = loader.row(&singleton.entity_type, &file["rows"][&singleton.name])?;
        store = store.with_singleton(place, ty, values);
    }
    Ok(store)
}

/// Bytes of a size that begin as files of the type do.
fn media(media_type: &str, size: usize) -> Media {
    let magic: &[u8] = match media_type {
        "image/png" => b"\x89PNG\r\n\x1a\n",
        "application/pdf" => b"%PDF-1.7\n",
        _ => b"",
    };
    let mut bytes = magic.to_vec();
    bytes.resize(size.max(magic.len()), b'\n');
    Media { media_type: media_type.to_owned(), bytes }
}

/// By the name of a type: the property and value that make a row one of a derived type, and that type.
fn derived_types(model: &Json) -> HashMap<String, Vec<(String, Json, String)>> {
    let mut found: HashMap<String, Vec<_>> = HashMap::new();
    for ty in list(model, "entity_types") {
        let (Some(base), Some(name)) = (text(ty, "base"), text(ty, "name")) else { continue };
        for (property, value) in ty["where"].as_object().into_iter().flatten() {
            found.entry(base.to_owned()).or_default().push((property.clone(), value.clone(), name.to_owned()));
        }
    }
    found
}

fn model(json: &Json) -> Result<Model, Failed> {
    let mut parts = Parts { namespace: "Shop".into(), container: "Container".into(), ..Parts::default() };
    for ty in list(json, "enum_types") {
        let underlying = text(ty, "underlying").and_then(PrimitiveType::from_name).unwrap_or(PrimitiveType::Int32);
        let members = ty["members"].as_object().ok_or("an enumeration without members")?;
        let mut members: Vec<_> =
            members.iter().map(|(name, value)| (name.clone(), value.as_i64().unwrap_or(0))).collect();
        members.sort_by_key(|(_, value)| *value);
        parts.enum_types.push(EnumType { name: name(ty)?.into(), flags: flag(ty, "flags"), underlying, members });
    }
    for ty in list(json, "complex_types") {
        let mut complex = StructuredType::complex(name(ty)?);
        complex.properties = properties(ty, &parts)?;
        parts.types.push(complex);
    }
    for ty in list(json, "entity_types") {
        let mut entity = match text(ty, "base") {
            Some(base) => StructuredType::derived(name(ty)?, base),
            None => StructuredType::new(name(ty)?, list(ty, "key").iter().filter_map(Json::as_str)),
        };
        entity.properties = properties(ty, &parts)?;
        entity.has_stream = flag(ty, "has_stream");
        entity.etag = text(ty, "etag").map(str::to_owned);
        for way in list(ty, "navigation") {
            let to = text(way, "to").ok_or("a navigation property without a target")?;
            let many = flag(way, "many");
            let way_name = name(way)?;
            let mut navigation = if many { Navigation::many(way_name, to) } else { Navigation::one(way_name, to) };
            for (here, there) in way["by"].as_object().into_iter().flatten() {
                navigation = navigation.by(here, there.as_str().unwrap_or_default());
            }
            entity.navigation.push(navigation);
        }
        parts.types.push(entity);
    }
    let tracked: Vec<&str> = list(json, "change_tracking").iter().filter_map(Json::as_str).collect();
    for (set, ty) in json["entity_sets"].as_object().ok_or("no entity sets")? {
        let tracks_changes = tracked.contains(&set.as_str());
        parts.entity_sets.push(EntitySet { tracks_changes, ..EntitySet::new(set, ty.as_str().unwrap_or_default()) });
    }
    for (singleton, ty) in json["singletons"].as_object().into_iter().flatten() {
        let entity_type = ty.as_str().unwrap_or_default().to_owned();
        parts.singletons.push(Singleton { name: singleton.clone(), entity_type });
    }
    parts.actions.push(ActionImport { name: "Reseed".into() });
    Ok(Model::of(parts)?)
}

fn properties(json: &Json, parts: &Parts) -> Result<Vec<Property>, Failed> {
    let mut found = Vec::new();
    for property in list(json, "properties") {
        let type_name = text(property, "type").ok_or("a property without a type")?;
        let ty = match PrimitiveType::from_name(type_name) {
            Some(ty) => ty.into(),
            None => {
                let enumeration = parts.enum_types.iter().position(|ty| ty.name == type_name).map(Type::of_enum);
                let complex = || parts.types.iter().position(|ty| ty.name == type_name).map(Type::structured);
                enumeration.or_else(complex).ok_or_else(|| format!("there is no type {type_name}"))?
            }
        };
        let number =
            |name: &str| property.get(name).and_then(Json::as_u64).and_then(|number| u32::try_from(number).ok());
        found.push(Property {
            nullable: flag(property, "nullable"),
            description: text(property, "description").map(str::to_owned),
            max_length: number("max_length"),
            precision: number("precision"),
            scale: number("scale"),
            searchable: flag(property, "searchable"),
            computed: flag(property, "computed"),
            immutable: flag(property, "immutable"),
            media_type: text(property, "media_type").map(str::to_owned),
            ..Property::required(name(property)?, ty)
        });
    }
    Ok(found)
}

struct Loader<'m> {
    model: &'m Model,
    derived: HashMap<String, Vec<(String, Json, String)>>,
    /// Keys of rows by the name of their type in lower case, and their `Name`.
    named: HashMap<(String, String), Value>,
}

impl Loader<'_> {
    /// A row's type and values.
    fn row(&mut self, type_name: &str, row: &Json) -> Result<(usize, Vec<Value>), Failed> {
        let is = |(property, value, _): &&(String, Json, String)| row.get(property) == Some(value);
        let derived = self.derived.get(type_name).and_then(|found| found.iter().find(is));
        let actual = derived.map_or(type_name, |(_, _, name)| name);
        let ty = self.model.type_place(actual).ok_or_else(|| format!("there is no type {actual}"))?;
        let structured = &self.model.types()[ty];
        let mut values = Vec::with_capacity(structured.properties.len());
        for property in &structured.properties {
            values.push(self.member(row, property, structured)?);
        }
        if let Some(name) = text(row, "Name") {
            self.named.insert((type_name.to_lowercase(), name.to_owned()), values[0].clone());
        }
        Ok((ty, values))
    }

    fn member(&self, row: &Json, property: &Property, ty: &StructuredType) -> Result<Value, Failed> {
        // `category` is the name of the row that CategoryID refers to.
        if let Some(other) = property.name.strip_suffix("ID").filter(|other| !other.is_empty()).map(str::to_lowercase)
            && let Some(name) = text(row, &other)
        {
            let found = self.named.get(&(other, name.to_owned())).cloned();
            return found.ok_or_else(|| format!("there is no `{name}`").into());
        }
        if let Some(bytes) = text(row, &format!("{}_base64", property.name)) {
            return Ok(Value::Binary(literal::decode_base64url(bytes).ok_or("wrong base64")?));
        }
        if property.media_type.as_deref() == Some("image/svg+xml") {
            let svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"8\" height=\"8\"><circle cx=\"4\" cy=\"4\" r=\"4\"/></svg>";
            return Ok(Value::Binary(svg.into()));
        }
        match row.get(&property.name) {
            Some(value) if !value.is_null() => self.value(value, property.ty),
            _ if property.nullable => Ok(Value::Null),
            _ => missing(property, ty),
        }
    }

    fn value(&self, json: &Json, ty: Type) -> Result<Value, Failed> {
        if let Some(place) = ty.structure() {
            let structured = &self.model.types()[place];
            let values = structured.properties.iter().map(|property| self.member(json, property, structured));
            let values = values.collect::<Result<_, _>>()?;
            let home = bulkhead_odata::Home::None;
            return Ok(Value::Record(Arc::new(bulkhead_odata::Record { ty: place, home, values })));
        }
        let Some(primitive) = ty.primitive() else {
            let bulkhead_odata::model::Base::Enum(place) = ty.base else {
                return Err("an unknown kind of type".into());
            };
            let value = json.as_str().and_then(|text| self.model.enum_types()[place].parse(text));
            return Ok(Value::Int(value.ok_or("an unknown member of an enumeration")?));
        };
        primitive_value(json, primitive).ok_or_else(|| format!("{json} is no {primitive}").into())
    }
}

fn primitive_value(json: &Json, ty: PrimitiveType) -> Option<Value> {
    use PrimitiveType as T;
    Some(match ty {
        T::Boolean => Value::Boolean(json.as_bool()?),
        T::Single | T::Double => Value::Double(json.as_f64()?),
        T::Decimal => Value::Decimal(json.as_str().map_or_else(|| json.to_string(), str::to_owned)),
        T::String => Value::String(json.as_str()?.to_owned()),
        T::DateTimeOffset => Value::DateTimeOffset(literal::date_time_offset_ns(json.as_str()?)?),
        T::Duration => Value::Duration(literal::duration_ns(json.as_str()?)?),
        T::Guid => Value::Guid(literal::guid_bytes(json.as_str()?)?),
        T::Date => Value::Date(i32::try_from(literal::days_since_epoch(json.as_str()?)?).ok()?),
        T::TimeOfDay => Value::TimeOfDay(literal::time_of_day_ns(json.as_str()?)?),
        T::Geography(_) => geography(json.as_str()?)?,
        ty if ty.is_integer() => Value::Int(json.as_i64()?),
        _ => return None,
    })
}

fn geography(text: &str) -> Option<Value> {
    bulkhead_odata::geo::Geo::parse(text, true).map(|geo| Value::Geo(Arc::new(geo)))
}

/// What a row does not say and cannot be without: a new key, the moment at which the shop opened.
fn missing(property: &Property, ty: &StructuredType) -> Result<Value, Failed> {
    match property.ty.primitive() {
        Some(PrimitiveType::Guid) => {
            let mut bytes = [0; 16];
            getrandom::fill(&mut bytes).map_err(|error| error.to_string())?;
            // Version 4 of RFC 9562.
            bytes[6] = bytes[6] & 0x0f | 0x40;
            bytes[8] = bytes[8] & 0x3f | 0x80;
            Ok(Value::Guid(bytes))
        }
        Some(PrimitiveType::DateTimeOffset) => {
            let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
            Ok(Value::DateTimeOffset(i64::try_from(since.as_secs())? * 1_000_000_000))
        }
        Some(PrimitiveType::Stream | PrimitiveType::Geography(GeoKind::Any)) => Ok(Value::Null),
        _ => Err(format!("{}: a row has no {}", ty.name, property.name).into()),
    }
}
