//! OData requests against the store, one at a time: request in, response out. OData 4.01 Protocol, sections 8 and 11.

use super::{
    auth::percent_decode,
    script::{Reject, Rejection},
    store::{Accepted, Entity, Store},
};
use axum::http::HeaderMap;
use bytes::Bytes;
use serde_json::{Map, Value, json};

/// Where the service begins.
pub(crate) const ROOT: &str = "/odata/";

/// Entities in one answer, at most.
const MAX_PAGE: usize = 10_000;

/// A request, at the top or inside a batch.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Below the service's root, without the query.
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Whether the client prefers something (section 8.2.8), with or without the prefix of version 4.0.
    pub(crate) fn prefers(&self, preference: &str) -> bool {
        let preferences = self.header("prefer").unwrap_or("").split(',').map(str::trim);
        preferences.map(|text| text.strip_prefix("odata.").unwrap_or(text)).any(|text| text == preference)
    }

    fn json(&self) -> Result<Value, Response> {
        serde_json::from_slice(&self.body).map_err(|error| Response::error(400, "BadJson", &error.to_string()))
    }
}

/// What is in an answer.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Content {
    Nothing,
    Json(Value),
    Text { media_type: String, text: String },
}

/// An answer.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) content: Content,
}

impl Response {
    pub(crate) fn json(status: u16, value: Value) -> Self {
        Self { status, headers: Vec::new(), content: Content::Json(value) }
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), content: Content::Nothing }
    }

    pub(crate) fn text(media_type: &str, text: String) -> Self {
        Self { status: 200, headers: Vec::new(), content: Content::Text { media_type: media_type.into(), text } }
    }

    pub(crate) fn error(status: u16, code: &str, message: &str) -> Self {
        Self::json(status, error_body(code, message))
    }

    pub(crate) fn with(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl From<Rejection> for Response {
    fn from(rejection: Rejection) -> Self {
        Response::error(rejection.status, &rejection.code, &rejection.message)
    }
}

/// An error in OData's form (JSON Format, section 21.1).
pub(crate) fn error_body(code: &str, message: &str) -> Value {
    json!({ "error": { "code": code, "message": message } })
}

/// What a request is carried out against.
pub(crate) struct Context<'a> {
    pub(crate) store: &'a mut Store,
    pub(crate) reject: Option<Reject>,
    pub(crate) key_property: Option<&'a str>,
    pub(crate) requires_if_match: bool,
    pub(crate) idempotency_key: Option<String>,
}

