//! What a service says about an error, as one sentence (OData JSON Format 4.01 §21): code, message, details and the inner
//! error. Services that answer otherwise (SAP's older ones, XML, HTML of a proxy) are quoted as they are, shortened.

use bulkhead_upstream::excerpt;
use serde_json::Value;

/// Most details that are repeated.
const DETAILS_MAX: usize = 5;
/// Most characters in all.
const CHARS_MAX: usize = 700;

/// The sentence; empty where the body says nothing.
pub(crate) fn error_text(body: &[u8]) -> String {
    let parsed: Option<Value> = serde_json::from_slice(body).ok();
    let sentence = parsed.as_ref().and_then(|json| from_error(json.get("error").or_else(|| json.get("odata.error"))?));
    let sentence = sentence.unwrap_or_else(|| excerpt(body));
    let clean: String = sentence.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match clean.char_indices().nth(CHARS_MAX) {
        Some((cut, _)) => format!("{}…", &clean[..cut]),
        None => clean,
    }
}

fn from_error(error: &Value) -> Option<String> {
    let mut sentence = coded(error)?;
    let details = error.get("details").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let details: Vec<String> = details.iter().take(DETAILS_MAX).filter_map(detail).collect();
    if !details.is_empty() {
        sentence.push_str(&format!(" ({})", details.join("; ")));
    }
    let inner = error.get("innererror").or_else(|| error.get("innerError"));
    if let Some(inner) = inner.and_then(inner_message) {
        sentence.push_str(&format!(" [inner: {inner}]"));
    }
    Some(sentence)
}

/// `code: message`; OData 2 and 3 have the message one level deeper.
fn coded(error: &Value) -> Option<String> {
    let code = error.get("code").and_then(Value::as_str).filter(|code| !code.is_empty());
    let message = error.get("message").and_then(|message| message.as_str().or_else(|| message.get("value")?.as_str()));
    match (code, message) {
        (Some(code), Some(message)) => Some(format!("{code}: {message}")),
        (code, message) => code.or(message).map(str::to_owned),
    }
}

fn detail(detail: &Value) -> Option<String> {
    let sentence = coded(detail)?;
    Some(match detail.get("target").and_then(Value::as_str) {
        Some(target) => format!("{target}: {sentence}"),
        None => sentence,
    })
}

fn inner_message(inner: &Value) -> Option<String> {
    if let Some(message) = inner.get("message").and_then(Value::as_str).filter(|message| !message.is_empty()) {
        return Some(message.to_owned());
    }
    // SAP's innererror lists further errors.
    let list = inner.get("errordetails").and_then(Value::as_array)?;
    let messages: Vec<String> = list.iter().take(DETAILS_MAX).filter_map(coded).collect();
    (!messages.is_empty()).then(|| messages.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn code_message_details_and_the_inner_error_become_one_sentence() {
        let body = br#"{"error":{"code":"501","message":"Unsupported","target":"query",
            "details":[{"code":"301","target":"$search","message":"not supported"},{"message":"and more"}],
            "innererror":{"message":"line 5\nof the trace"}}}"#;
        assert_eq!(
            error_text(body),
            "501: Unsupported ($search: 301: not supported; and more) [inner: line 5 of the trace]"
        );
    }

    #[test]
    fn other_shapes_are_understood_or_quoted() {
        let sap = br#"{"error":{"code":"SY/530","message":{"lang":"en","value":"No plant"},
            "innererror":{"errordetails":[{"code":"X1","message":"Plant 12"}]}}}"#;
        assert_eq!(error_text(sap), "SY/530: No plant [inner: X1: Plant 12]");
        assert_eq!(error_text(b"<error><code>1</code></error>"), "<error><code>1</code></error>");
        assert_eq!(error_text(b""), "");
        let long = format!(r#"{{"error":{{"message":"{}"}}}}"#, "x".repeat(5_000));
        assert_eq!(error_text(long.as_bytes()).chars().count(), 701);
    }

    proptest! {
        #[test]
        fn no_body_panics(body in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = error_text(&body);
        }
    }
}
