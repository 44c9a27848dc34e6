//! An XML document as the JSON that a mapping reads. What could make it larger than it is, a document type with entities of its
//! own, is refused. Pure.

use bulkhead_json_points::Encoding;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use serde_json::{Map, Value};
use std::borrow::Cow;

/// Deepest element. JSON deeper than 128 levels is refused by its parser.
const DEPTH_MAX: usize = 60;
/// Most bytes of the declaration that names the encoding.
const DECLARATION_MAX_BYTES: usize = 200;

/// An element that is open.
#[derive(Default)]
struct Open {
    name: String,
    members: Map<String, Value>,
    text: String,
}

/// The document as JSON. `array`: the names down to elements that are an array even where there is one of them.
///
/// # Errors
/// Half a sentence: why it is no such document.
pub(crate) fn to_json(body: &[u8], encoding: Encoding, array: &[String]) -> Result<Value, String> {
    let text = decoded(body, encoding)?;
    let mut reader = Reader::from_str(&text);
    let mut open: Vec<Open> = vec![Open::default()];
    loop {
        let event = reader.read_event().map_err(|error| format!("expected XML: {error}"))?;
        match event {
            Event::Start(element) => {
                if open.len() > DEPTH_MAX {
                    return Err(format!("elements deeper than {DEPTH_MAX}"));
                }
                open.push(begun(&element)?);
            }
            Event::Empty(element) => {
                let element = begun(&element)?;
                close(element, &mut open, array);
            }
            Event::End(_) => {
                // That start and end fit, the reader has seen.
                if let Some(element) = open.pop() {
                    close(element, &mut open, array);
                }
            }
            Event::Text(text) => add(&mut open, &text.xml10_content()),
            Event::CData(text) => add(&mut open, &text.xml10_content()),
            Event::GeneralRef(reference) => add(&mut open, &resolved(&reference)?),
            Event::DocType(_) => return Err("a document type, which is not taken here".to_owned()),
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            Event::Eof => break,
        }
    }
    match (open.pop(), open.is_empty()) {
        (Some(document), true) if document.members.len() == 1 && document.text.trim().is_empty() => {
            Ok(Value::Object(document.members))
        }
        (_, true) => Err("expected XML: one element that holds all others".to_owned()),
        _ => Err("expected XML: an element has no end".to_owned()),
    }
}

/// The text, in the encoding that the document names, or else in the one that is set.
fn decoded(body: &[u8], encoding: Encoding) -> Result<Cow<'_, str>, String> {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    let beginning = String::from_utf8_lossy(&body[..body.len().min(DECLARATION_MAX_BYTES)]).to_lowercase();
    let declaration = beginning.strip_prefix("<?xml").and_then(|rest| rest.split("?>").next());
    let named = declaration.and_then(|declaration| declaration.split("encoding").nth(1));
    let named = named.and_then(|rest| rest.split(['"', '\'']).nth(1));
    let encoding = match named {
        None => encoding,
        Some("utf-8" | "us-ascii") => Encoding::Utf8,
        Some("iso-8859-1" | "latin1") => Encoding::Latin1,
        Some("windows-1251" | "cp1251") => Encoding::Cp1251,
        Some(other) => return Err(format!("the encoding `{other}`: expected utf-8, iso-8859-1 or windows-1251")),
    };
    encoding.decode(body).map_err(|error| format!("expected text: {error}"))
}

fn begun(element: &BytesStart<'_>) -> Result<Open, String> {
    let mut open = Open { name: element.local_name().into_inner().to_owned(), ..Open::default() };
    for attribute in element.attributes() {
        let attribute = attribute.map_err(|error| format!("expected XML: {error}"))?;
        let qualified = attribute.key.into_inner();
        if qualified == "xmlns" || qualified.starts_with("xmlns:") {
            continue;
        }
        let name = format!("@{}", attribute.key.local_name().into_inner());
        let value = attribute.normalized_value(XmlVersion::Implicit1_0);
        let value = value.map_err(|error| format!("expected XML: {error}"))?;
        open.members.insert(name, Value::String(value.into_owned()));
    }
    Ok(open)
}

fn add(open: &mut [Open], text: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(text);
    }
}

