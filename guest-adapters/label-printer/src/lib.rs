//! Bulkhead adapter: labels with text and a QR code on ZPL printers, from webhooks and from readings of a route.
//!
//! As a responder it prints what is posted and answers when the printer has it; as a sink it prints a label a reading. A
//! batch that comes again goes on behind the last label that was printed of it.

mod printer;
mod settings;
mod template;
mod zpl;

pub use settings::{Correction, QrSettings, Settings, TextSettings};

use bulkhead_sdk::prelude::*;
use jiff::Timestamp;
use serde_json::{Value as Json, json};
use zpl::Label;

/// Where the memory keeps how many labels webhooks have had printed, and how far the last batch got.
const PRINTED: &str = "printed";
const BATCH: &str = "batch";

/// The point that counts labels.
const LABELS_PRINTED: &str = "labels_printed";

/// The adapter.
#[derive(Debug)]
pub struct LabelPrinter {
    label: Label,
    ask_status: bool,
    printed: Point,
}

impl Adapter for LabelPrinter {
    type Settings = Settings;

    fn start(settings: Settings) -> Result<Self, Fault> {
        let label = Label::of(&settings).map_err(|cause| Fault::reconfigure("bad-settings", cause))?;
        let what = "Labels that webhooks have had printed so far.";
        let printed = points::declare_one(NewPoint::new(LABELS_PRINTED, Kind::Integer).description(Some(what)))?;
        Ok(Self { label, ask_status: settings.ask_status, printed })
    }

    fn check(&mut self) -> Result<String, Fault> {
        printer::check().map(|()| "the printer is ready".to_owned())
    }
}

impl LabelPrinter {
    /// Prints a label, when the printer says that it can.
    fn print(&self, zpl: &str) -> Result<(), Fault> {
        if self.ask_status {
            printer::check()?;
        }
        printer::print(zpl)
    }
}

impl Responder for LabelPrinter {
    /// 200 once the printer has the label; 400 for what makes none; 503 while the printer cannot print.
    fn respond(&mut self, request: &Request) -> Result<Reply, Fault> {
        if request.method != "POST" {
            let mut reply = answer(405, &json!({ "error": format!("{} is not taken here; use POST", request.method) }));
            reply.headers.push(("allow".to_owned(), "POST".to_owned()));
            return Ok(reply);
        }
        let label = serde_json::from_slice(&request.body)
            .map_err(|error| format!("expected JSON: {error}"))
            .and_then(|fields: Json| self.label.filled(&fields));
        let zpl = match label {
            Ok(zpl) => zpl,
            Err(cause) => return Ok(answer(400, &json!({ "error": cause }))),
        };
        self.print(&zpl)?;
        let printed = remembered_count()? + 1;
        state::set(PRINTED, printed.to_string().as_bytes())?;
        let reply = answer(200, &json!({ "labels_printed": printed }));
        Ok(Reply { readings: vec![Reading::at(self.printed, printed)], ..reply })
    }
}

fn remembered_count() -> Result<i64, Fault> {
    let kept = state::get(PRINTED)?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&kept).parse().unwrap_or(0))
}

fn answer(status: u16, body: &Json) -> Reply {
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    Reply { status, headers, body: body.to_string().into_bytes(), readings: Vec::new() }
}

impl Sink for LabelPrinter {
    /// A label a reading. One that cannot be made a label is refused; the rest waits for a printer that cannot print.
    fn deliver(&mut self, batch: &Batch) -> Result<Outcome, Fault> {
        let done = remembered_place(&batch.key)?;
        let mut outcome = Outcome { accepted: 0, rejected: Vec::new(), rest: None };
        for (index, entry) in (0_u32..).zip(&batch.entries) {
            if entry.seq > done {
                match self.label.filled(&fields(batch, entry)) {
                    Err(cause) => {
                        outcome.rejected.push(Rejection { index, fault: Fault::reject("no-label", cause) });
                    }
                    Ok(zpl) => {
                        if let Err(fault) = self.print(&zpl).and_then(|()| remember_place(&batch.key, entry.seq)) {
                            outcome.rest = Some(fault);
                            return Ok(outcome);
                        }
                    }
                }
            }
            outcome.accepted = index + 1;
        }
        Ok(outcome)
    }
}

/// The fields of a reading.
fn fields(batch: &Batch, entry: &Entry) -> Json {
    let point = batch.points.get(entry.reading.point as usize);
    let status = Status(entry.reading.status);
    let mut fields = json!({
        "connection": point.map(|point| point.connection.as_str()),
        "point": point.map(|point| point.name.as_str()),
        "unit": point.and_then(|point| point.unit.as_deref()).unwrap_or_default(),
        "status": status.name().unwrap_or(if status.is_bad() { "Bad" } else { "Uncertain" }),
        "time": second(entry.reading.time.unwrap_or_default()),
        "seq": entry.seq,
    });
    if let Some(value) = &entry.reading.value {
        fields["value"] = value.to_string().into();
    }
    fields
}

/// A moment as a label shows it, such as `2026-05-04T10:00:00Z`: to the second before it.
fn second(ns: i64) -> String {
    Timestamp::from_second(ns.div_euclid(1_000_000_000)).map_or_else(|_| String::new(), |second| second.to_string())
}

/// The seq up to which the batch of this key was printed before; 0 for another one.
fn remembered_place(key: &str) -> Result<u64, Fault> {
    let kept = state::get(BATCH)?.unwrap_or_default();
    let kept = String::from_utf8_lossy(&kept);
    let place = kept.split_once('\n').filter(|(batch, _)| *batch == key).and_then(|(_, seq)| seq.parse().ok());
    Ok(place.unwrap_or(0))
}

fn remember_place(key: &str, seq: u64) -> Result<(), Fault> {
    state::set(BATCH, format!("{key}\n{seq}").as_bytes())
}

bulkhead_sdk::export!(LabelPrinter: responder, sink);