impl Context<'_> {
    /// Carries out one request that is no batch.
    pub(crate) fn execute(&mut self, request: &Request) -> Response {
        self.try_execute(request).unwrap_or_else(|refusal| refusal)
    }

    fn try_execute(&mut self, request: &Request) -> Result<Response, Response> {
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "") => return Ok(self.service_document()),
            ("GET", "$metadata") => return Ok(Response::text("application/xml", METADATA.to_owned())),
            _ => {}
        }
        let (set, key) = set_and_key(&request.path)
            .ok_or_else(|| Response::error(404, "NoSuchResource", &format!("no resource {}", request.path)))?;
        match (request.method.as_str(), key) {
            ("GET", None) => Ok(self.list(&set, request)),
            ("GET", Some(key)) => self.get(&set, &key),
            ("POST", None) => self.create(&set, request),
            ("PUT" | "PATCH", Some(key)) => self.upsert(&set, &key, request),
            ("DELETE", Some(key)) => self.delete(&set, &key, request),
            _ => Err(Response::error(405, "MethodNotAllowed", &format!("{} on {}", request.method, request.path))),
        }
    }

    fn service_document(&self) -> Response {
        let sets = self.store.sets();
        let names = if sets.is_empty() { vec!["Readings".to_owned()] } else { sets };
        let sets = names.iter().map(|name| json!({ "name": name, "kind": "EntitySet", "url": name }));
        Response::json(200, json!({ "@odata.context": "$metadata", "value": sets.collect::<Vec<_>>() }))
    }

    fn list(&self, set: &str, request: &Request) -> Response {
        let option = |name: &str| {
            let mut pairs = request.query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(known, _)| percent_decode(known) == name).and_then(|(_, value)| value.parse::<usize>().ok())
        };
        let (skip, top) = (option("$skip").unwrap_or(0), option("$top").unwrap_or(MAX_PAGE).min(MAX_PAGE));
        let all: Vec<_> = self.store.entities(set).map(shown).collect();
        let count = all.len();
        let page: Vec<_> = all.into_iter().skip(skip).take(top).collect();
        Response::json(
            200,
            json!({ "@odata.context": format!("$metadata#{set}"), "@odata.count": count, "value": page }),
        )
    }

    fn get(&self, set: &str, key: &str) -> Result<Response, Response> {
        let entity = self.store.entity(set, key).ok_or_else(|| not_found(set, key))?;
        Ok(Response::json(200, shown(entity)).with("etag", entity.etag()))
    }

    fn create(&mut self, set: &str, request: &Request) -> Result<Response, Response> {
        let body = self.admitted(request)?;
        let own_key = self.key_property.and_then(|property| body.get(property)).map(key_text);
        if let Some(key) = own_key.as_ref().filter(|key| self.store.entity(set, key).is_some()) {
            return Err(Response::error(409, "Exists", &format!("{set} {key} exists")));
        }
        let key = own_key.unwrap_or_else(|| self.store.free_key(set));
        self.keep(request, set, None, &body);
        let entity = self.store.put(set, &key, Some(body)).ok_or_else(|| not_found(set, &key))?;
        Ok(created(set, &key, &entity, request))
    }

    fn upsert(&mut self, set: &str, key: &str, request: &Request) -> Result<Response, Response> {
        let before = self.store.entity(set, key).cloned();
        self.check_precondition(before.as_ref(), request)?;
        let sent = self.admitted(request)?;
        let body = match &before {
            Some(before) if request.method == "PATCH" => merged(&before.body, &sent),
            _ => sent.clone(),
        };
        self.keep(request, set, Some(key), &sent);
        let entity = self.store.put(set, key, Some(body)).ok_or_else(|| not_found(set, key))?;
        Ok(match before {
            None => created(set, key, &entity, request),
            Some(_) if request.prefers("return=representation") => {
                Response::json(200, shown(&entity)).with("etag", entity.etag())
            }
            Some(_) => Response::empty(204).with("etag", entity.etag()),
        })
    }

    fn delete(&mut self, set: &str, key: &str, request: &Request) -> Result<Response, Response> {
        let before = self.store.entity(set, key).cloned().ok_or_else(|| not_found(set, key))?;
        self.check_precondition(Some(&before), request)?;
        self.store.put(set, key, None);
        Ok(Response::empty(204))
    }

    /// Section 11.4.1.1: If-Match and If-None-Match.
    fn check_precondition(&self, before: Option<&Entity>, request: &Request) -> Result<(), Response> {
        let failed = |message: &str| Err(Response::error(412, "PreconditionFailed", message));
        if before.is_some() && request.header("if-none-match") == Some("*") {
            return failed("the entity exists");
        }
        match (request.header("if-match"), before) {
            (Some(_), None) => failed("the entity does not exist"),
            (Some(wanted), Some(before)) => {
                let is_met = wanted.split(',').map(str::trim).any(|etag| etag == "*" || etag == before.etag());
                if is_met { Ok(()) } else { failed("the entity has changed") }
            }
            (None, Some(_)) if self.requires_if_match => {
                Err(Response::error(428, "PreconditionRequired", "send If-Match"))
            }
            (None, _) => Ok(()),
        }
    }

    fn admitted(&self, request: &Request) -> Result<Value, Response> {
        let body = request.json()?;
        if !body.is_object() {
            return Err(Response::error(400, "NotAnEntity", "an entity is a JSON object"));
        }
        self.check_rejection(&body)?;
        Ok(body)
    }

    fn check_rejection(&self, body: &Value) -> Result<(), Response> {
        self.reject.as_ref().and_then(|reject| reject(body)).map_or(Ok(()), |rejection| Err(rejection.into()))
    }

    fn keep(&mut self, request: &Request, collection: &str, key: Option<&str>, body: &Value) {
        self.store.accept(Accepted {
            number: 0,
            method: request.method.clone(),
            collection: collection.into(),
            key: key.map(Into::into),
            idempotency_key: self.idempotency_key.clone(),
            body: body.clone(),
        });
    }

    /// Takes plain JSON: one value, or an array whose elements are accepted all or none.
    pub(crate) fn ingest(&mut self, request: &Request) -> Response {
        let all = match request.json() {
            Ok(Value::Array(all)) => all,
            Ok(one) => vec![one],
            Err(refusal) => return refusal,
        };
        if let Some(refusal) = all.iter().find_map(|body| self.check_rejection(body).err()) {
            return refusal;
        }
        let collection = request.path.trim_start_matches('/').to_owned();
        all.iter().for_each(|body| self.keep(request, &collection, None, body));
        Response::json(200, json!({ "accepted": all.len() }))
    }
}

