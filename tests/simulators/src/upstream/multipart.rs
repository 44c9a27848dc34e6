//! The multipart/mixed format of batches (OData 4.01 Protocol, section 11.7.7): parts between boundaries, each an HTTP
//! message or a change set of such.

use super::{
    batch::{Item, Outcome, Part, headers, split_url},
    odata::{Content, Request, Response},
};
use axum::http::StatusCode;
use bytes::Bytes;
use std::fmt::Write;

const BATCH_BOUNDARY: &str = "batchresponse-simulated";
const CHANGE_SET_BOUNDARY: &str = "changesetresponse-simulated";

type Headers = Vec<(String, String)>;

/// The parts of a batch's body.
pub(crate) fn parse(media_type: &str, body: &[u8]) -> Result<Vec<Part>, &'static str> {
    split(media_type, body)?.into_iter().map(parse_part).collect()
}

fn parse_part(part: &[u8]) -> Result<Part, &'static str> {
    let (part_headers, content) = split_head(part)?;
    let media_type = find(&part_headers, "content-type").unwrap_or("");
    if media_type.starts_with("multipart/mixed") {
        let items: Result<Vec<_>, _> = split(media_type, content)?.into_iter().map(parse_item).collect();
        return Ok(Part::ChangeSet { group: boundary(media_type)?.to_owned(), items: items? });
    }
    parse_item(part).map(Part::Single)
}

fn parse_item(part: &[u8]) -> Result<Item, &'static str> {
    let (part_headers, message) = split_head(part)?;
    if !find(&part_headers, "content-type").is_some_and(|media_type| media_type.starts_with("application/http")) {
        return Err("a part whose Content-Type is neither application/http nor multipart/mixed");
    }
    let (line, rest) = take_line(message).ok_or("a part without a request line")?;
    let mut words = line.split_whitespace();
    let (Some(method), Some(url)) = (words.next(), words.next()) else { return Err("a malformed request line") };
    let (request_headers, body) = split_head(rest)?;
    let body = body.strip_suffix(b"\r\n").or_else(|| body.strip_suffix(b"\n")).unwrap_or(body);
    let (path, query) = split_url(url);
    let request = Request {
        method: method.to_uppercase(),
        path,
        query,
        headers: headers(request_headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))),
        body: Bytes::copy_from_slice(body),
    };
    Ok(Item { id: find(&part_headers, "content-id").map(Into::into), depends_on: Vec::new(), request })
}

fn boundary(media_type: &str) -> Result<&str, &'static str> {
    let parameters = media_type.split(';').skip(1).filter_map(|parameter| parameter.trim().split_once('='));
    let boundary = parameters.filter(|(name, _)| name.eq_ignore_ascii_case("boundary")).map(|(_, value)| value).next();
    boundary.map(|value| value.trim_matches('"')).filter(|value| !value.is_empty()).ok_or("no boundary")
}

/// What stands between the lines that begin with the boundary.
fn split<'a>(media_type: &str, body: &'a [u8]) -> Result<Vec<&'a [u8]>, &'static str> {
    let delimiter = format!("--{}", boundary(media_type)?);
    let (mut parts, mut begin, mut at) = (Vec::new(), None, 0);
    while at < body.len() {
        let end = body[at..].iter().position(|byte| *byte == b'\n').map_or(body.len(), |found| at + found + 1);
        let line = body[at..end].trim_ascii_end();
        if let Some(tail) = line.strip_prefix(delimiter.as_bytes()).filter(|tail| tail.is_empty() || *tail == b"--") {
            if let Some(begin) = begin {
                parts.push(&body[begin..at]);
            }
            if tail == b"--" {
                return Ok(parts);
            }
            begin = Some(end);
        }
        at = end;
    }
    Err("the last boundary is missing")
}

/// Header fields up to an empty line, and what follows it.
fn split_head(bytes: &[u8]) -> Result<(Headers, &[u8]), &'static str> {
    let (mut found, mut rest) = (Vec::new(), bytes);
    while let Some((line, next)) = take_line(rest) {
        rest = next;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or("a header without a colon")?;
        found.push((name.trim().to_lowercase(), value.trim().to_owned()));
    }
    Ok((found, rest))
}

