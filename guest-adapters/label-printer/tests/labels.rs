//! The adapter on the SDK's scripted host: webhooks and batches in, labels out.

use bulkhead_sdk::BatchPoint;
use bulkhead_sdk::prelude::*;
use bulkhead_sdk::testing::{self, Host, Running};
use label_printer::{LabelPrinter, Settings};
use serde_json::{Value as Json, json};
use std::cell::Cell;
use std::rc::Rc;

const FINE: &str =
    "\x02030,0,0,0320,000,0,0,0,000,0,0,0\x03\r\n\x02000,0,0,0,0,2,4,0,00000000,1,000\x03\r\n\x020000,0\x03\r\n";
const NO_PAPER: &str =
    "\x02030,1,0,0320,000,0,0,0,000,0,0,0\x03\r\n\x02000,0,0,0,0,2,4,0,00000000,1,000\x03\r\n\x020000,0\x03\r\n";

fn start(settings: Json) -> Running<LabelPrinter> {
    testing::start(settings).unwrap_or_else(|fault| panic!("{}", fault.message))
}

/// A printer that has paper for so many labels.
fn printer(host: &Host, paper: usize) -> Rc<Cell<usize>> {
    let paper = Rc::new(Cell::new(paper));
    let left = paper.clone();
    host.on_exchange(move |transport, request| {
        assert_eq!((transport, request), ("printer", &b"~HS"[..]));
        let answer = if left.get() > 0 { FINE } else { NO_PAPER };
        left.set(left.get().saturating_sub(1));
        Ok(answer.as_bytes().to_vec())
    });
    paper
}

fn labels(host: &Host) -> Vec<String> {
    host.sent().into_iter().map(|sent| String::from_utf8(sent).expect("UTF-8")).collect()
}

fn post(adapter: &mut Running<LabelPrinter>, body: &str) -> Result<(u16, Json, usize), Fault> {
    let (method, path) = ("POST".to_owned(), "/".to_owned());
    let (query, headers) = (String::new(), Vec::new());
    let request = Request { method, path, query, headers, body: body.as_bytes().to_vec(), received: 1 };
    let (reply, readings) = adapter.respond(&request)?;
    Ok((reply.status, serde_json::from_slice(&reply.body).expect("JSON"), readings.len()))
}

fn value_label() -> Json {
    json!({ "width_mm": 50, "height_mm": 25, "texts": [{ "text": "{value} {unit}", "x_mm": 1, "y_mm": 2 }] })
}

fn batch(key: &str, values: &[Option<f64>]) -> Batch {
    let point = BatchPoint {
        connection: "scale".into(),
        name: "weight".into(),
        kind: Kind::Real,
        unit: Some("kg".into()),
        description: None,
    };
    let entry = |(seq, value): (u64, &Option<f64>)| Entry {
        seq,
        reading: Reading { point: 0, time: Some(0), status: 0, value: value.map(Value::Real) },
    };
    let entries = (10_u64..).zip(values).map(entry).collect();
    Batch { key: key.into(), route: "labels".into(), points: vec![point], entries }
}

#[test]
fn the_schema_is_committed() {
    testing::assert_schema::<Settings>("settings.schema.json");
}

#[test]
fn the_readmes_config_prints_what_it_says() {
    let host = Host::install();
    printer(&host, 9);
    let mut adapter = start(testing::settings_in("README.md", "labels"));
    let body = r#"{"order": "A-1042", "item": {"name": "Ventil"}, "weight": 12.5}"#;
    assert_eq!(post(&mut adapter, body).unwrap(), (200, json!({ "labels_printed": 1 }), 1));
    assert_eq!(
        labels(&host),
        ["^XA^CI28^PW480^LL320\n^FO24,24^A0N,48,48^FH^FDA-1042^FS\n^FO24,88^A0N,32,32^FH^FDVentil, 12.5 kg^FS\n\
          ^FO280,128^BQN,2,5^FH^FDMA,https://example.com/orders/A-1042^FS\n^PQ1^XZ\n"]
    );
    start(testing::settings_in("README.md", "scale-labels"));
}

#[test]
fn what_makes_no_label_is_told_to_the_sender_and_nothing_is_printed() {
    let host = Host::install();
    printer(&host, 9);
    let mut adapter = start(value_label());
    assert_eq!(post(&mut adapter, "{}").unwrap(), (400, json!({ "error": "the field `value` is missing" }), 0));
    assert_eq!(post(&mut adapter, "value=1").unwrap().0, 400);
    assert!(labels(&host).is_empty());
}

#[test]
fn a_printer_without_paper_is_a_fault_and_gets_no_label() {
    let host = Host::install();
    let paper = printer(&host, 0);
    let mut adapter = start(value_label());
    let fault = post(&mut adapter, r#"{"value": 1, "unit": "kg"}"#).unwrap_err();
    assert_eq!((fault.remedy, fault.code.as_str()), (Remedy::Retry, "paper-out"));
    assert!(labels(&host).is_empty());
    assert_eq!(adapter.check().unwrap_err().message, "the printer cannot print: it has no paper");
    paper.set(1);
    assert_eq!(adapter.check().unwrap(), "the printer is ready");
}

#[test]
fn a_printer_that_is_not_to_be_asked_is_not() {
    let host = Host::install();
    let mut settings = value_label();
    settings["ask_status"] = false.into();
    settings["copies"] = 2.into();
    assert_eq!(post(&mut start(settings), r#"{"value": "a", "unit": ""}"#).unwrap().0, 200);
    assert!(labels(&host)[0].ends_with("^PQ2^XZ\n"));
}

#[test]
fn the_count_of_labels_outlives_the_instance() {
    let host = Host::install();
    printer(&host, 9);
    let body = r#"{"value": 1, "unit": "kg"}"#;
    assert_eq!(post(&mut start(value_label()), body).unwrap().1, json!({ "labels_printed": 1 }));
    assert_eq!(post(&mut start(value_label()), body).unwrap().1, json!({ "labels_printed": 2 }));
}

#[test]
fn a_batch_that_comes_again_goes_on_behind_the_last_label() {
    let host = Host::install();
    let paper = printer(&host, 2);
    let mut adapter = start(value_label());
    let first = batch("a", &[Some(1.0), None, Some(2.5), Some(3.0)]);
    let outcome = adapter.deliver(&first).unwrap();
    // The reading without a value is refused, and the printer ran out of paper behind the third.
    assert_eq!((outcome.accepted, outcome.rejected.len(), outcome.rejected[0].index), (3, 1, 1));
    assert_eq!(outcome.rejected[0].fault.message, "the field `value` is missing");
    assert_eq!(outcome.rest.expect("a reason").code, "paper-out");
    paper.set(9);
    let outcome = start(value_label()).deliver(&first).unwrap();
    assert_eq!((outcome.accepted, outcome.rest), (4, None));
    let printed: Vec<String> = labels(&host);
    let values = ["1 kg", "2.5 kg", "3 kg"];
    assert_eq!(printed.len(), values.len());
    assert!(printed.iter().zip(values).all(|(label, value)| label.contains(&format!("^FD{value}^FS"))), "{printed:?}");
    // Another batch begins at its own beginning.
    assert_eq!(adapter.deliver(&batch("b", &[Some(4.0)])).unwrap().accepted, 1);
    assert_eq!(labels(&host).len(), 4);
}
