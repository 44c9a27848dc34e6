//! `$batch` in multipart/mixed (OData 4.01 Part 1 §11.7.7): written here, and the answer taken apart.

use crate::entity::Change;
use crate::exchange::PartAnswer;

/// Boundaries of what is written. A body is JSON on one line that begins with `{`, so no line of it can be one of these.
const BATCH_BOUNDARY: &str = "batch_bulkhead";
const CHANGE_SET_BOUNDARY: &str = "changeset_bulkhead";
/// Deepest nesting of an answer: parts in a change set in a batch.
const DEPTH_MAX: usize = 3;

/// The content type of what [`write`] gives.
pub(crate) fn content_type() -> String {
    format!("multipart/mixed;boundary={BATCH_BOUNDARY}")
}

/// The body of a `$batch`; each change has its own header fields beside the condition's.
pub(crate) fn write(changes: &[(Change, Vec<(String, String)>)], change_set: bool) -> String {
    let mut body = String::new();
    if change_set {
        body.push_str(&format!(
            "--{BATCH_BOUNDARY}\r\nContent-Type: multipart/mixed;boundary={CHANGE_SET_BOUNDARY}\r\n\r\n"
        ));
    }
    let boundary = if change_set { CHANGE_SET_BOUNDARY } else { BATCH_BOUNDARY };
    for (index, (change, headers)) in changes.iter().enumerate() {
        body.push_str(&format!(
            "--{boundary}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\nContent-ID: {index}\r\n\r\n"
        ));
        body.push_str(&format!("{} {} HTTP/1.1\r\n", change.method, change.url));
        for (name, value) in headers {
            body.push_str(&format!("{name}: {value}\r\n"));
        }
        body.push_str(&format!("Content-Length: {}\r\n\r\n{}\r\n", change.body.len(), change.body));
    }
    if change_set {
        body.push_str(&format!("--{CHANGE_SET_BOUNDARY}--\r\n"));
    }
    body.push_str(&format!("--{BATCH_BOUNDARY}--\r\n"));
    body
}

/// The answers inside an answer, in order. A change set that failed has one for all of its changes.
///
/// # Errors
/// Half a sentence: what is wrong with it.
pub(crate) fn read(content_type: &str, body: &[u8]) -> Result<Vec<PartAnswer>, String> {
    let text = String::from_utf8_lossy(body);
    let mut answers = Vec::new();
    read_parts(content_type, &text, DEPTH_MAX, &mut answers)?;
    Ok(answers)
}

fn read_parts(content_type: &str, body: &str, depth: usize, answers: &mut Vec<PartAnswer>) -> Result<(), String> {
    let boundary =
        boundary(content_type).ok_or_else(|| format!("its content type `{content_type}` names no boundary"))?;
    let depth = depth.checked_sub(1).ok_or("its parts are nested too deep")?;
    for part in parts(body, &boundary)? {
        let (head, content) = split_head(part);
        let fields = header_fields(head);
        let part_type = field(&fields, "content-type").unwrap_or_default();
        if part_type.to_ascii_lowercase().starts_with("multipart/mixed") {
            read_parts(part_type, content, depth, answers)?;
        } else {
            let id = field(&fields, "content-id").map(str::to_owned);
            answers.push(read_http(id, content)?);
        }
    }
    Ok(())
}

/// The value of the parameter `boundary` of a content type (RFC 2046 §5.1.1).
fn boundary(content_type: &str) -> Option<String> {
    let parameters = content_type.split(';').skip(1);
    let value =
        parameters.filter_map(|one| one.split_once('=')).find(|(name, _)| name.trim().eq_ignore_ascii_case("boundary"));
    value.map(|(_, value)| value.trim().trim_matches('"').to_owned()).filter(|boundary| !boundary.is_empty())
}

/// What stands between the boundary lines.
fn parts<'a>(body: &'a str, boundary: &str) -> Result<Vec<&'a str>, String> {
    let mut parts = Vec::new();
    let mut start = None;
    let mut at = 0;
    for line in body.split_inclusive('\n') {
        let mark = line.trim_end().strip_prefix("--").and_then(|rest| rest.strip_prefix(boundary));
        if let Some(end @ ("" | "--")) = mark {
            if let Some(start) = start {
                parts.push(&body[start..at]);
            }
            if end == "--" {
                return Ok(parts);
            }
            start = Some(at + line.len());
        }
        at += line.len();
    }
    Err(format!("its closing boundary `--{boundary}--` is missing"))
}

