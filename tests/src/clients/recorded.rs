//! Requests as clients send them, byte by byte: the files of `tests/clients/recorded`, each with where the record is from, are
//! written to a socket as they stand, and what is answered is held against what that client needs.

use super::program::Check;
use super::world::World;
use crate::wait::within;
use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Read;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Most bytes of an answer.
const ANSWER_MAX_BYTES: usize = 16 * 1024 * 1024;

/// A file: what one client sends, in this order.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    /// The client.
    client: String,
    /// Where it is written that it sends this.
    source: String,
    exchange: Vec<Exchange>,
}

/// A request and what its answer must be.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exchange {
    /// What is done.
    name: String,
    /// Request line and header fields, one a line. `{{host}}`, `{{key}}`, `{{root}}`, `{{now}}` and what was taken from answers
    /// before are filled in.
    head: String,
    /// The body, lines ending as HTTP has them.
    #[serde(default)]
    body: String,
    status: u16,
    /// Header fields of the answer: each is there once and contains this.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// Header fields that are not there.
    #[serde(default)]
    without: Vec<String>,
    /// Texts in the body, and texts that are not.
    #[serde(default)]
    contains: Vec<String>,
    #[serde(default)]
    lacks: Vec<String>,
    /// What stands at a JSON pointer; `len N` is the length of an array, `none` nothing at all.
    #[serde(default)]
    json: BTreeMap<String, Value>,
    /// Names for what stands at a JSON pointer, for later requests: the path and query of it where it is a URL.
    #[serde(default)]
    take: BTreeMap<String, String>,
}

/// What was answered, unpacked.
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// Replays every record.
///
/// # Errors
/// Where a file cannot be read; what was answered otherwise than it should is in the list.
pub async fn replay_all(world: &World) -> Result<Vec<Check>> {
    let folder = crate::programs::root().join("tests/clients/recorded");
    let mut files: Vec<_> = std::fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.sort();
    let mut checks = Vec::new();
    for file in files {
        let shown = file.display();
        let text = std::fs::read_to_string(&file).with_context(|| format!("{shown} cannot be read"))?;
        let record: Record = toml::from_str(&text).with_context(|| format!("{shown}"))?;
        ensure!(record.source.contains("://"), "{shown}: `source` names no address");
        let mut names = BTreeMap::from([
            ("host".to_owned(), world.authority()),
            ("key".to_owned(), world.key.clone()),
            ("root".to_owned(), world.root()),
        ]);
        for exchange in &record.exchange {
            let outcome = replay(world, exchange, &mut names).await;
            let failure = outcome.err().map(|error| format!("{error:#}"));
            checks.push(Check { what: format!("{}: {}", record.client, exchange.name), failure });
        }
    }
    Ok(checks)
}

/// Sends one request and looks at its answer.
async fn replay(world: &World, exchange: &Exchange, names: &mut BTreeMap<String, String>) -> Result<()> {
    let body = crlf(&fill_in(&exchange.body, names));
    let mut head = crlf(fill_in(exchange.head.trim(), names).trim());
    if !body.is_empty() {
        head.push_str(&format!("\r\nContent-Length: {}", body.len()));
    }
    let answer = within(&exchange.name, send(&world.authority(), &format!("{head}\r\n\r\n{body}"))).await??;
    let text = String::from_utf8_lossy(&answer.body);
    let shown: String = text.chars().take(600).collect();
    ensure!(answer.status == exchange.status, "answered {}: {shown}", answer.status);
    for (name, part) in &exchange.headers {
        let found = answer.values(name);
        ensure!(found.len() == 1 && found[0].contains(&fill_in(part, names)), "{name} is {found:?}, not {part}");
    }
    for name in &exchange.without {
        ensure!(answer.values(name).is_empty(), "{name} is {:?}", answer.values(name));
    }
    for part in &exchange.contains {
        ensure!(text.contains(&fill_in(part, names)), "`{part}` is not in {shown}");
    }
    for part in &exchange.lacks {
        ensure!(!text.contains(part), "`{part}` is in {shown}");
    }
    if exchange.json.is_empty() && exchange.take.is_empty() {
        return Ok(());
    }
    let document: Value = serde_json::from_slice(&answer.body).with_context(|| format!("no JSON: {shown}"))?;
    for (pointer, wanted) in &exchange.json {
        compare(&document, pointer, wanted, names).with_context(|| shown.clone())?;
    }
    for (name, pointer) in &exchange.take {
        let found = document.pointer(pointer).with_context(|| format!("nothing at {pointer}: {shown}"))?;
        let text = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
        let origin = format!("http://{}", world.authority());
        names.insert(name.clone(), text.strip_prefix(&origin).unwrap_or(&text).to_owned());
    }
    Ok(())
}

