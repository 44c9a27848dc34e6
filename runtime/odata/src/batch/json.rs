//! JSON batches.

use super::{Batch, Part, too_many};
use crate::Error;
use crate::handle::Response;
use crate::limits::BATCH_MAX_REQUESTS;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE};
use base64::engine::{DecodePaddingMode, Engine as _};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

const PADDED_OR_NOT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// A request with what JSON says beside it.
struct Item {
    part: Part,
    id: String,
    group: Option<String>,
    /// Whether it has a condition of its own, `if`, which nothing here evaluates: such a request fails (JSON Format §19.1).
    has_condition: bool,
    depends_on: Vec<String>,
}

/// Runs a batch; gives the media type and the body of the answer.
pub(super) fn answer(body: &[u8], batch: &mut Batch<'_>) -> Result<(String, Vec<u8>), Error> {
    let wrong = |message: String| Error::invalid("body", message);
    let document: Value = serde_json::from_slice(body).map_err(|error| wrong(format!("this is no JSON: {error}")))?;
    let requests = document.get("requests").and_then(Value::as_array);
    let requests = requests.ok_or_else(|| wrong("an array `requests` is expected".into()))?;
    if requests.len() > BATCH_MAX_REQUESTS {
        return Err(too_many());
    }
    let items: Vec<Item> = requests.iter().map(item).collect::<Result<_, _>>()?;
    check(&items)?;
    // By id: whether it succeeded. Groups have ids, too.
    let mut done: BTreeMap<&str, bool> = BTreeMap::new();
    let mut responses: Vec<Vec<u8>> = Vec::new();
    let mut stopped = false;
    for item in &items {
        let missing = item.depends_on.iter().find(|id| done.get(id.as_str()) != Some(&true));
        let group_failed = item.group.as_deref().is_some_and(|group| done.get(group) == Some(&false));
        let unmet = stopped || missing.is_some() || group_failed || item.has_condition;
        let response = if item.has_condition {
            super::failure(&Error::unsupported("if", "conditions of requests are not evaluated: use dependsOn"))
        } else if unmet {
            super::failure(&Error::invalid("$batch", "a request before this one, which it depends on, has failed"))
        } else {
            batch.run(&item.part)
        };
        let fine = response.status < 400;
        // Only what ran and failed stops the rest; what it was a condition of has failed with it.
        if !stopped {
            done.insert(&item.id, fine);
            if let Some(group) = &item.group {
                let so_far = done.get(group.as_str()).copied().unwrap_or(true);
                done.insert(group, so_far && fine);
            }
        }
        let response = if unmet { with_status(response, 424) } else { response };
        // What a group has done before one of it fails counts as not done.
        let mates = items.iter().zip(&mut responses);
        for (mate, earlier) in mates.filter(|(mate, _)| !fine && item.group.is_some() && mate.group == item.group) {
            done.insert(&mate.id, false);
            let error = Error::invalid("$batch", "another request of its group has failed");
            *earlier = answered(mate, &with_status(super::failure(&error), 424));
        }
        responses.push(answered(item, &response));
        if !fine && !batch.go_on {
            stopped = true;
        }
    }
    let mut body = b"{\"responses\":[".to_vec();
    body.extend_from_slice(&responses.join(&b','));
    body.extend_from_slice(b"]}");
    Ok(("application/json;charset=utf-8".into(), body))
}

fn with_status(response: Response, status: u16) -> Response {
    Response { status, ..response }
}

/// Ids are there once, and what is depended on stands before.
fn check(items: &[Item]) -> Result<(), Error> {
    let wrong = |message: String| Err(Error::invalid("body", message));
    for (index, item) in items.iter().enumerate() {
        let before = &items[..index];
        if before.iter().any(|other| other.id == item.id || other.group.as_ref() == Some(&item.id)) {
            return wrong(format!("the id `{}` is there twice", item.id));
        }
        let grouped = |other: &&Item| item.group.is_some() && other.group == item.group;
        if before.iter().any(|other| grouped(&other)) && !before.last().is_some_and(|other| grouped(&other)) {
            return wrong(format!("the requests of the group of `{}` do not stand together", item.id));
        }
        for id in &item.depends_on {
            if !before.iter().any(|other| other.id == *id || other.group.as_ref() == Some(id)) {
                return wrong(format!("`{}` depends on `{id}`, which is not before it", item.id));
            }
        }
    }
    Ok(())
}

