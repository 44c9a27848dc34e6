//! `bulkhead import`: a file of history through the running gateway. It sends the whole file and, when that breaks off, again:
//! the gateway passes over what it has.

use super::client::{Answer, GatewayClient};
use super::load_config;
use crate::cli::ImportArguments;
use crate::console;
use crate::console::counted;
use crate::exit::Exit;
use crate::journal;
use bulkhead_model::printable;
use bytes::Bytes;
use reqwest::{Body, Method, RequestBuilder};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// Bytes of the file read at a time.
const READ_BYTES: usize = 64 * 1024;
/// Longest line of those that an import is named after; the rest of a longer one does not matter.
const NAMED_AFTER_MAX_BYTES: u64 = 4 * 1024;
/// How often progress is shown.
const SHOW_EVERY: Duration = Duration::from_millis(500);
/// A gateway that takes nothing for so long has broken off.
const STALL_MAX: Duration = Duration::from_secs(120);
/// Pause before a file is sent again, and how long that is tried in vain.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How long the gateway may be away.
const AWAY_MAX: Duration = Duration::from_secs(120);
/// Bad rows that are shown; `--json` shows all that the gateway told.
const SHOWN_MAX: usize = 20;
/// Statuses after which the same request may work: it is busy, starting or stopping, or the import is still ending.
const PASSING: [u16; 3] = [408, 429, 503];

pub(crate) async fn import(arguments: &ImportArguments) -> Result<(), Exit> {
    let config = load_config(&arguments.config.config)?;
    journal::start_quiet();
    let file = File::open(&arguments.file).map_err(|error| unreadable(&arguments.file, &error))?;
    let size = file.metadata()?.len();
    drop(file);
    let client = GatewayClient::of_uploads(&config)?;
    let (query, media_type) = (query(arguments)?, media_type(arguments)?);
    let sent = Arc::new(AtomicU64::new(0));
    let request = || {
        let body = Sending::open(&arguments.file, &sent)?;
        let request = client.request(Method::POST, &["api", "v1", "import"])?;
        Ok::<_, Exit>(request.query(&query).header("content-type", media_type).body(Body::wrap(body)))
    };
    let answer = persistently(&client, request, &Progress::new(&sent, size)).await?;
    told(arguments, &answer)
}

fn unreadable(file: &Path, error: &std::io::Error) -> Exit {
    Exit::failed(format!("{} cannot be read: {error}", file.display()))
}

