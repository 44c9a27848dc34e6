//! A reading as an entity: its JSON and, for upserts, its key.

use crate::literal::{Form, Literal, text};
use crate::settings::{Condition, Constant, PropertySettings, Settings, Source, UpsertMethod};
use bulkhead_sdk::prelude::*;

/// One entity, ready to be sent alone or in a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Change {
    pub(crate) method: &'static str,
    /// Below the service root, without a slash in front.
    pub(crate) url: String,
    /// `If-Match` or `If-None-Match`.
    pub(crate) condition: Option<(&'static str, &'static str)>,
    /// JSON on one line.
    pub(crate) body: String,
}

/// How readings become entities.
#[derive(Clone, Debug)]
pub(crate) struct Mapping {
    entity_set: String,
    properties: Vec<Property>,
    key: Option<Key>,
}

#[derive(Clone, Debug)]
struct Property {
    name: String,
    content: Content,
    form: Form,
}

#[derive(Clone, Debug)]
enum Content {
    From(Source),
    Constant(Literal),
}

#[derive(Clone, Debug)]
struct Key {
    /// Indexes into the properties.
    properties: Vec<usize>,
    method: &'static str,
    condition: Option<(&'static str, &'static str)>,
}

impl Mapping {
    /// Checks and compiles the settings.
    ///
    /// # Errors
    /// Every mistake, each a sentence that names its key.
    pub(crate) fn compile(settings: &Settings) -> Result<Mapping, Vec<String>> {
        let mut mistakes = Vec::new();
        if settings.entity_set.is_empty() || settings.entity_set.chars().any(|c| c.is_control() || c == ' ' || c == '?')
        {
            mistakes.push(format!("entity_set: `{}` is no name of an entity set", settings.entity_set));
        }
        if settings.properties.is_empty() {
            mistakes.push("properties: none; an entity needs at least one".to_owned());
        }
        let mut properties: Vec<Property> = Vec::new();
        for (index, property) in settings.properties.iter().enumerate() {
            match compile_property(property, settings.ieee754_compatible) {
                Ok(property) if properties.iter().any(|known| known.name == property.name) => {
                    mistakes.push(format!("properties[{index}]: `{}` is there twice", property.name));
                }
                Ok(property) => properties.push(property),
                Err(mistake) => mistakes.push(format!("properties[{index}] `{}`: {mistake}", property.name)),
            }
        }
        let key = settings.upsert.as_ref().map(|upsert| {
            let find = |name: &String| properties.iter().position(|property| property.name == *name);
            for name in upsert.key.iter().filter(|name| find(name).is_none()) {
                mistakes.push(format!("upsert.key: `{name}` is none of the properties"));
            }
            if upsert.key.is_empty() {
                mistakes.push("upsert.key: no property; name those that make the key".to_owned());
            }
            Key {
                properties: upsert.key.iter().filter_map(find).collect(),
                method: match upsert.method {
                    UpsertMethod::Patch => "PATCH",
                    UpsertMethod::Put => "PUT",
                },
                condition: match upsert.condition {
                    Condition::None => None,
                    Condition::Exists => Some(("If-Match", "*")),
                    Condition::Absent => Some(("If-None-Match", "*")),
                },
            }
        });
        if mistakes.is_empty() {
            Ok(Mapping { entity_set: settings.entity_set.trim_start_matches('/').to_owned(), properties, key })
        } else {
            Err(mistakes)
        }
    }

    /// Whether an entity that is not there is the reading's fault: an update of what must exist.
    pub(crate) fn must_exist(&self) -> bool {
        self.key.as_ref().is_some_and(|key| key.condition == Some(("If-Match", "*")))
    }

    /// The entity of a reading.
    ///
    /// # Errors
    /// A fault that rejects the reading: a value that does not fit its property's type, a key without a value.
    pub(crate) fn change(&self, batch: &Batch, entry: &Entry) -> Result<Change, Fault> {
        let literals =
            self.properties.iter().map(|property| property.literal(batch, entry)).collect::<Result<Vec<_>, _>>()?;
        let fields = self.properties.iter().zip(&literals).map(|(property, literal)| {
            let name = serde_json::Value::from(property.name.as_str());
            format!("{name}:{}", literal.as_ref().map_or("null", |literal| &literal.json))
        });
        let body = format!("{{{}}}", fields.collect::<Vec<_>>().join(","));
        let Some(key) = &self.key else {
            return Ok(Change { method: "POST", url: self.entity_set.clone(), condition: None, body });
        };
        let url = format!("{}({})", self.entity_set, self.key_predicate(key, &literals)?);
        Ok(Change { method: key.method, url, condition: key.condition, body })
    }