fn created(set: &str, key: &str, entity: &Entity, request: &Request) -> Response {
    let location = format!("{ROOT}{set}('{}')", key.replace('\'', "''"));
    let response = match request.prefers("return=minimal") {
        true => Response::empty(204).with("odata-entityid", location.clone()),
        false => {
            let mut body = shown(entity);
            if let Value::Object(properties) = &mut body {
                properties.insert("@odata.context".into(), format!("{ROOT}$metadata#{set}/$entity").into());
            }
            Response::json(201, body)
        }
    };
    response.with("location", location).with("etag", entity.etag())
}

fn not_found(set: &str, key: &str) -> Response {
    Response::error(404, "NoSuchEntity", &format!("no {set} {key}"))
}

fn shown(entity: &Entity) -> Value {
    let mut body = entity.body.clone();
    if let Value::Object(properties) = &mut body {
        properties.insert("@odata.etag".into(), entity.etag().into());
    }
    body
}

fn merged(before: &Value, change: &Value) -> Value {
    let mut merged: Map<_, _> = before.as_object().cloned().unwrap_or_default();
    merged.extend(change.as_object().cloned().unwrap_or_default());
    Value::Object(merged)
}

fn key_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// `Readings` or `Readings(key)`; a key in quotes loses them, one of several parts stays as it is.
fn set_and_key(path: &str) -> Option<(String, Option<String>)> {
    let path = percent_decode(path);
    let (set, key) = match path.split_once('(') {
        Some((set, rest)) => (set, Some(rest.strip_suffix(')')?)),
        None => (path.as_str(), None),
    };
    let is_name = !set.is_empty() && set.chars().all(|c| c.is_alphanumeric() || c == '_');
    let unquoted = |key: &str| match key.strip_prefix('\'').and_then(|key| key.strip_suffix('\'')) {
        Some(inner) if !inner.replace("''", "").contains('\'') => inner.replace("''", "'"),
        _ => key.to_owned(),
    };
    is_name.then(|| (set.to_owned(), key.map(unquoted)))
}

