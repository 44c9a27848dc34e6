//! Webhooks that are signed, and sent twice.

use anyhow::{Result, ensure};
use bulkhead_tests::{Gateway, http_client, program, within};
use serde_json::Value;
use tokio::process::Command;

const SIGNED: &str = r#"
[connections.shop]
adapter = "webhook-json"

[connections.shop.webhook.signature]
secret = { env = "SHOP_SECRET" }
header = "X-Signature"
prefix = "sha256="
signed = "{timestamp}.{body}"
timestamp_header = "X-Timestamp"

[[connections.shop.settings.hooks]]
path = "/orders"
points = [{ path = "n", type = "integer" }]
"#;

/// As another program signs.
async fn signature(secret: &str, text: &str) -> Result<String> {
    let mut command = Command::new(program("openssl")?);
    command.args(["dgst", "-sha256", "-hmac", secret]).stdin(std::process::Stdio::piped());
    let mut child = command.stdout(std::process::Stdio::piped()).kill_on_drop(true).spawn()?;
    let mut stdin = child.stdin.take().ok_or_else(|| anyhow::anyhow!("no stdin"))?;
    tokio::io::AsyncWriteExt::write_all(&mut stdin, text.as_bytes()).await?;
    drop(stdin);
    let output = within("openssl", child.wait_with_output()).await??;
    let text = String::from_utf8(output.stdout)?;
    Ok(format!("sha256={}", text.rsplit(' ').next().unwrap_or_default().trim()))
}

#[tokio::test]
async fn a_signed_webhook_is_taken_once_however_often_it_is_sent() -> Result<()> {
    let site = bulkhead_tests::Site::new(SIGNED)?.with_variable("SHOP_SECRET", "s3cret");
    let gateway: Gateway = site.run().await?;
    let client = http_client()?;
    let now_s = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs().to_string();
    let send = async |body: &str, time: &str, signed: &str, key: &str| -> Result<(u16, Option<String>, String)> {
        let request = client.post(gateway.api.url("/hooks/shop/orders")).body(body.to_owned());
        let request = request.header("content-type", "application/json").header("x-timestamp", time);
        let request = request.header("x-signature", signature("s3cret", signed).await?).header("idempotency-key", key);
        let response = request.send().await?;
        let replayed = response.headers().get("idempotency-replayed").map(|value| value.to_str().map(str::to_owned));
        Ok((response.status().as_u16(), replayed.transpose()?, response.text().await?))
    };
    let signed = |body: &str| format!("{now_s}.{body}");
    let first = send(r#"{"n":1}"#, &now_s, &signed(r#"{"n":1}"#), "k1").await?;
    assert_eq!((first.0, &first.1), (200, &None), "{first:?}");
    let again = send(r#"{"n":1}"#, &now_s, &signed(r#"{"n":1}"#), "k1").await?;
    assert_eq!((again.0, again.1.as_deref(), &again.2), (200, Some("true"), &first.2));
    let other = send(r#"{"n":2}"#, &now_s, &signed(r#"{"n":2}"#), "k1").await?;
    ensure!(other.0 == 422 && other.2.contains("key-reused"), "{other:?}");
    let old = send(r#"{"n":3}"#, "1000", r#"1000.{"n":3}"#, "k2").await?;
    ensure!(old.0 == 401 && old.2.contains("bad-signature"), "{old:?}");
    let altered = send(r#"{"n":4}"#, &now_s, &signed(r#"{"n":5}"#), "k3").await?;
    assert_eq!(altered.0, 401);
    let values: Vec<Value> = gateway.api.readings().await?.into_iter().map(|reading| reading.value).collect();
    assert_eq!(values, [Value::from(1)], "what was sent again was not done again");
    let journal = gateway.terminate().await?.1.all().join("\n");
    ensure!(!journal.contains("s3cret"), "{journal}");
    Ok(())
}
