//! Calls of functions and actions: their arguments, typed, and their values as an answer (Part 1 §11.5).

use super::Job;
use super::reach::Reached;
use super::reply;
use super::write::Object;
use crate::expr::{self, Argument};
use crate::handle::Response;
use crate::limits::{BODY_MAX_BYTES, Limits};
use crate::model::{Base, Operation, PrimitiveType, Property, Type};
use crate::negotiate::Metadata;
use crate::options::Options;
use crate::plan::mismatch;
use crate::resource::Target;
use crate::service::Invocation;
use crate::typed::{self, Context, Types};
use crate::view::Shape;
use crate::{Error, Value};
use std::collections::BTreeMap;

impl<'a> Job<'a> {
    /// Calls the operation that a path ends in.
    pub(super) fn operation(
        &self,
        place: usize,
        target: &Target,
        options: &Options,
        types: &Types<'a>,
    ) -> Result<Response, Error> {
        let operation = &self.service.model().operations()[place];
        options.nothing_left(if operation.is_action { "an action" } else { "a function" })?;
        let arguments = match operation.is_action {
            true => self.body_arguments(operation, types)?,
            false => self.url_arguments(operation, target.arguments.as_deref().unwrap_or_default(), types)?,
        };
        let entity = match operation.bound_to {
            None => None,
            Some(_) => {
                let Reached { value, .. } = self.reach(target, types)?;
                let record = value.record().cloned();
                Some(record.ok_or_else(|| Error::NotFound("there is nothing at this address".into()))?)
            }
        };
        let value = match operation.computes {
            Some(function) => crate::eval::call(function, &arguments),
            None => {
                let invocation = Invocation { operation, entity: entity.as_deref(), arguments: &arguments };
                self.service.invoke(&invocation)?
            }
        };
        self.value_of_operation(&value, operation.result, types)
    }

    fn value_of_operation(&self, value: &Value, ty: Option<Type>, types: &Types<'a>) -> Result<Response, Error> {
        let Some(ty) = ty.filter(|_| *value != Value::Null) else {
            let headers = vec![("odata-version", self.negotiated.version.name().to_owned())];
            return Ok(Response { status: 204, headers, body: Vec::new() });
        };
        let style = self.json_style()?;
        let writer = self.writer(style, types);
        let context = format!("{}$metadata#{}", self.root, types.name(ty));
        let mut out = Vec::new();
        if let Value::Record(_) = value {
            writer.row(&mut out, value, ty.structure(), &Shape::default(), Some(&context))?;
            return Ok(reply::json(style, out));
        }
        let mut object = Object::begin(&mut out);
        if style.format.metadata != Metadata::None {
            object.text(&style.control("context"), &context);
        }
        writer.plain(object.name("value"), value, ty)?;
        object.end();
        Ok(reply::json(style, out))
    }

    /// The arguments of a function: literals and aliases, by name.
    fn url_arguments(&self, operation: &Operation, given: &str, types: &Types<'_>) -> Result<Vec<Value>, Error> {
        let syntax = |error: expr::ParseError| Error::Syntax {
            target: operation.name.clone(),
            at: crate::plan::characters(given, error.at),
            message: error.message,
        };
        let given_arguments: Vec<Argument> = if given.trim().is_empty() {
            Vec::new()
        } else {
            expr::parse_key(given, Limits::default()).map_err(syntax)?
        };
        let names: Vec<&str> = operation.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
        let strange =
            given_arguments.iter().find(|argument| !names.contains(&argument.name.as_deref().unwrap_or_default()));
        if strange.is_some() {
            let expected = format!("arguments are given by name: {}", names.join(", "));
            return Err(Error::invalid(operation.name.as_str(), expected));
        }
        let context = Context {
            types,
            this: None,
            it: None,
            aliases: &self.aliases,
            now_ns: self.request.now_ns,
            through_collections: false,
        };
        let mut arguments = Vec::with_capacity(names.len());
        for parameter in &operation.parameters {
            let found = given_arguments.iter().find(|argument| argument.name.as_deref() == Some(&*parameter.name));
            arguments.push(match found {
                Some(argument) => typed::constant(&argument.value, parameter.ty, context)
                    .map_err(|found| mismatch(&operation.name, given, found))?,
                None if parameter.nullable => Value::Null,
                None => return Err(Error::invalid(&operation.name, format!("`{}` is not given", parameter.name))),
            });
        }
        Ok(arguments)
    }

