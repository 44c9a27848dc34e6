//! OData batches: several requests in one, some of them together or not at all. OData 4.01 Protocol section 11.7, JSON
//! Format section 19. References between requests by `$id` are not followed.

use super::{
    multipart,
    odata::{Content, Context, ROOT, Request, Response},
};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value, json};

/// Requests in one batch, at most.
const MAX_REQUESTS: usize = 10_000;

/// One request of a batch.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) id: Option<String>,
    pub(crate) depends_on: Vec<String>,
    pub(crate) request: Request,
}

/// One request, or several that are accepted together or not at all.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    Single(Item),
    ChangeSet { group: String, items: Vec<Item> },
}

/// What became of a part.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Outcome {
    Single {
        id: Option<String>,
        response: Response,
    },
    /// `failed` is the place of the request because of which none was accepted.
    ChangeSet {
        group: String,
        responses: Vec<(Option<String>, Response)>,
        failed: Option<usize>,
    },
}

impl Outcome {
    fn is_success(&self) -> bool {
        match self {
            Outcome::Single { response, .. } => response.is_success(),
            Outcome::ChangeSet { failed, .. } => failed.is_none(),
        }
    }

    fn ids(&self) -> Vec<&str> {
        match self {
            Outcome::Single { id, .. } => id.iter().map(String::as_str).collect(),
            Outcome::ChangeSet { group, responses, .. } => {
                let ids = responses.iter().filter_map(|(id, _)| id.as_deref());
                ids.chain([group.as_str()]).collect()
            }
        }
    }
}

/// Answers a batch of either format.
pub(crate) fn answer(request: &Request, context: &mut Context<'_>) -> Response {
    let media_type = request.header("content-type").unwrap_or("");
    let continues = request.prefers("continue-on-error") || request.prefers("continue-on-error=true");
    if media_type.starts_with("multipart/mixed") {
        match multipart::parse(media_type, &request.body) {
            Ok(parts) if parts.len() <= MAX_REQUESTS => multipart::encode(&run(parts, context, continues, false)),
            Ok(_) => Response::error(413, "TooManyRequests", "a batch with too many requests"),
            Err(reason) => Response::error(400, "BadBatch", reason),
        }
    } else {
        match parse_json(&request.body) {
            Ok(parts) => encode_json(&run(parts, context, continues, true)),
            Err(reason) => Response::error(400, "BadBatch", reason),
        }
    }
}

/// Carries parts out in order. After a failed one the rest is left out, or answered 424 where `answers_all`, unless
/// the client said to continue.
fn run(parts: Vec<Part>, context: &mut Context<'_>, continues: bool, answers_all: bool) -> Vec<Outcome> {
    let mut outcomes: Vec<Outcome> = Vec::new();
    let mut failed: Vec<String> = Vec::new();
    for part in parts {
        let stops = !continues && !failed.is_empty();
        if stops && !answers_all {
            break;
        }
        let outcome = match part {
            Part::Single(item) => single(item, context, &failed, stops),
            Part::ChangeSet { group, items } => change_set(group, items, context, &failed, stops),
        };
        if !outcome.is_success() {
            let ids = outcome.ids();
            // A request without an id failed all the same.
            failed.push(String::new());
            failed.extend(ids.into_iter().map(str::to_owned));
        }
        outcomes.push(outcome);
    }
    outcomes
}

fn single(item: Item, context: &mut Context<'_>, failed: &[String], stops: bool) -> Outcome {
    let response =
        if stops || depends_on_failed(&item, failed) { dependency_failed() } else { context.execute(&item.request) };
    Outcome::Single { id: item.id, response }
}

fn change_set(group: String, items: Vec<Item>, context: &mut Context<'_>, failed: &[String], stops: bool) -> Outcome {
    context.store.begin_change_set();
    let mut responses = Vec::with_capacity(items.len());
    let mut failed_at = None;
    for (index, item) in items.into_iter().enumerate() {
        let is_hopeless = failed_at.is_some() || stops || depends_on_failed(&item, failed);
        let response = match item.request.method.as_str() {
            _ if is_hopeless => dependency_failed(),
            "GET" => Response::error(400, "ReadInChangeSet", "a change set only changes"),
            _ => context.execute(&item.request),
        };
        if failed_at.is_none() && !response.is_success() {
            failed_at = Some(index);
        }
        responses.push((item.id, response));
    }
    context.store.end_change_set(failed_at.is_none());
    if let Some(failed_at) = failed_at {
        responses[..failed_at].iter_mut().for_each(|(_, response)| *response = dependency_failed());
    }
    Outcome::ChangeSet { group, responses, failed: failed_at }
}

fn depends_on_failed(item: &Item, failed: &[String]) -> bool {
    item.depends_on.iter().any(|id| failed.contains(id))
}

fn dependency_failed() -> Response {
    Response::error(424, "FailedDependency", "another request of the batch failed")
}

/// The path below the service's root, and the query, of an absolute or relative URL.
pub(crate) fn split_url(url: &str) -> (String, String) {
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => url,
    };
    let path = path.strip_prefix(ROOT).unwrap_or(path);
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    (path.trim_start_matches('/').to_owned(), query.to_owned())
}

/// Headers by name and value; what is no header is left out.
pub(crate) fn headers<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> HeaderMap {
    pairs
        .filter_map(|(name, value)| Some((name.parse::<HeaderName>().ok()?, HeaderValue::from_str(value).ok()?)))
        .collect()
}

