//! Multipart batches: bodies apart and together.

use super::{Batch, Part, too_many};
use crate::Error;
use crate::handle::Response;
use crate::limits::BATCH_MAX_REQUESTS;

/// The name of the boundaries that answers are put together with.
const BOUNDARY: &str = "batchresponse";
const CHANGE_SET: &str = "changesetresponse";

/// Runs a batch; gives the media type and the body of the answer.
pub(super) fn answer(content_type: &str, body: &[u8], batch: &mut Batch<'_>) -> Result<(String, Vec<u8>), Error> {
    let boundary = boundary(content_type).ok_or_else(|| Error::invalid("Content-Type", "a boundary is expected"))?;
    let mut out = Vec::new();
    let mut requests = 0;
    for (index, piece) in pieces(body, &boundary)?.into_iter().enumerate() {
        let (headers, content) = head_and_body(piece)?;
        let content_type = value(&headers, "content-type").unwrap_or_default().to_owned();
        begin(&mut out, BOUNDARY);
        let failed = match content_type.to_ascii_lowercase() {
            text if text.starts_with("multipart/mixed") => {
                change_set(&content_type, content, batch, &mut out, &mut requests)?
            }
            text if text.starts_with("application/http") => {
                requests += 1;
                let part = request(content, value(&headers, "content-id"))?;
                let response = batch.run(&part);
                write(&mut out, &response, part.id.as_deref());
                response.status >= 400
            }
            _ => {
                return Err(Error::invalid(
                    "body",
                    format!("part {} is neither application/http nor multipart/mixed", index + 1),
                ));
            }
        };
        if requests > BATCH_MAX_REQUESTS {
            return Err(too_many());
        }
        if failed && !batch.go_on {
            break;
        }
    }
    end(&mut out, BOUNDARY);
    Ok((format!("multipart/mixed; boundary={BOUNDARY}"), out))
}

/// Runs the requests of a change set; whether one failed, which is then the only answer. Nothing here changes data, so that
/// there is nothing to undo.
fn change_set(
    content_type: &str,
    content: &[u8],
    batch: &mut Batch<'_>,
    out: &mut Vec<u8>,
    requests: &mut usize,
) -> Result<bool, Error> {
    let boundary = boundary(content_type).ok_or_else(|| Error::invalid("body", "a change set without a boundary"))?;
    let mut inner = Vec::new();
    for piece in pieces(content, &boundary)? {
        *requests += 1;
        if *requests > BATCH_MAX_REQUESTS {
            return Err(too_many());
        }
        let (headers, content) = head_and_body(piece)?;
        let part = request(content, value(&headers, "content-id"))?;
        let response = match part.method.as_str() {
            "GET" | "HEAD" => super::failure(&Error::invalid("$batch", "a change set has no requests that read")),
            _ => batch.run(&part),
        };
        if response.status >= 400 {
            write(out, &response, part.id.as_deref());
            return Ok(true);
        }
        begin(&mut inner, CHANGE_SET);
        write(&mut inner, &response, part.id.as_deref());
    }
    end(&mut inner, CHANGE_SET);
    let head =
        format!("Content-Type: multipart/mixed; boundary={CHANGE_SET}\r\nContent-Length: {}\r\n\r\n", inner.len());
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(&inner);
    out.extend_from_slice(b"\r\n");
    Ok(false)
}

fn begin(out: &mut Vec<u8>, boundary: &str) {
    out.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
}

fn end(out: &mut Vec<u8>, boundary: &str) {
    out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
}

fn write(out: &mut Vec<u8>, response: &Response, id: Option<&str>) {
    let mut head = String::from("Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n");
    if let Some(id) = id {
        head.push_str(&format!("Content-ID: {id}\r\n"));
    }
    head.push_str(&format!("\r\nHTTP/1.1 {} {}\r\n", response.status, reason(response.status)));
    for (name, value) in &response.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !response.body.is_empty() {
        head.push_str(&format!("content-length: {}\r\n", response.body.len()));
    }
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(&response.body);
    out.extend_from_slice(b"\r\n");
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        304 => "Not Modified",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        410 => "Gone",
        412 => "Precondition Failed",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}

/// The boundary that a media type names.
fn boundary(content_type: &str) -> Option<String> {
    content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim().trim_matches('"');
        (name.trim().eq_ignore_ascii_case("boundary") && !value.is_empty()).then(|| value.to_owned())
    })
}