fn take_line(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let line = std::str::from_utf8(&bytes[..end]).ok()?;
    Some((line.trim_end_matches('\r'), &bytes[end + 1..]))
}

fn find<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// The answer to a batch. A failed change set is one answer, that of the request which failed.
pub(crate) fn encode(outcomes: &[Outcome]) -> Response {
    let mut text = String::new();
    for outcome in outcomes {
        let _ = write!(text, "--{BATCH_BOUNDARY}\r\n");
        match outcome {
            Outcome::Single { id, response } => encode_response(id.as_deref(), response, &mut text),
            Outcome::ChangeSet { responses, failed: Some(failed), .. } => {
                let (id, response) = &responses[*failed];
                encode_response(id.as_deref(), response, &mut text);
            }
            Outcome::ChangeSet { responses, failed: None, .. } => {
                let _ = write!(text, "Content-Type: multipart/mixed; boundary={CHANGE_SET_BOUNDARY}\r\n\r\n");
                for (id, response) in responses {
                    let _ = write!(text, "--{CHANGE_SET_BOUNDARY}\r\n");
                    encode_response(id.as_deref(), response, &mut text);
                }
                let _ = write!(text, "--{CHANGE_SET_BOUNDARY}--\r\n");
            }
        }
    }
    let _ = write!(text, "--{BATCH_BOUNDARY}--\r\n");
    Response::text(&format!("multipart/mixed; boundary={BATCH_BOUNDARY}"), text)
}

fn encode_response(id: Option<&str>, response: &Response, text: &mut String) {
    let (media_type, body) = match &response.content {
        Content::Nothing => (None, String::new()),
        Content::Json(value) => (Some("application/json"), value.to_string()),
        Content::Text { media_type, text } => (Some(media_type.as_str()), text.clone()),
    };
    let reason = StatusCode::from_u16(response.status).ok().and_then(|status| status.canonical_reason()).unwrap_or("");
    let _ = write!(text, "Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n");
    if let Some(id) = id {
        let _ = write!(text, "Content-ID: {id}\r\n");
    }
    let _ = write!(text, "\r\nHTTP/1.1 {} {reason}\r\n", response.status);
    for (name, value) in &response.headers {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    if let Some(media_type) = media_type {
        let _ = write!(text, "Content-Type: {media_type}\r\nContent-Length: {}\r\n", body.len());
    }
    let _ = write!(text, "\r\n{body}\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "--b\r\nContent-Type: application/http\r\n\r\nPUT /odata/Readings(1) HTTP/1.1\r\n\
        If-Match: *\r\nContent-Type: application/json\r\n\r\n{\"a\":1}\r\n\
        --b\r\nContent-Type: multipart/mixed; boundary=\"c\"\r\n\r\n\
        --c\r\nContent-Type: application/http\r\nContent-ID: 1\r\n\r\nPOST Readings HTTP/1.1\r\n\r\n{}\r\n--c--\r\n\r\n--b--\r\n";

    #[test]
    fn a_batch_with_a_change_set() {
        let parts = parse("multipart/mixed; boundary=b", BODY.as_bytes()).unwrap();
        let [Part::Single(single), Part::ChangeSet { group, items }] = &parts[..] else { panic!("{parts:?}") };
        assert_eq!((single.request.method.as_str(), single.request.path.as_str()), ("PUT", "Readings(1)"));
        assert_eq!(single.request.header("if-match"), Some("*"));
        assert_eq!(&single.request.body[..], br#"{"a":1}"#);
        assert_eq!((group.as_str(), items.len()), ("c", 1));
        assert_eq!((items[0].id.as_deref(), &items[0].request.body[..]), (Some("1"), &b"{}"[..]));
    }

    #[test]
    fn malformed_batches_are_refused_with_a_reason() {
        assert_eq!(parse("multipart/mixed", b"").unwrap_err(), "no boundary");
        let torn = &BODY.as_bytes()[..BODY.len() - 8];
        assert_eq!(parse("multipart/mixed; boundary=b", torn).unwrap_err(), "the last boundary is missing");
        let plain = b"--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b--";
        assert!(parse("multipart/mixed; boundary=b", plain).is_err());
    }
}
