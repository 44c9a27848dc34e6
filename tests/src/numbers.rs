//! A source whose readings a test decides one by one: numbers posted to a webhook. The answer comes after their commit, so
//! a test knows what is in the log, and in which order.

use crate::gateway::Gateway;
use crate::http_client::http_client;
use anyhow::{Result, ensure};
use serde_json::{Value, json};

/// The connection `source` with the integer point `n`.
pub const NUMBERS: &str = r#"
[connections.source]
adapter = "webhook-json"

[[connections.source.settings.hooks]]
path = "/numbers"
points = [{ path = "n", type = "integer" }]
"#;

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
