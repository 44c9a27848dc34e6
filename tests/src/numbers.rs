//! A source whose readings a test decides one by one: numbers posted to a webhook. The answer comes after their commit, so
//! a test knows what is in the log, and in which order.

use crate::gateway::Gateway;
use crate::http_client::http_client;
use crate::http_sink::{http_sink, prompt_route};
use anyhow::{Result, ensure};
use bulkhead_simulators::upstream::{Rejection, Upstream};
use serde_json::{Value, json};

/// The connection `source` with the integer point `n`.
pub const NUMBERS: &str = r#"
[connections.source]
adapter = "webhook-json"

[[connections.source.settings.hooks]]
path = "/numbers"
points = [{ path = "n", type = "integer" }]
"#;

/// [`NUMBERS`], the sink `erp` at an upstream, granted what is below `/api`, and the route `up` to it. `transport` and `route`
/// have further keys of theirs.
#[must_use]
pub fn numbers_to(upstream: &Upstream, transport: &str, route: &str) -> String {
    let sink = http_sink("erp", &format!("{}/api", upstream.url()), transport);
    format!("{NUMBERS}{sink}{}", prompt_route("up", "source/*", "erp", route))
}

/// The rule of an upstream that refuses the numbers which 13 divides.
#[must_use]
pub fn unlucky(body: &Value) -> Option<Rejection> {
    let is_unlucky = body["n"].as_i64().is_some_and(|number| number % 13 == 0);
    is_unlucky.then(|| Rejection { status: 422, code: "Unlucky".into(), message: "13 is not sold here".into() })
}

/// Commits these numbers in this order, one reading each.
///
/// # Errors
/// When the gateway does not commit all of them.
pub async fn commit_numbers(gateway: &Gateway, numbers: impl IntoIterator<Item = i64>) -> Result<()> {
    let posted: Vec<Value> = numbers.into_iter().map(|number| json!({ "n": number })).collect();
    let count = posted.len();
    let response = http_client()?.post(gateway.api.url("/hooks/source/numbers")).json(&posted).send().await?;
    let (status, body) = (response.status(), response.json::<Value>().await?);
    ensure!(status == 200 && body == json!({ "readings": count }), "the webhook answered {status} {body}");
    Ok(())
}
