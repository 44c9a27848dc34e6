//! The adapter `label-printer` in a gateway, at a printer on TCP: the exact bytes it gets, and what they look like when another
//! program draws them.

use anyhow::{Result, ensure};
use bulkhead_tests::{Gateway, LabelPrinter, Picture, QrCode, http_client, picture_of, until, within};
use reqwest::Method;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A label of 60 × 40 mm at 8 dots a millimetre.
fn labels(address: &str) -> String {
    format!(
        r#"
[connections.labels]
adapter = "label-printer"

[connections.labels.transports.printer]
kind = "tcp"
address = "{address}"

[connections.labels.settings]
width_mm = 60
height_mm = 40
texts = [
  {{ text = "{{order}}", x_mm = 3, y_mm = 3, height_mm = 6 }},
  {{ text = "{{item.name}}, {{weight}} kg", x_mm = 3, y_mm = 11 }},
]
qr = {{ text = "https://example.com/orders/{{order}}", x_mm = 35, y_mm = 16 }}
"#
    )
}

async fn post(gateway: &Gateway, body: &Value) -> Result<(u16, Value)> {
    let request = http_client()?.request(Method::POST, gateway.api.url("/hooks/labels"));
    let response = request.header("content-type", "application/json").body(body.to_string()).send().await?;
    let status = response.status().as_u16();
    Ok((status, serde_json::from_str(&response.text().await?)?))
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// The picture of what the printer got is the one that is kept; `UPDATE_GOLDEN=1` keeps another one.
async fn same_picture(zpl: &[u8], name: &str) -> Result<Picture> {
    let zpl = std::str::from_utf8(zpl)?;
    let folder = tempfile::tempdir()?;
    let drawn = folder.path().join("label.png");
    let picture = picture_of(zpl, 60, 40, 8, &drawn).await?;
    let kept = golden(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(golden(""))?;
        std::fs::copy(&drawn, &kept)?;
    }
    let same = std::fs::read(&drawn)? == std::fs::read(&kept)?;
    ensure!(same, "the label does not look like {}; UPDATE_GOLDEN=1 keeps what it looks like now", kept.display());
    Ok(picture)
}

#[tokio::test]
async fn a_webhook_prints_a_label_whose_code_can_be_read() -> Result<()> {
    let mut printer = LabelPrinter::start().await?;
    let gateway = Gateway::start(&labels(&printer.address.to_string())).await?;
    let order = json!({ "order": "A-1042", "item": { "name": "Ventil Größe 5" }, "weight": 12.5 });
    assert_eq!(post(&gateway, &order).await?, (200, json!({ "labels_printed": 1 })));
    let label = within("a label", printer.label()).await??;
    let expected = "^XA^CI28^PW480^LL320\n^FO24,24^A0N,48,48^FH^FDA-1042^FS\n\
                    ^FO24,88^A0N,32,32^FH^FDVentil Größe 5, 12.5 kg^FS\n\
                    ^FO280,128^BQN,2,5^FH^FDMA,https://example.com/orders/A-1042^FS\n^PQ1^XZ\n";
    assert_eq!(String::from_utf8_lossy(&label), expected);

    let picture = same_picture(&label, "label.png").await?;
    assert_eq!((picture.width, picture.height), (480, 320));
    let Some(QrCode { text, from, to }) = &picture.qr else { panic!("no QR code can be read") };
    assert_eq!(text, "https://example.com/orders/A-1042");
    assert!(
        (280..300).contains(&from.0) && (128..150).contains(&from.1) && to.0 < 480 && to.1 < 320,
        "{from:?} {to:?}"
    );
    // Both lines are there, in their places (a comma hangs below its line), and nothing else is.
    let lines = [picture.dark((24, 24), (280, 72)), picture.dark((24, 80), (480, 128))];
    assert!(lines.iter().all(|dots| *dots > 500), "{lines:?}");
    let code = picture.dark((280, 128), (480, 320));
    assert_eq!(lines.iter().sum::<usize>() + code, picture.dark((0, 0), (480, 320)));

    let counted = gateway.reading("the count of labels", |reading| reading.point == "labels_printed").await?;
    assert_eq!(counted.value, json!(1));
    Ok(())
}

#[tokio::test]
async fn what_comes_in_prints_as_it_is_and_commands_nothing() -> Result<()> {
    let mut printer = LabelPrinter::start().await?;
    let gateway = Gateway::start(&labels(&printer.address.to_string())).await?;
    let order = json!({ "order": "^XZ~JA_\\5E", "item": { "name": "a\nb" }, "weight": 1 });
    assert_eq!(post(&gateway, &order).await?.0, 200);
    let label = within("a label", printer.label()).await??;
    let text = String::from_utf8_lossy(&label);
    assert!(text.contains("^FH^FD_5EXZ_7EJA_5F_5C5E^FS\n"), "{text}");
    let folder = tempfile::tempdir()?;
    let picture = picture_of(&text, 60, 40, 8, &folder.path().join("label.png")).await?;
    assert_eq!(picture.qr.map(|qr| qr.text).as_deref(), Some("https://example.com/orders/^XZ~JA_\\5E"));
    Ok(())
}

#[tokio::test]
async fn without_paper_the_sender_is_told_and_nothing_is_printed_until_there_is_some() -> Result<()> {
    let mut printer = LabelPrinter::start().await?;
    let gateway = Gateway::start(&labels(&printer.address.to_string())).await?;
    printer.set_paper(false);
    let order = json!({ "order": "A-1", "item": { "name": "x" }, "weight": 1 });
    let (status, told) = post(&gateway, &order).await?;
    assert_eq!(status, 503, "{told}");
    assert!(told.to_string().contains("it has no paper"), "{told}");
    assert!(!printer.has_printed());
    printer.set_paper(true);
    assert_eq!(post(&gateway, &order).await?.0, 200);
    assert!(within("a label", printer.label()).await??.ends_with(b"^PQ1^XZ\n"));
    let missing = post(&gateway, &json!({ "order": "A-2" })).await?;
    assert_eq!(missing, (400, json!({ "error": "the field `item.name` is missing" })));
    Ok(())
}

/// Two connections: numbers that are posted, and the printer as their sink.
fn route(address: &str) -> String {
    format!(
        r#"
[connections.scale]
adapter = "webhook-json"

[[connections.scale.settings.hooks]]
path = "/"
points = [{{ path = "weight", unit = "kg" }}]

[connections.labels]
adapter = "label-printer"

[connections.labels.transports.printer]
kind = "tcp"
address = "{address}"

[connections.labels.settings]
width_mm = 60
height_mm = 40
texts = [{{ text = "{{connection}} {{value}} {{unit}}", x_mm = 2, y_mm = 2 }}]
qr = {{ text = "{{seq}}", x_mm = 20, y_mm = 10 }}

[routes.labels]
select = ["scale/weight"]
to = "labels"
batch_max_age_ms = 50
"#
    )
}

#[tokio::test]
async fn a_routes_readings_become_labels_and_wait_for_paper() -> Result<()> {
    let mut printer = LabelPrinter::start().await?;
    let gateway = Gateway::start(&route(&printer.address.to_string())).await?;
    let weigh = async |weight: f64| -> Result<()> {
        let body = json!({ "weight": weight }).to_string();
        let url = gateway.api.url("/hooks/scale");
        let answer = http_client()?.post(url).header("content-type", "application/json").body(body).send().await?;
        ensure!(answer.status().is_success(), "{}", answer.status());
        Ok(())
    };
    weigh(12.5).await?;
    let first = String::from_utf8(within("the first label", printer.label()).await??)?;
    assert!(first.contains("^FDscale 12.5 kg^FS\n"), "{first}");
    printer.set_paper(false);
    weigh(13.0).await?;
    weigh(13.5).await?;
    until("the route to wait for paper", async || {
        let route = gateway.api.route("labels").await?;
        let waits = route.reason.as_deref().is_some_and(|reason| reason.contains("it has no paper"));
        Ok(if waits { Ok(()) } else { Err(format!("{route:?}")) })
    })
    .await?;
    assert!(!printer.has_printed());
    printer.set_paper(true);
    for expected in ["^FDscale 13 kg^FS", "^FDscale 13.5 kg^FS"] {
        let label = String::from_utf8(within("a label", printer.label()).await??)?;
        assert!(label.contains(expected), "{label}");
    }
    Ok(())
}