fn parse_json(body: &[u8]) -> Result<Vec<Part>, &'static str> {
    let batch: Value = serde_json::from_slice(body).map_err(|_| "the batch is not JSON")?;
    let requests = batch["requests"].as_array().ok_or("the batch has no array `requests`")?;
    if requests.len() > MAX_REQUESTS {
        return Err("a batch with too many requests");
    }
    let mut parts: Vec<Part> = Vec::new();
    for request in requests {
        let item = parse_json_item(request)?;
        let wanted = request["atomicityGroup"].as_str();
        match (parts.last_mut(), wanted) {
            (Some(Part::ChangeSet { group, items }), Some(wanted)) if group == wanted => items.push(item),
            (_, Some(wanted)) => parts.push(Part::ChangeSet { group: wanted.to_owned(), items: vec![item] }),
            (_, None) => parts.push(Part::Single(item)),
        }
    }
    Ok(parts)
}

fn parse_json_item(request: &Value) -> Result<Item, &'static str> {
    let text = |name: &str| request[name].as_str().map(str::to_owned);
    let id = text("id").ok_or("a request without `id`")?;
    let method = text("method").ok_or("a request without `method`")?.to_uppercase();
    let (path, query) = split_url(&text("url").ok_or("a request without `url`")?);
    let none = Map::new();
    let named = request["headers"].as_object().unwrap_or(&none);
    let headers = headers(named.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_str()?))));
    let body = request.get("body").map(Value::to_string).unwrap_or_default().into();
    let depends_on = request["dependsOn"].as_array().map_or(&[][..], Vec::as_slice);
    let depends_on = depends_on.iter().filter_map(|id| id.as_str().map(str::to_owned)).collect();
    Ok(Item { id: Some(id), depends_on, request: Request { method, path, query, headers, body } })
}

fn encode_json(outcomes: &[Outcome]) -> Response {
    let mut responses = Vec::new();
    for outcome in outcomes {
        match outcome {
            Outcome::Single { id, response } => responses.push(encode_json_response(id.as_deref(), None, response)),
            Outcome::ChangeSet { group, responses: all, .. } => responses
                .extend(all.iter().map(|(id, response)| encode_json_response(id.as_deref(), Some(group), response))),
        }
    }
    Response::json(200, json!({ "responses": responses }))
}

fn encode_json_response(id: Option<&str>, group: Option<&String>, response: &Response) -> Value {
    let mut headers: Map<String, Value> =
        response.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone().into())).collect();
    let mut encoded = json!({ "id": id, "status": response.status });
    if let Some(group) = group {
        encoded["atomicityGroup"] = json!(group);
    }
    match &response.content {
        Content::Nothing => {}
        Content::Json(value) => {
            headers.insert("content-type".into(), "application/json".into());
            encoded["body"] = value.clone();
        }
        Content::Text { media_type, text } => {
            headers.insert("content-type".into(), media_type.clone().into());
            encoded["body"] = json!(text);
        }
    }
    encoded["headers"] = Value::Object(headers);
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::store::Store;

    fn post(id: &str, group: Option<&str>, body: Value) -> Value {
        let mut request = json!({ "id": id, "method": "post", "url": "Readings", "body": body,
            "headers": { "content-type": "application/json" } });
        if let Some(group) = group {
            request["atomicityGroup"] = json!(group);
        }
        request
    }

    /// Statuses of a JSON batch, and how many entities were accepted.
    fn run_json(requests: Value, prefer: &'static str) -> (Vec<u64>, u64) {
        let mut store = Store::new(100);
        let (key_property, idempotency_key) = (Some("Id"), None);
        let mut context =
            Context { store: &mut store, reject: None, key_property, requires_if_match: false, idempotency_key };
        let headers = headers([("content-type", "application/json"), ("prefer", prefer)].into_iter());
        let body = json!({ "requests": requests }).to_string().into();
        let (method, path) = ("POST".into(), "$batch".into());
        let response = answer(&Request { method, path, query: String::new(), headers, body }, &mut context);
        let Content::Json(answer) = response.content else { panic!("no JSON") };
        let statuses = answer["responses"].as_array().unwrap().iter().map(|one| one["status"].as_u64().unwrap());
        (statuses.collect(), store.accepted_total())
    }

    #[test]
    fn a_group_is_accepted_together_or_not_at_all() {
        let good =
            json!([post("1", Some("g"), json!({})), post("2", Some("g"), json!({})), post("3", None, json!({}))]);
        assert_eq!(run_json(good, ""), (vec![201, 201, 201], 3));
        let bad = json!([post("1", Some("g"), json!({})), post("2", Some("g"), json!(7)), post("3", None, json!({}))]);
        assert_eq!(run_json(bad.clone(), ""), (vec![424, 400, 424], 0));
        assert_eq!(run_json(bad, "odata.continue-on-error"), (vec![424, 400, 201], 1));
    }

    #[test]
    fn what_depends_on_a_failed_request_fails() {
        let mut dependent = post("2", None, json!({}));
        dependent["dependsOn"] = json!(["1"]);
        let requests = json!([post("1", None, json!(7)), dependent]);
        assert_eq!(run_json(requests, "continue-on-error"), (vec![400, 424], 0));
    }

    #[test]
    fn urls_absolute_and_relative() {
        for url in ["http://host:1/odata/Readings(1)?a=b", "/odata/Readings(1)?a=b", "Readings(1)?a=b"] {
            assert_eq!(split_url(url), ("Readings(1)".into(), "a=b".into()), "{url}");
        }
    }
}