fn item(value: &Value) -> Result<Item, Error> {
    let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let needed = |name: &str| {
        text(name).ok_or_else(|| Error::invalid("body", format!("a request of a batch needs a text `{name}`")))
    };
    let headers: Vec<(String, String)> = value
        .get("headers")
        .and_then(Value::as_object)
        .map(|headers| headers.iter().map(|(name, value)| (name.clone(), as_text(value))).collect())
        .unwrap_or_default();
    let content_type = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    let body = bytes(value.get("body"), content_type.map(|(_, value)| value.as_str()))?;
    let list = value.get("dependsOn").and_then(Value::as_array).cloned().unwrap_or_default();
    let id = needed("id")?;
    let part = Part {
        id: Some(id.clone()),
        method: needed("method")?.to_ascii_uppercase(),
        url: needed("url")?,
        headers,
        body,
    };
    let has_condition = value.get("if").is_some_and(|condition| !condition.is_null());
    Ok(Item { part, id, has_condition, group: text("atomicityGroup"), depends_on: list.iter().map(as_text).collect() })
}

fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The answer to a request, in the order of the standard's own examples; JSON in it stays as it is.
fn answered(item: &Item, response: &Response) -> Vec<u8> {
    let mut json = Map::new();
    let headers = response.headers.iter().map(|(name, value)| ((*name).to_owned(), Value::from(value.clone())));
    json.insert("headers".into(), Value::Object(headers.collect()));
    json.insert("id".into(), item.id.clone().into());
    if let Some(group) = &item.group {
        json.insert("atomicityGroup".into(), group.clone().into());
    }
    json.insert("status".into(), response.status.into());
    let mut out = Value::from(json).to_string().into_bytes();
    if !response.body.is_empty() {
        out.pop();
        out.extend_from_slice(b",\"body\":");
        out.extend_from_slice(&body(response));
        out.push(b'}');
    }
    out
}

/// What form a body of a media type has in a JSON batch (JSON Format §19.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Json,
    Text,
    Base64Url,
}

fn form(content_type: &str) -> Form {
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media_type.split_once('/') {
        Some(("application", subtype)) if subtype == "json" || subtype.ends_with("+json") => Form::Json,
        Some(("text", _)) => Form::Text,
        _ => Form::Base64Url,
    }
}

/// JSON as it is, text as a text, anything else as base64url.
fn body(response: &Response) -> Vec<u8> {
    let form = form(response.header("content-type").unwrap_or_default());
    match (form, std::str::from_utf8(&response.body)) {
        (Form::Json, _) => response.body.clone(),
        (Form::Text, Ok(text)) => Value::from(text).to_string().into_bytes(),
        _ => Value::from(URL_SAFE.encode(&response.body)).to_string().into_bytes(),
    }
}

/// The bytes of a request's body: a text is one, unless the media type is one of bytes.
fn bytes(body: Option<&Value>, content_type: Option<&str>) -> Result<Vec<u8>, Error> {
    let encoded = content_type.is_some_and(|content_type| form(content_type) == Form::Base64Url);
    Ok(match body {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(text)) if encoded => {
            let lenient = GeneralPurpose::new(&alphabet::URL_SAFE, PADDED_OR_NOT);
            lenient.decode(text).map_err(|_| Error::invalid("body", "base64url is expected of this media type"))?
        }
        Some(Value::String(text)) => text.clone().into_bytes(),
        Some(other) => other.to_string().into_bytes(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_have_the_form_of_their_media_type() {
        let response = |content_type: &str, body: &[u8]| Response {
            status: 200,
            headers: vec![("content-type", content_type.to_owned())],
            body: body.to_vec(),
        };
        assert_eq!(body(&response("application/json;charset=utf-8", b"{}")), b"{}");
        assert_eq!(body(&response("text/plain", b"test")), b"\"test\"");
        assert_eq!(body(&response("application/octet-stream", b"test")), b"\"dGVzdA==\"");
        assert_eq!(body(&response("text/plain", &[0xFF])), b"\"_w==\"");
        let text = Value::from("dGVzdA");
        assert_eq!(bytes(Some(&text), Some("image/png")).unwrap(), b"test");
        assert_eq!(bytes(Some(&text), Some("text/plain")).unwrap(), b"dGVzdA");
        assert_eq!(bytes(Some(&Value::from(1)), None).unwrap(), b"1");
        assert!(bytes(Some(&Value::from("%")), Some("image/png")).is_err());
    }
}