    /// `'a'` for a key of one property, `A='a',B=1` for more (OData URL Conventions 4.01 §4.3.1).
    fn key_predicate(&self, key: &Key, literals: &[Option<Literal>]) -> Result<String, Fault> {
        let mut parts = Vec::new();
        for &index in &key.properties {
            let name = &self.properties[index].name;
            let Some(literal) = &literals[index] else {
                let message = format!("property `{name}` is part of the key and has no value in this reading");
                return Err(Fault::reject("no-key", message));
            };
            parts.push(if key.properties.len() == 1 { literal.url.clone() } else { format!("{name}={}", literal.url) });
        }
        Ok(parts.join(","))
    }
}

fn compile_property(property: &PropertySettings, ieee754_compatible: bool) -> Result<Property, String> {
    let (edm_type, precision, scale) = (property.edm_type, property.precision, property.scale);
    let form = Form { edm_type, precision, scale, ieee754_compatible };
    let content = match (property.from, &property.constant) {
        (Some(source), None) => Content::From(source),
        (None, Some(constant)) => {
            let value = match constant {
                Constant::Boolean(value) => Value::Boolean(*value),
                Constant::Integer(number) => Value::Integer(*number),
                Constant::Real(number) => Value::Real(*number),
                Constant::Text(text) => Value::Text(text.clone()),
            };
            Content::Constant(form.write(&value)?)
        }
        _ => return Err("either `from` or `const` is needed, and not both".to_owned()),
    };
    if property.name.is_empty() || property.name.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("that is no name of a property".to_owned());
    }
    Ok(Property { name: property.name.clone(), content, form })
}

impl Property {
    /// What it holds for a reading; none: null.
    fn literal(&self, batch: &Batch, entry: &Entry) -> Result<Option<Literal>, Fault> {
        let value = match &self.content {
            Content::Constant(literal) => return Ok(Some(literal.clone())),
            Content::From(source) => held(*source, batch, entry),
        };
        let Some(value) = value else { return Ok(None) };
        // A text property takes what a number says, too.
        let written = self
            .form
            .write(&value)
            .map_err(|reason| Fault::reject("value-does-not-fit", format!("property `{}`: {reason}", self.name)))?;
        Ok(Some(written))
    }
}

/// What of a reading a source names.
fn held(source: Source, batch: &Batch, entry: &Entry) -> Option<Value> {
    let reading = &entry.reading;
    let point = batch.points.get(reading.point as usize);
    let status = Status(reading.status);
    match source {
        Source::Value => reading.value.clone(),
        Source::Time => reading.time.map(Value::Time),
        Source::Point => point.map(|point| Value::Text(point.name.clone())),
        Source::Connection => point.map(|point| Value::Text(point.connection.clone())),
        Source::Seq => i64::try_from(entry.seq).ok().map(Value::Integer),
        Source::Unit => point.and_then(|point| point.unit.clone()).map(Value::Text),
        Source::Status => Some(Value::Integer(status.0.into())),
        Source::StatusName => {
            Some(Value::Text(status.name().map_or_else(|| format!("{:#010X}", status.0), str::to_owned)))
        }
        Source::Good => Some(Value::Boolean(status.is_good())),
        Source::Route => Some(Value::Text(batch.route.clone())),
    }
}

/// What an entry is called in a message.
pub(crate) fn entry_name(batch: &Batch, entry: &Entry) -> String {
    let point = batch.points.get(entry.reading.point as usize);
    let name = point.map_or_else(String::new, |point| format!("{}/{}", point.connection, point.name));
    let value = entry.reading.value.as_ref().map_or_else(|| "none".to_owned(), text);
    let shown: String = value.chars().take(40).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    format!("{name} (value {shown}, seq {})", entry.seq)
}
