//! The adapter `webhook-any` behind the gateway's own API: XML, forms and bytes as devices send them, their answers, and
//! what bounds them.

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use bulkhead_tests::{Gateway, NUMBERS, commit_numbers, http_client, until};
use reqwest::Method;
use serde_json::{Value, json};

const HOOKS: &str = r#"
[connections.meters]
adapter = "webhook-any"

[connections.meters.webhook]
body_max_bytes = 20_000

[[connections.meters.settings.hooks]]
path = "/readings"
format = "xml"
each = "$.readings.meter[*]"
name_path = "@id"
time = { path = "readings.@at" }
points = [{ path = "kwh.#text", name = "energy", unit = "kWh" }]

[[connections.meters.settings.hooks]]
path = "/+door/event"
format = "form"
points = [{ path = "state", type = "text" }, { path = "temp", unit = "°C", optional = true }]
answer = { media_type = "text/plain; charset=utf-8", taken = "OK {readings}", refused = "FEHLER: {error}", status = 202 }

[[connections.meters.settings.hooks]]
path = "/picture"
format = "bytes"
name = "picture"
"#;

/// Status, media type and body of an answer.
type Answer = (u16, String, String);

async fn send(gateway: &Gateway, path: &str, content_type: &str, body: impl Into<reqwest::Body>) -> Result<Answer> {
    let url = gateway.api.url(&format!("/hooks/{path}"));
    let request = http_client()?.request(Method::POST, url).header("content-type", content_type).body(body);
    let response = request.send().await?;
    let media_type = response.headers().get("content-type").context("no content type")?.to_str()?.to_owned();
    Ok((response.status().as_u16(), media_type, response.text().await?))
}