/// The header lines and what follows the empty line.
fn split_head(part: &str) -> (&str, &str) {
    let part = part.trim_start_matches(['\r', '\n']);
    let crlf = part.find("\r\n\r\n").map(|at| (at, 4));
    let lf = part.find("\n\n").map(|at| (at, 2));
    match [crlf, lf].into_iter().flatten().min() {
        Some((at, length)) => (&part[..at], &part[at + length..]),
        None => (part, ""),
    }
}

/// Names in lower case.
fn header_fields(head: &str) -> Vec<(String, String)> {
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    fields.map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned())).collect()
}

fn field<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// `HTTP/1.1 201 Created`, header fields, body.
fn read_http(id: Option<String>, content: &str) -> Result<PartAnswer, String> {
    let content = content.trim_start_matches(['\r', '\n']);
    let (status_line, rest) = content.split_once('\n').unwrap_or((content, ""));
    let status = status_line.strip_prefix("HTTP/").and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    let status = status.ok_or_else(|| {
        let shown: String = status_line.trim().chars().take(40).collect();
        format!("a part begins with `{shown}`, expected a status line such as `HTTP/1.1 201 Created`")
    })?;
    // Without header fields the empty line comes at once.
    let (head, body) = if rest.starts_with(['\r', '\n']) { ("", rest) } else { split_head(rest) };
    Ok(PartAnswer { id, status, headers: header_fields(head), body: body.trim().as_bytes().to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn change(body: &str) -> (Change, Vec<(String, String)>) {
        let change = Change { method: "POST", url: "Set".into(), condition: None, body: body.into() };
        (change, vec![("Content-Type".into(), "application/json".into())])
    }

    #[test]
    fn a_change_set_is_nested_in_the_batch() {
        let written = write(&[change("{\"A\":1}"), change("{}")], true);
        let outer = parts(&written, BATCH_BOUNDARY).expect("parts");
        assert_eq!(outer.len(), 1);
        let inner = parts(outer[0], CHANGE_SET_BOUNDARY).expect("parts");
        assert_eq!(inner.len(), 2);
        assert!(inner[0].contains("Content-ID: 0\r\n\r\nPOST Set HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n{\"A\":1}"));
        assert_eq!(parts(&write(&[change("{}"), change("{}")], false), BATCH_BOUNDARY).expect("parts").len(), 2);
    }

    const TAKEN: &str = "--b\r\nContent-Type: multipart/mixed; boundary=\"cs\"\r\n\r\n--cs\r\nContent-Type: application/http\r\nContent-ID: 0\r\n\r\n\
        HTTP/1.1 201 Created\r\nContent-Type: application/json\r\n\r\n{\"A\":1}\r\n--cs\r\ncontent-type: application/http\r\ncontent-id: 1\r\n\r\n\
        HTTP/1.1 204 No Content\r\n\r\n\r\n--cs--\r\n--b--\r\n";

    #[test]
    fn answers_are_found_with_either_line_end() {
        for text in [TAKEN.to_owned(), TAKEN.replace("\r\n", "\n")] {
            let answers = read("multipart/mixed;boundary=b", text.as_bytes()).expect("answers");
            let seen: Vec<(Option<&str>, u16, &[u8])> =
                answers.iter().map(|one| (one.id.as_deref(), one.status, one.body.as_slice())).collect();
            assert_eq!(seen, [(Some("0"), 201, b"{\"A\":1}".as_slice()), (Some("1"), 204, b"")]);
        }
    }

    #[test]
    fn a_torn_answer_is_an_error() {
        let torn = &TAKEN[..TAKEN.len() - 8];
        assert!(read("multipart/mixed;boundary=b", torn.as_bytes()).expect_err("torn").contains("closing boundary"));
        assert!(read("text/html", b"").expect_err("no boundary").contains("names no boundary"));
        let no_status = "--b\r\n\r\nHello\r\n--b--";
        assert!(
            read("multipart/mixed;boundary=b", no_status.as_bytes()).expect_err("no status").contains("status line")
        );
    }

    proptest! {
        #[test]
        fn no_answer_panics(cut in 0usize..400, junk in "\\PC{0,20}") {
            let mut text = TAKEN.to_owned();
            let cut = cut.min(text.len());
            text.insert_str(cut, &junk);
            let _ = read("multipart/mixed;boundary=b", text.as_bytes());
            let _ = read(&junk, text.as_bytes());
        }
    }
}