/// The pieces between the boundaries.
fn pieces<'b>(body: &'b [u8], boundary: &str) -> Result<Vec<&'b [u8]>, Error> {
    let mark = format!("--{boundary}");
    let mut found = Vec::new();
    let mut start: Option<usize> = None;
    let mut at = 0;
    while at < body.len() {
        let end = body[at..].iter().position(|byte| *byte == b'\n').map_or(body.len(), |length| at + length + 1);
        let line = body[at..end].trim_ascii_end();
        let closing = line.strip_prefix(mark.as_bytes()).map(|rest| rest == b"--");
        if matches!(closing, Some(true)) || line == mark.as_bytes() {
            if let Some(start) = start {
                found.push(without_line_end(&body[start..at]));
            }
            start = Some(end);
            if closing == Some(true) {
                return Ok(found);
            }
        }
        at = end;
    }
    match start {
        // A client that forgets to close its last boundary has said what it wants all the same.
        Some(start) if !body[start..].trim_ascii().is_empty() => {
            found.push(without_line_end(&body[start..]));
            Ok(found)
        }
        Some(_) => Ok(found),
        None => Err(Error::invalid("body", format!("the boundary `{boundary}` does not occur"))),
    }
}

/// The line end before a boundary belongs to the boundary.
fn without_line_end(piece: &[u8]) -> &[u8] {
    let piece = piece.strip_suffix(b"\n").unwrap_or(piece);
    piece.strip_suffix(b"\r").unwrap_or(piece)
}

type Headers = Vec<(String, String)>;

/// Header fields, and what comes behind the empty line.
fn head_and_body(piece: &[u8]) -> Result<(Headers, &[u8]), Error> {
    let mut headers = Vec::new();
    let mut rest = piece;
    loop {
        let end = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| at + 1);
        let line = rest[..end].trim_ascii();
        rest = &rest[end..];
        if line.is_empty() {
            return Ok((headers, rest));
        }
        let line = std::str::from_utf8(line).map_err(|_| Error::invalid("body", "a header is no text"))?;
        let (name, value) =
            line.split_once(':').ok_or_else(|| Error::invalid("body", format!("`{line}` is no header field")))?;
        headers.push((name.trim().to_owned(), value.trim().to_owned()));
        if rest.is_empty() {
            return Ok((headers, rest));
        }
    }
}

fn value<'h>(headers: &'h Headers, name: &str) -> Option<&'h str> {
    headers.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// A request: its line, its header fields, its body.
fn request(content: &[u8], id: Option<&str>) -> Result<Part, Error> {
    let content = content.trim_ascii_start();
    let end = content.iter().position(|byte| *byte == b'\n').map_or(content.len(), |at| at + 1);
    let line = std::str::from_utf8(content[..end].trim_ascii()).unwrap_or_default();
    let mut words = line.split(' ').filter(|word| !word.is_empty());
    let (Some(method), Some(url)) = (words.next(), words.next()) else {
        return Err(Error::invalid("body", format!("`GET url HTTP/1.1` is expected, not `{line}`")));
    };
    // A lenient client leaves spaces in its URL; the protocol is the last word.
    let rest: Vec<&str> = words.collect();
    let more: Vec<&str> = rest.iter().copied().filter(|word| !word.starts_with("HTTP/")).collect();
    let url = if more.is_empty() { url.to_owned() } else { format!("{url}%20{}", more.join("%20")) };
    let (headers, body) = head_and_body(&content[end..])?;
    Ok(Part { id: id.map(str::to_owned), method: method.to_owned(), url, headers, body: body.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_found_between_boundaries_only() {
        let body = b"preamble\r\n--b\r\nA: 1\r\n\r\nx--b\r\n--b\r\n\r\ny\r\n--b--\r\nepilogue";
        let found = pieces(body, "b").unwrap();
        assert_eq!(found, [b"A: 1\r\n\r\nx--b".as_slice(), b"\r\ny"]);
        assert_eq!(head_and_body(found[0]).unwrap(), (vec![("A".into(), "1".into())], b"x--b".as_slice()));
        assert!(pieces(b"nothing", "b").is_err());
        assert_eq!(boundary("multipart/mixed; boundary=\"x y\""), Some("x y".into()));
    }

    #[test]
    fn requests_are_read() {
        let part = request(b"POST A?b=c d HTTP/1.1\r\nX: y\r\n\r\nbody", Some("1")).unwrap();
        assert_eq!((part.method.as_str(), part.url.as_str()), ("POST", "A?b=c%20d"));
        assert_eq!((part.body.as_slice(), part.headers.len()), (b"body".as_slice(), 1));
        assert!(request(b"GET", None).is_err());
    }
}