/// `&amp;` and its like, and characters by number; there are no others.
fn resolved(reference: &BytesRef<'_>) -> Result<String, String> {
    let name: &str = reference;
    let by_number = name.strip_prefix('#').and_then(|number| {
        let code = match number.strip_prefix('x') {
            Some(digits) => u32::from_str_radix(digits, 16).ok()?,
            None => number.parse().ok()?,
        };
        char::from_u32(code).filter(|character| *character != '\0').map(String::from)
    });
    let known = by_number.or_else(|| quick_xml::escape::resolve_xml_entity(name).map(str::to_owned));
    known.ok_or_else(|| format!("expected XML: `&{name};` stands for nothing"))
}

/// Puts an element into the one around it.
fn close(element: Open, open: &mut [Open], array: &[String]) {
    let Open { name, mut members, text } = element;
    let text = text.trim();
    let value = if members.is_empty() {
        Value::String(text.to_owned())
    } else {
        if !text.is_empty() {
            members.insert("#text".to_owned(), Value::String(text.to_owned()));
        }
        Value::Object(members)
    };
    let around = open.iter().skip(1).map(|element| element.name.as_str());
    let is_array = around.chain([name.as_str()]).eq(array.iter().map(String::as_str));
    let Some(parent) = open.last_mut() else { return };
    match parent.members.get_mut(&name) {
        Some(Value::Array(all)) => all.push(value),
        Some(first) => *first = Value::Array(vec![first.take(), value]),
        None if is_array => _ = parent.members.insert(name, Value::Array(vec![value])),
        None => _ = parent.members.insert(name, value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn of(text: &str) -> Result<Value, String> {
        to_json(text.as_bytes(), Encoding::Utf8, &[])
    }

    #[test]
    fn elements_attributes_and_texts_have_their_places() {
        let document = "<?xml version=\"1.0\"?><!-- x --><s:m xmlns:s=\"urn:x\" id=\"7\" s:at='&lt;now'><t u=\"C\">61.5</t><ok/>\
                        <n>1</n><n>2</n><c><![CDATA[<a>&b]]></c><e>&#176;&#x43; &amp;</e></s:m>";
        let expected = json!({ "m": { "@id": "7", "@at": "<now", "t": { "@u": "C", "#text": "61.5" }, "ok": "", "n": ["1", "2"],
                                      "c": "<a>&b", "e": "°C &" } });
        assert_eq!(of(document), Ok(expected));
        let array = ["m".to_owned(), "n".to_owned()];
        let one = to_json(b"<m><n>1</n></m>", Encoding::Utf8, &array);
        assert_eq!(one, Ok(json!({ "m": { "n": ["1"] } })), "an array of one is an array");
    }

    #[test]
    fn encodings_are_those_that_the_document_names() {
        let latin = b"<?xml version='1.0' encoding='ISO-8859-1'?><u>\xB0C</u>";
        assert_eq!(to_json(latin, Encoding::Utf8, &[]), Ok(json!({ "u": "°C" })));
        assert_eq!(to_json(b"\xEF\xBB\xBF<u>1</u>", Encoding::Utf8, &[]), Ok(json!({ "u": "1" })));
        assert_eq!(to_json(b"<u>\xCF</u>", Encoding::Cp1251, &[]), Ok(json!({ "u": "П" })));
        assert!(to_json(b"<u>\xCF</u>", Encoding::Utf8, &[]).unwrap_err().contains("0xcf"));
        assert!(of("<?xml version='1.0' encoding='EBCDIC'?><u/>").unwrap_err().contains("ebcdic"));
    }

    #[test]
    fn what_is_no_document_or_could_swell_is_refused() {
        let bomb = "<!DOCTYPE a [<!ENTITY b \"bbbb\"><!ENTITY c \"&b;&b;\">]><a>&c;</a>";
        for (text, part) in [
            (bomb, "document type"),
            ("<a>&c;</a>", "stands for nothing"),
            ("<a>&#0;</a>", "stands for nothing"),
            ("<a><b></a>", "expected XML"),
            ("<a>", "no end"),
            ("<a/><b/>", "one element"),
            ("text", "one element"),
            ("", "one element"),
            (&"<a>".repeat(100), "deeper"),
        ] {
            let error = of(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..200), text in "[<>a/&;!?=\"' x#0-9]{0,40}") {
            _ = to_json(&body, Encoding::Utf8, &[]);
            _ = of(&text);
        }
    }
}
