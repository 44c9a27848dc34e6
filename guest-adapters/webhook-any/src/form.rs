//! The fields of a form, urlencoded (WHATWG URL §5) or multipart (RFC 7578), as the JSON that a mapping reads. Pure.

use bulkhead_json_points::Encoding;
use serde_json::{Map, Value, json};

/// Most fields of a form.
const FIELDS_MAX: usize = 1_000;

/// The fields of a body.
///
/// # Errors
/// Half a sentence: why it is no form.
pub(crate) fn to_json(body: &[u8], content_type: &str, encoding: Encoding) -> Result<Value, String> {
    let mut fields = Fields { members: Map::new(), count: 0 };
    if is_multipart(content_type) {
        multipart(body, content_type, encoding, &mut fields)?;
    } else {
        for pair in body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
            let (name, value) = (&pair[..at], pair.get(at + 1..).unwrap_or_default());
            fields.put(text(&unescaped(name), encoding)?, text(&unescaped(value), encoding)?.into())?;
        }
    }
    Ok(Value::Object(fields.members))
}

pub(crate) fn is_multipart(content_type: &str) -> bool {
    content_type.trim_start().to_ascii_lowercase().starts_with("multipart/form-data")
}

struct Fields {
    members: Map<String, Value>,
    count: usize,
}

impl Fields {
    /// A field that comes again makes an array.
    fn put(&mut self, name: String, value: Value) -> Result<(), String> {
        self.count += 1;
        if self.count > FIELDS_MAX {
            return Err(format!("more than {FIELDS_MAX} fields"));
        }
        match self.members.get_mut(&name) {
            Some(Value::Array(all)) => all.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
            None => _ = self.members.insert(name, value),
        }
        Ok(())
    }
}

fn text(bytes: &[u8], encoding: Encoding) -> Result<String, String> {
    encoding.decode(bytes).map(std::borrow::Cow::into_owned).map_err(|error| format!("expected text: {error}"))
}

/// `+` and `%41` undone; a `%` without two digits is itself.
fn unescaped(escaped: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some((first, behind)) = rest.split_first() {
        let digit = |at: usize| behind.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        rest = behind;
        match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                plain.push(u8::try_from(high * 16 + low).unwrap_or_default());
                rest = &behind[2..];
            }
            (b'+', ..) => plain.push(b' '),
            (byte, ..) => plain.push(*byte),
        }
    }
    plain
}

fn multipart(body: &[u8], content_type: &str, encoding: Encoding, fields: &mut Fields) -> Result<(), String> {
    let boundary = parameter(content_type, "boundary").filter(|boundary| (1..=70).contains(&boundary.len()));
    let delimiter = format!("\r\n--{}", boundary.ok_or("a multipart form without its boundary")?).into_bytes();
    // So that the first boundary is like the others.
    let body = [b"\r\n".as_slice(), body].concat();
    let mut rest =
        &body[find(&body, &delimiter).ok_or("a multipart form without its first boundary")? + delimiter.len()..];
    loop {
        if rest.starts_with(b"--") {
            return Ok(());
        }
        let end = find(rest, &delimiter).ok_or("a multipart form without its last boundary")?;
        let part = &rest[..end];
        rest = &rest[end + delimiter.len()..];
        let begin = find(part, b"\r\n\r\n").ok_or("a part without an empty line behind its header")?;
        let (header, content) = (String::from_utf8_lossy(&part[..begin]), &part[begin + 4..]);
        let field = |name: &str| {
            let found = header
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(key, _)| key.trim().eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.trim().to_owned())
        };
        let disposition = field("content-disposition").unwrap_or_default();
        let name = parameter(&disposition, "name").ok_or("a part without a name")?;
        let value = match parameter(&disposition, "filename") {
            None => text(content, encoding)?.into(),
            Some(file) => {
                let media_type = field("content-type").unwrap_or_else(|| "application/octet-stream".to_owned());
                let mut value = json!({ "name": file, "media_type": media_type, "bytes": content.len() });
                if let Ok(text) = std::str::from_utf8(content) {
                    value["text"] = text.into();
                }
                value
            }
        };
        fields.put(name, value)?;
    }
}

/// A parameter of a header field, without its quotes.
pub(crate) fn parameter(field: &str, name: &str) -> Option<String> {
    let mut rest = field.split_once(';')?.1;
    loop {
        let (key, behind) = rest.split_once('=')?;
        let behind = behind.trim_start();
        let (value, next) = match behind.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => behind.split_at(behind.find(';').unwrap_or(behind.len())),
        };
        if key.trim_start_matches(';').trim().eq_ignore_ascii_case(name) {
            return Some(value.trim().to_owned());
        }
        rest = next.trim_start().trim_start_matches(';');
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLAIN: &str = "application/x-www-form-urlencoded";

    #[test]
    fn urlencoded_fields_are_texts_and_those_that_come_again_arrays() {
        let of = |body: &[u8]| to_json(body, PLAIN, Encoding::Utf8);
        let body = b"temp=61.5&unit=%C2%B0C&note=a+b%2Bc&n=1&n=2&n=3&flag&odd=100%&";
        let expected =
            json!({ "temp": "61.5", "unit": "°C", "note": "a b+c", "n": ["1", "2", "3"], "flag": "", "odd": "100%" });
        assert_eq!(of(body), Ok(expected));
        assert_eq!(to_json(b"u=%B0C", PLAIN, Encoding::Latin1), Ok(json!({ "u": "°C" })));
        assert!(of(b"u=%B0C").unwrap_err().contains("0xb0"));
        assert!(of(&b"a=1&".repeat(FIELDS_MAX + 1)).unwrap_err().contains("1000 fields"));
    }

    #[test]
    fn multipart_fields_and_files_are_told_apart() {
        let body = b"preamble\r\n--b0\r\nContent-Disposition: form-data; name=\"temp\"\r\n\r\n61.5\r\n--b0\r\nContent-Type: text/plain\r\n\
                     content-disposition: form-data; name=\"log\"; filename=\"a;b.txt\"\r\n\r\nx\r\ny\r\n--b0\r\n\
                     Content-Disposition: form-data; name=raw; filename=r\r\n\r\n\xFF\x00\r\n--b0--\r\n";
        let read = to_json(body, "multipart/form-data; charset=x; boundary=\"b0\"", Encoding::Utf8).unwrap();
        let log = json!({ "name": "a;b.txt", "media_type": "text/plain", "bytes": 4, "text": "x\r\ny" });
        let raw = json!({ "name": "r", "media_type": "application/octet-stream", "bytes": 2 });
        assert_eq!(read, json!({ "temp": "61.5", "log": log, "raw": raw }));
        for (body, content_type, part) in [
            (body.as_slice(), "multipart/form-data", "boundary"),
            (b"", "multipart/form-data; boundary=b0", "first boundary"),
            (b"--b0\r\n\r\n\r\nx", "multipart/form-data; boundary=b0", "last boundary"),
            (b"--b0\r\n\r\n\r\nx\r\n--b0--", "multipart/form-data; boundary=b0", "a name"),
        ] {
            let error = to_json(body, content_type, Encoding::Utf8).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..200), text in "[-b0\\r\\n:;=\" namefor]{0,60}") {
            _ = to_json(&body, PLAIN, Encoding::Utf8);
            _ = to_json(text.as_bytes(), "multipart/form-data; boundary=b0", Encoding::Utf8);
            _ = parameter(&text, "name");
        }
    }
}