#[tokio::test]
async fn xml_forms_and_bytes_are_committed_and_answered_as_their_senders_expect() -> Result<()> {
    let gateway = Gateway::start(HOOKS).await?;
    let document =
        b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>\n<!-- Z\xE4hler --><readings at=\"2026-05-04T10:00:00Z\">\
                     <meter id=\"K\xFCche\"><kwh unit=\"kWh\">12.5</kwh></meter></readings>";
    let (status, media_type, body) = send(&gateway, "meters/readings", "text/xml", document.as_slice()).await?;
    assert_eq!((status, media_type.as_str()), (200, "application/xml"), "{body}");
    ensure!(body.contains("<response><readings>1</readings></response>"), "{body}");
    let form = "application/x-www-form-urlencoded";
    let answer = send(&gateway, "meters/door1/event", form, "state=open&temp=21%2E5").await?;
    assert_eq!(answer, (202, "text/plain; charset=utf-8".into(), "OK 2".into()));
    let boundary = "multipart/form-data; boundary=-x";
    let parts = "---x\r\nContent-Disposition: form-data; name=\"state\"\r\n\r\nzu <&>\r\n---x--\r\n";
    assert_eq!(send(&gateway, "meters/door1/event", boundary, parts).await?.2, "OK 1");
    let bytes: Vec<u8> = (0..=255_u8).cycle().take(10_000).collect();
    let (status, _, body) = send(&gateway, "meters/picture", "image/x-raw", bytes.clone()).await?;
    assert_eq!((status, body.as_str()), (200, r#"{"readings":1}"#));

    let gateway = gateway.kill().await?.run().await?;
    let readings = gateway.api.readings().await?;
    let shown: Vec<(&str, &Value)> = readings.iter().map(|reading| (reading.point.as_str(), &reading.value)).collect();
    let expected = [
        ("Küche.energy", &json!(12.5)),
        ("door1.state", &json!("open")),
        ("door1.temp", &json!(21.5)),
        ("door1.state", &json!("zu <&>")),
    ];
    assert_eq!(shown[..4], expected, "what was answered survives a kill");
    assert_eq!(readings[0].time, "2026-05-04T10:00:00Z");
    let (name, file) = shown[4];
    assert_eq!((name, file["media_type"].as_str()), ("picture", Some("image/x-raw")));
    let data = base64::engine::general_purpose::STANDARD.decode(file["data"].as_str().context("no data")?)?;
    ensure!(data == bytes, "binary bodies stay as they are");
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_used_is_told_in_the_senders_form_and_costs_nobody_else_anything() -> Result<()> {
    let gateway = Gateway::start(&format!("{HOOKS}{NUMBERS}")).await?;
    let bomb = "<!DOCTYPE a [<!ENTITY b \"bbbb\"><!ENTITY c \"&b;&b;\">]><readings><meter id=\"&c;\"/></readings>";
    let deep = "<a>".repeat(6_000);
    for (path, content_type, body, status, media_type, part) in [
        (
            "meters/readings",
            "application/xml",
            "<readings><meter>",
            400,
            "application/xml",
            "<error>path /readings: expected XML",
        ),
        ("meters/readings", "application/xml", bomb, 400, "application/xml", "document type"),
        ("meters/readings", "application/xml", &deep, 400, "application/xml", "deeper"),
        (
            "meters/door1/event",
            "multipart/form-data",
            "x",
            400,
            "text/plain; charset=utf-8",
            "FEHLER: path /door1/event",
        ),
        ("meters/readings", "application/json", "{}", 415, "application/json", "application/json"),
        ("meters/nothing", "text/xml", "<a/>", 404, "application/json", "no hook"),
    ] {
        let answer = send(&gateway, path, content_type, body.to_owned()).await?;
        assert_eq!((answer.0, answer.1.as_str()), (status, media_type), "{}", answer.2);
        ensure!(answer.2.contains(part), "{part}: {}", answer.2);
    }
    let large = send(&gateway, "meters/picture", "image/x-raw", vec![7; 20_001]).await?;
    ensure!(large.0 == 413 && large.2.contains("body-too-large"), "{large:?}");
    commit_numbers(&gateway, 0..3).await?;
    let meters = gateway.api.connection("meters").await?;
    ensure!(meters.state == "running", "{meters:?}");
    Ok(())
}

const SIGNED: &str = r#"
[connections.meters.webhook]
requests_per_s = 2
signature = { secret = "shared s3cret", header = "X-Signature" }
"#;

#[tokio::test]
async fn signatures_are_of_the_bytes_and_who_comes_too_often_is_slowed_down() -> Result<()> {
    let bounds = "[connections.meters.webhook]\nbody_max_bytes = 20_000\n";
    let gateway = Gateway::start(&HOOKS.replace(bounds, SIGNED.trim_start())).await?;
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"shared s3cret");
    let signature = |body: &[u8]| -> String {
        ring::hmac::sign(&key, body).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let post = async |body: &[u8], signed: &[u8]| -> Result<u16> {
        let request = http_client()?.post(gateway.api.url("/hooks/meters/picture")).body(body.to_vec());
        Ok(request.header("x-signature", signature(signed)).send().await?.status().as_u16())
    };
    let body = b"\x00\xFF\r\n\x1B binary";
    assert_eq!(post(body, b"another").await?, 401);
    assert_eq!(post(body, body).await?, 200);
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(post(body, body).await?);
    }
    ensure!(statuses.contains(&429) && statuses[0] == 200, "{statuses:?}");
    let kept = gateway.api.readings().await?.len();
    assert_eq!(kept, 1 + statuses.iter().filter(|status| **status == 200).count());
    Ok(())
}

/// Elements of a document that the adapter computes on for a lot longer than [`SHORT_MS`].
const SLOW_ELEMENTS: usize = 9_000;
/// Points looked for in each: most of what the document costs.
const SLOW_POINTS: usize = 1_000;
/// What the adapter may compute in one call: enough for what is short, however busy the machine is.
const SHORT_MS: u32 = 40;

/// A connection with a hook that asks for much, and the time that it may compute.
fn slow_hook(call_timeout_ms: u32) -> String {
    let points: Vec<String> = (0..SLOW_POINTS).map(|n| format!("{{ path = \"a{n}\", optional = true }}")).collect();
    format!(
        "{}\n[connections.meters.limits]\ncall_timeout_ms = {call_timeout_ms}\n\n[[connections.meters.settings.hooks]]\n\
         path = \"/slow\"\nformat = \"xml\"\neach = \"$.all.m[*]\"\nname_path = \"@id\"\npoints = [{}]\n",
        HOOKS.replace("body_max_bytes = 20_000", "body_max_bytes = 1_048_576"),
        points.join(", ")
    )
}

/// What a device sends to it.
fn slow_document() -> String {
    let padding: String = (0..6).map(|n| format!("<b{n}>x</b{n}>")).collect();
    let element = |n| format!("<m id=\"m{}\">{padding}<a1>{n}</a1></m>", n % 7);
    format!("<all>{}</all>", (0..SLOW_ELEMENTS).map(element).collect::<String>())
}

#[tokio::test]
async fn who_answers_too_late_is_a_gateway_timeout_that_keeps_nothing_and_the_next_is_answered() -> Result<()> {
    let gateway = Gateway::start(&format!("{}{NUMBERS}", slow_hook(SHORT_MS))).await?;
    let (status, media_type, body) = send(&gateway, "meters/slow", "text/xml", slow_document()).await?;
    assert_eq!((status, media_type.as_str()), (504, "application/problem+json"), "{body}");
    let problem: Value = serde_json::from_str(&body)?;
    assert_eq!((&problem["code"], &problem["fault"]), (&json!("timeout"), &json!("deadline")), "{problem}");
    let meters = gateway.api.json("/api/v1/connections/meters").await?;
    assert_eq!(meters["usage"]["last_crash"]["code"], "deadline", "{meters}");
    // Another call may be slow, too, where the machine is busy.
    ensure!(meters["faults"]["deadline"].as_u64() >= Some(1), "{meters}");
    commit_numbers(&gateway, 0..3).await?;
    // Until the instance has been built anew, the sender is told to come again.
    let short = "<all><m id=\"m8\"><a1>1</a1></m></all>";
    until("an answer in time", async || {
        let (status, _, body) = send(&gateway, "meters/slow", "text/xml", short).await?;
        Ok(if status == 200 { Ok(()) } else { Err(format!("{status} {body}")) })
    })
    .await?;
    let kept = gateway.api.readings().await?;
    let kept: Vec<&str> =
        kept.iter().map(|reading| reading.point.as_str()).filter(|name| name.contains(".a")).collect();
    assert_eq!(kept, ["m8.a1"], "of what came too late nothing is kept, also not later");

    // That it came too late was the only reason.
    let patient = Gateway::start(&slow_hook(60_000)).await?;
    let (status, _, body) = send(&patient, "meters/slow", "text/xml", slow_document()).await?;
    ensure!(status == 200 && body.contains(&format!("<readings>{SLOW_ELEMENTS}</readings>")), "{status} {body}");
    let usage = &patient.api.json("/api/v1/connections/meters").await?["usage"];
    ensure!(usage["longest_call_us"].as_u64().is_some_and(|us| us > 1_000 * u64::from(SHORT_MS)), "{usage}");
    Ok(())
}