/// A model whose entities take any property.
const METADATA: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx"><edmx:DataServices>
<Schema Namespace="Simulated" xmlns="http://docs.oasis-open.org/odata/ns/edm">
<EntityType Name="Reading" OpenType="true"><Key><PropertyRef Name="Id"/></Key><Property Name="Id" Type="Edm.String" Nullable="false"/></EntityType>
<EntityContainer Name="Container"><EntitySet Name="Readings" EntityType="Simulated.Reading"/></EntityContainer>
</Schema></edmx:DataServices></edmx:Edmx>
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn request(method: &str, path: &str, headers: &[(&'static str, &str)], body: Value) -> Request {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let (method, path, body) = (method.into(), path.into(), body.to_string().into());
        Request { method, path, query: String::new(), headers, body }
    }

    fn context(store: &mut Store) -> Context<'_> {
        Context { store, reject: None, key_property: Some("Id"), requires_if_match: false, idempotency_key: None }
    }

    #[test]
    fn keys_as_they_stand_in_urls() {
        for (path, key) in [
            ("Readings", None),
            ("Readings(1)", Some("1")),
            ("Readings('a''b%20c')", Some("a'b c")),
            ("Readings(Point='x',Seq=1)", Some("Point='x',Seq=1")),
            ("Readings(Point='x',Name='y')", Some("Point='x',Name='y'")),
        ] {
            assert_eq!(set_and_key(path), Some(("Readings".into(), key.map(Into::into))), "{path}");
        }
        assert_eq!(set_and_key("Readings(1"), None);
        assert_eq!(set_and_key("a/b"), None);
    }

    #[test]
    fn creating_replacing_and_merging_with_preconditions() {
        let mut store = Store::new(100);
        let mut context = context(&mut store);
        let body = json!({ "Id": "a", "Value": 1 });
        let response = context.execute(&request("POST", "Readings", &[], body.clone()));
        assert_eq!(response.status, 201);
        assert_eq!(context.execute(&request("POST", "Readings", &[], body.clone())).status, 409);
        let put = |headers: &[(&'static str, &str)]| request("PUT", "Readings('a')", headers, json!({ "Value": 2 }));
        assert_eq!(context.execute(&put(&[("if-none-match", "*")])).status, 412);
        assert_eq!(context.execute(&put(&[("if-match", "W/\"999\"")])).status, 412);
        let etag = response.headers.iter().find(|(name, _)| *name == "etag").unwrap().1.clone();
        assert_eq!(context.execute(&put(&[("if-match", &etag)])).status, 204);
        assert_eq!(context.execute(&put(&[("if-match", &etag)])).status, 412);
        let patch = request("PATCH", "Readings('a')", &[("prefer", "return=representation")], json!({ "Unit": "C" }));
        let Content::Json(entity) = context.execute(&patch).content else { panic!("no entity") };
        assert_eq!((&entity["Value"], &entity["Unit"]), (&json!(2), &json!("C")));
        let new = request("PUT", "Readings('b')", &[("if-match", "*")], json!({}));
        assert_eq!(context.execute(&new).status, 412);
        assert_eq!(context.execute(&request("PUT", "Readings('b')", &[], json!({}))).status, 201);
        assert_eq!(context.execute(&request("DELETE", "Readings('b')", &[], json!({}))).status, 204);
        assert_eq!(context.execute(&request("GET", "Readings('b')", &[], json!({}))).status, 404);
        assert_eq!(store.accepted_total(), 4);
    }

    #[test]
    fn what_the_predicate_refuses_is_not_kept() {
        let mut store = Store::new(100);
        let mut context = context(&mut store);
        context.reject = Some(Arc::new(|body: &Value| {
            let refused = body["Value"] == json!(13);
            refused.then(|| Rejection { status: 422, code: "Unlucky".into(), message: "13".into() })
        }));
        let post = |value: Value| request("POST", "Readings", &[], value);
        assert_eq!(context.execute(&post(json!({ "Value": 13 }))).status, 422);
        assert_eq!(context.execute(&post(json!({ "Value": 14 }))).status, 201);
        assert_eq!(context.execute(&post(json!([]))).status, 400);
        let array = request("POST", "/ingest", &[], json!([{ "Value": 1 }, { "Value": 13 }]));
        assert_eq!(context.ingest(&array).status, 422);
        assert_eq!(context.ingest(&request("POST", "/ingest", &[], json!([1, 2]))).status, 200);
        assert_eq!(store.accepted_total(), 3);
    }
}