/// Sends until it is answered; while the gateway is away it is tried again, as long as it comes further each time.
async fn persistently(
    client: &GatewayClient<'_>,
    request: impl Fn() -> Result<RequestBuilder, Exit>,
    progress: &Progress<'_>,
) -> Result<Answer, Exit> {
    let (mut away_since, mut has_begun) = (Instant::now(), false);
    loop {
        progress.sent.store(0, Ordering::Relaxed);
        let answered = tokio::select! {
            answered = client.must_answer_anew(&request) => answered,
            stalled = progress.show() => Err(stalled),
        };
        progress.end();
        has_begun |= progress.sent.load(Ordering::Relaxed) > 0;
        let reason = match answered {
            Ok(answer) if PASSING.contains(&answer.status) || answer.json()["code"] == "import-running" => {
                answer.outcome().err().unwrap_or_default()
            }
            Ok(answer) => return Ok(answer),
            Err(Exit::Failed(reason)) if has_begun => reason,
            Err(exit) => return Err(exit),
        };
        if progress.sent.load(Ordering::Relaxed) > 0 {
            away_since = Instant::now();
        }
        if away_since.elapsed() > AWAY_MAX {
            return Err(Exit::failed(format!("{reason}; the same command goes on where it broke off")));
        }
        console::note(&format!("{reason}; trying again"));
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

/// How much of the file has gone, for people.
struct Progress<'p> {
    sent: &'p AtomicU64,
    size: u64,
    is_shown: bool,
}

impl<'p> Progress<'p> {
    fn new(sent: &'p AtomicU64, size: u64) -> Self {
        Self { sent, size, is_shown: std::io::stderr().is_terminal() }
    }

    /// Shows it on a terminal; ends only when nothing has gone for too long.
    async fn show(&self) -> Exit {
        let (mut before, mut since) = (0, Instant::now());
        loop {
            tokio::time::sleep(SHOW_EVERY).await;
            let sent = self.sent.load(Ordering::Relaxed);
            if sent != before {
                (before, since) = (sent, Instant::now());
            } else if since.elapsed() > STALL_MAX {
                return Exit::failed(format!("the gateway has taken nothing for {} s", STALL_MAX.as_secs()));
            }
            if self.is_shown {
                let percent = sent.saturating_mul(100) / self.size.max(1);
                console::redraw(&format!("{percent:3} % of {} bytes", self.size));
            }
        }
    }

    fn end(&self) {
        if self.is_shown {
            console::redraw("");
        }
    }
}

/// What the gateway answered, for people or programs.
fn told(arguments: &ImportArguments, answer: &Answer) -> Result<(), Exit> {
    let body = answer.json();
    let report = if answer.is_good() { &body } else { &body["import"] };
    if arguments.json {
        console::say_json(&body)?;
    }
    let bad = body["bad_rows"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !arguments.json {
        bad.iter().take(SHOWN_MAX).for_each(|row| console::note(&of_bad_row(row)));
        if bad.len() > SHOWN_MAX {
            console::note(&format!("and {} more; --json shows them", bad.len() - SHOWN_MAX));
        }
    }
    if !answer.is_good() {
        let so_far = report["readings"]
            .as_u64()
            .map(|readings| format!("; {} of it are in the log", counted(readings, "reading")));
        let reason = answer.outcome().err().unwrap_or_default();
        return Err(Exit::failed(format!("{reason}{}", so_far.unwrap_or_default())));
    }
    let number = |name: &str| report[name].as_u64().unwrap_or(0);
    if !arguments.json {
        console::say(&sentence(&arguments.file, report));
    }
    match number("bad") {
        bad if arguments.dry_run && bad > 0 => Err(Exit::failed(format!("{} would not be taken", counted(bad, "row")))),
        _ => Ok(()),
    }
}

fn sentence(file: &Path, report: &Json) -> String {
    let number = |name: &str| report[name].as_u64().unwrap_or(0);
    let did = if report["state"] == "trial" { "would be imported" } else { "imported" };
    let mut text = format!("{} {did} from {}", counted(number("imported"), "reading"), file.display());
    if let (Some(from), Some(to)) = (report["from"].as_str(), report["to"].as_str()) {
        text.push_str(&format!(", {from} to {to}"));
    }
    if number("known") > 0 {
        text.push_str(&format!("; {} of it were in the log before", counted(number("known"), "reading")));
    }
    if number("bad") > 0 {
        let bad = if report["state"] == "trial" { "bad" } else { "set aside" };
        text.push_str(&format!("; {} {bad}", counted(number("bad"), "row")));
    }
    text
}

fn of_bad_row(row: &Json) -> String {
    let text = |name: &str| printable(row[name].as_str().unwrap_or_default());
    let column = row["column"].as_str().map(|column| format!(", column `{}`", printable(column))).unwrap_or_default();
    format!("line {}{column}: expected {}, found `{}`", row["line"], text("expected"), text("found"))
}

/// The query of the request, with the import's name.
fn query(arguments: &ImportArguments) -> Result<Vec<(&'static str, String)>, Exit> {
    let one = |name: &'static str, value: &Option<String>| value.clone().map(|value| (name, value));
    let mut query: Vec<(&'static str, String)> = [
        one("connection", &arguments.connection),
        one("point", &arguments.point),
        one("delimiter", &arguments.delimiter),
        one("decimal", &arguments.decimal),
        one("time_format", &arguments.time_format),
        one("zone", &arguments.zone),
        one("shape", &arguments.shape),
        one("create", &arguments.create),
    ]
    .into_iter()
    .flatten()
    .chain(arguments.map.iter().map(|pair| ("map", pair.clone())))
    .collect();
    let id = match &arguments.id {
        Some(id) => id.clone(),
        None => name_of(&arguments.file, &query).map_err(|error| unreadable(&arguments.file, &error))?,
    };
    query.push(("id", id));
    query.extend(one("bad_rows", &arguments.bad_rows));
    query.extend(arguments.dry_run.then(|| ("dry_run", "true".to_owned())));
    Ok(query)
}

/// A name for the import of a file: the same for one that has grown since, or was mended behind its first two lines.
fn name_of(file: &Path, query: &[(&'static str, String)]) -> std::io::Result<String> {
    let mut reader = BufReader::new(File::open(file)?);
    let mut hash = Sha256::new();
    for _ in 0..2 {
        let mut line = Vec::new();
        reader.by_ref().take(NAMED_AFTER_MAX_BYTES).read_until(b'\n', &mut line)?;
        hash.update((line.len() as u64).to_le_bytes());
        hash.update(&line);
    }
    query.iter().for_each(|(name, value)| hash.update(format!("{name}={value}\n")));
    let digits: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("file-{digits}"))
}

fn media_type(arguments: &ImportArguments) -> Result<&'static str, Exit> {
    let extension = arguments.file.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    match arguments.format.as_deref().unwrap_or(&extension.to_lowercase()) {
        "csv" | "txt" | "tsv" => Ok("text/csv"),
        "ndjson" | "jsonl" | "json" => Ok("application/x-ndjson"),
        _ => Err(Exit::failed(format!("{}: say what it is with --format csv or ndjson", arguments.file.display()))),
    }
}

/// A file as the body of a request, which counts what has gone.
struct Sending {
    file: File,
    sent: Arc<AtomicU64>,
}

impl Sending {
    fn open(file: &Path, sent: &Arc<AtomicU64>) -> Result<Self, Exit> {
        let file = File::open(file).map_err(|error| unreadable(file, &error))?;
        Ok(Self { file, sent: Arc::clone(sent) })
    }
}

impl http_body::Body for Sending {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, std::io::Error>>> {
        let mut piece = vec![0; READ_BYTES];
        Poll::Ready(match self.file.read(&mut piece) {
            Ok(0) => None,
            Ok(bytes) => {
                piece.truncate(bytes);
                self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
                Some(Ok(http_body::Frame::data(piece.into())))
            }
            Err(error) => Some(Err(error)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_bad_row_is_told_on_one_line_whatever_its_cell_holds() {
        let row =
            json!({ "line": 2, "column": "v\n", "expected": "a number", "found": "1\nerror: all rows are in the log" });
        assert_eq!(
            of_bad_row(&row),
            "line 2, column `v `: expected a number, found `1 error: all rows are in the log`"
        );
    }
}
