//! `$batch` in JSON (OData JSON Format 4.01 §19).

use crate::entity::Change;
use crate::exchange::PartAnswer;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// The content type of what [`write`] gives.
pub(crate) const CONTENT_TYPE: &str = "application/json";

/// The body of a `$batch`. The changes' bodies are put in as they are, so that their numbers keep their digits.
pub(crate) fn write(changes: &[(Change, Vec<(String, String)>)], change_set: bool) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let group = if change_set { "\"atomicityGroup\":\"g0\"," } else { "" };
    let requests = changes.iter().enumerate().map(|(index, (change, headers))| {
        let fields =
            headers.iter().map(|(name, value)| format!("{}:{}", quoted(&name.to_ascii_lowercase()), quoted(value)));
        format!(
            "{{\"id\":\"{index}\",{group}\"method\":\"{}\",\"url\":{},\"headers\":{{{}}},\"body\":{}}}",
            change.method.to_ascii_lowercase(),
            quoted(&change.url),
            fields.collect::<Vec<_>>().join(","),
            change.body
        )
    });
    format!("{{\"requests\":[{}]}}", requests.collect::<Vec<_>>().join(","))
}

#[derive(Deserialize)]
struct Answers<'a> {
    #[serde(borrow)]
    responses: Vec<Answer<'a>>,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(default)]
    id: Option<String>,
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default, borrow)]
    body: Option<&'a RawValue>,
}

/// The answers inside an answer, in order.
///
/// # Errors
/// Half a sentence: what is wrong with it.
pub(crate) fn read(body: &[u8]) -> Result<Vec<PartAnswer>, String> {
    let answers: Answers<'_> = serde_json::from_slice(body).map_err(|error| format!("it is no JSON batch: {error}"))?;
    let part = |answer: Answer<'_>| PartAnswer {
        id: answer.id,
        status: answer.status,
        headers: answer.headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect(),
        body: answer.body.map(|body| body.get().as_bytes().to_vec()).unwrap_or_default(),
    };
    Ok(answers.responses.into_iter().map(part).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_keep_their_digits_and_share_a_group() {
        let change = Change {
            method: "PATCH",
            url: "S('a')".into(),
            condition: None,
            body: "{\"V\":1.500000000000000000001}".into(),
        };
        let written = write(&[(change, vec![("If-Match".into(), "*".into())])], true);
        assert_eq!(
            written,
            r#"{"requests":[{"id":"0","atomicityGroup":"g0","method":"patch","url":"S('a')","headers":{"if-match":"*"},"body":{"V":1.500000000000000000001}}]}"#
        );
    }

    #[test]
    fn answers_are_taken_apart() {
        let body = br#"{"responses":[{"id":"1","status":400,"headers":{"Retry-After":"3"},"body":{"error":{"code":"x"}}},{"id":"0","status":204}]}"#;
        let answers = read(body).expect("answers");
        assert_eq!((answers[0].id.as_deref(), answers[0].status), (Some("1"), 400));
        assert_eq!(answers[0].body, br#"{"error":{"code":"x"}}"#);
        assert_eq!(answers[0].headers, [("retry-after".to_owned(), "3".to_owned())]);
        assert!(read(b"<html>").expect_err("no JSON").starts_with("it is no JSON batch"));
    }
}