/// Whether what stands at a pointer is what is wanted.
fn compare(document: &Value, pointer: &str, wanted: &Value, names: &BTreeMap<String, String>) -> Result<()> {
    let found = document.pointer(pointer);
    if wanted == "none" {
        ensure!(found.is_none(), "at {pointer} there is {found:?}");
        return Ok(());
    }
    if let Some(length) = wanted.as_str().and_then(|text| text.strip_prefix("len ")) {
        let is = found.and_then(Value::as_array).map(Vec::len);
        ensure!(is == Some(length.parse()?), "at {pointer} there are {is:?}, not {length}");
        return Ok(());
    }
    let wanted = wanted.as_str().map_or_else(|| wanted.clone(), |text| Value::String(fill_in(text, names)));
    ensure!(found == Some(&wanted), "at {pointer} there is {found:?}, not {wanted}");
    Ok(())
}

fn fill_in(text: &str, names: &BTreeMap<String, String>) -> String {
    names.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{{{name}}}}}"), value))
}

fn crlf(text: &str) -> String {
    text.replace('\n', "\r\n")
}

/// Writes a request to a connection of its own and reads one answer.
async fn send(authority: &str, request: &str) -> Result<Answer> {
    let mut stream = TcpStream::connect(authority).await?;
    stream.write_all(request.as_bytes()).await?;
    let is_head = request.starts_with("HEAD ");
    let mut raw = Vec::new();
    loop {
        if let Some(answer) = Answer::of(&raw, is_head)? {
            return Ok(answer);
        }
        ensure!(raw.len() <= ANSWER_MAX_BYTES, "the answer has more than {ANSWER_MAX_BYTES} bytes");
        let got = stream.read_buf(&mut raw).await?;
        ensure!(got > 0, "it ended within an answer of {} bytes", raw.len());
    }
}

impl Answer {
    /// The answer at the beginning of some bytes; none: it is not whole yet.
    fn of(raw: &[u8], is_head: bool) -> Result<Option<Self>> {
        let Some(end) = raw.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
        let head = std::str::from_utf8(&raw[..end])?;
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).context("no status line")?.parse()?;
        let headers = lines
            .map(|line| line.split_once(':').context("a header field without a colon"))
            .map(|field| field.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())))
            .collect::<Result<Vec<_>>>()?;
        let mut answer = Self { status, headers, body: Vec::new() };
        let rest = &raw[end + 4..];
        if is_head || matches!(status, 204 | 304) {
            return Ok(Some(answer));
        }
        let body = if answer.values("transfer-encoding") == ["chunked"] {
            dechunked(rest)?
        } else {
            let length: usize = answer.values("content-length").first().context("an answer without length")?.parse()?;
            rest.get(..length).map(<[u8]>::to_vec)
        };
        let Some(body) = body else { return Ok(None) };
        answer.body = match answer.values("content-encoding")[..] {
            [] => body,
            ["gzip"] => {
                let mut plain = Vec::new();
                flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut plain).context("no gzip")?;
                plain
            }
            ["zstd"] => {
                let mut plain = Vec::new();
                let mut frames =
                    ruzstd::decoding::StreamingDecoder::new(&body[..]).map_err(|error| anyhow!("no zstd: {error}"))?;
                frames.read_to_end(&mut plain).context("no zstd")?;
                plain
            }
            ref other => bail!("the content encoding {other:?} was not asked for"),
        };
        Ok(Some(answer))
    }

    fn values(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect()
    }
}

/// The body of chunks; none: the last one is not there yet.
fn dechunked(mut raw: &[u8]) -> Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    loop {
        let Some(end) = raw.windows(2).position(|two| two == b"\r\n") else { return Ok(None) };
        let size = std::str::from_utf8(&raw[..end])?.split(';').next().unwrap_or_default();
        let size = usize::from_str_radix(size.trim(), 16).context("a chunk without size")?;
        let Some(chunk) = raw.get(end + 2..end + 2 + size) else { return Ok(None) };
        let Some(after) = raw.get(end + 4 + size..) else { return Ok(None) };
        if size == 0 {
            return Ok(Some(body));
        }
        body.extend_from_slice(chunk);
        raw = after;
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, dechunked};

    #[test]
    fn an_answer_is_read_when_it_is_whole() {
        let raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n";
        for end in 0..raw.len() {
            assert!(Answer::of(&raw[..end], false).unwrap().is_none(), "{end}");
        }
        let answer = Answer::of(raw, false).unwrap().unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (200, &b"abc"[..]));
        assert!(dechunked(b"x\r\n").is_err());
    }

    #[test]
    fn an_answer_to_head_has_no_body() {
        let raw = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n";
        assert!(Answer::of(raw, true).unwrap().is_some());
        assert!(Answer::of(raw, false).unwrap().is_none());
    }
}