    /// The arguments of an action: members of the body, which may be empty where there are none (4.01).
    fn body_arguments(&self, operation: &Operation, types: &Types<'_>) -> Result<Vec<Value>, Error> {
        let members = self.body_members(&operation.name, &operation.parameters)?;
        let mut arguments = Vec::with_capacity(operation.parameters.len());
        for parameter in &operation.parameters {
            let value = match members.get(&parameter.name) {
                None | Some(serde_json::Value::Null) if parameter.nullable => Value::Null,
                None => return Err(Error::invalid("body", format!("the parameter `{}` is missing", parameter.name))),
                Some(given) => from_json(given, parameter.ty, types).ok_or_else(|| {
                    let expected = types.name(parameter.ty);
                    Error::invalid("body", format!("`{}`: {expected} is expected, not {given}", parameter.name))
                })?,
            };
            arguments.push(value);
        }
        Ok(arguments)
    }

    /// The members of the body of an action, which may be empty.
    pub(super) fn body_members(
        &self,
        action: &str,
        parameters: &[Property],
    ) -> Result<BTreeMap<String, serde_json::Value>, Error> {
        let body = self.request.body;
        if body.len() > BODY_MAX_BYTES {
            return Err(Error::Limit { target: "body".into(), limit: "body bytes", max: BODY_MAX_BYTES });
        }
        let blank = body.iter().all(u8::is_ascii_whitespace);
        let media_type = self.request.header("content-type").unwrap_or_default();
        let is_json = media_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json");
        if !blank && !is_json {
            return Err(Error::MediaType(format!("the body is `{media_type}`: application/json is expected")));
        }
        let members: BTreeMap<String, serde_json::Value> = match blank {
            true => BTreeMap::new(),
            false => serde_json::from_slice(body).map_err(|error| {
                Error::invalid("body", format!("an object with the arguments is expected: {error}"))
            })?,
        };
        let known = |name: &String| parameters.iter().any(|parameter| parameter.name == *name);
        if let Some(name) = members.keys().find(|name| !name.contains('@') && !known(name)) {
            let near = crate::model::nearest(name, parameters.iter().map(|parameter| &*parameter.name));
            let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            return Err(Error::invalid("body", format!("`{action}` has no parameter `{name}`{hint}")));
        }
        Ok(members)
    }
}

/// A JSON value as one of a type. A number or a Boolean where a text is expected is meant by its digits.
fn from_json(given: &serde_json::Value, ty: Type, types: &Types<'_>) -> Option<Value> {
    use serde_json::Value as Json;
    if ty.collection {
        let items: Option<Vec<Value>> =
            given.as_array()?.iter().map(|item| from_json(item, ty.item(), types)).collect();
        return Some(Value::Collection(std::sync::Arc::new(items?)));
    }
    if let Base::Enum(place) = ty.base {
        return types.enumeration(place).parse(given.as_str()?).map(Value::Int);
    }
    let primitive = ty.primitive()?;
    let text = || match given {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        Json::Bool(value) => Some(value.to_string()),
        _ => None,
    };
    match primitive {
        PrimitiveType::Boolean => given.as_bool().map(Value::Boolean),
        PrimitiveType::String => text().map(Value::String),
        PrimitiveType::Double | PrimitiveType::Single => match given {
            Json::Number(number) => number.as_f64().map(Value::Double),
            Json::String(text) => match text.as_str() {
                "NaN" => Some(Value::Double(f64::NAN)),
                "INF" => Some(Value::Double(f64::INFINITY)),
                "-INF" => Some(Value::Double(f64::NEG_INFINITY)),
                _ => None,
            },
            _ => None,
        },
        PrimitiveType::Decimal => text().filter(|digits| digits.parse::<f64>().is_ok()).map(Value::Decimal),
        _ if primitive.is_integer() => text()?.parse().ok().map(Value::Int).filter(|value| value.fits(ty)),
        _ => typed::convert_text(given.as_str()?, ty, types),
    }
}
