//! What is answered: XML to XML, JSON to the others, or what the settings say. Pure.

use crate::settings::{AnswerSettings, Format};
use bulkhead_sdk::prelude::*;
use serde_json::json;

/// What became of a body.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// So many values came through, and this was wrong with others.
    Taken { readings: usize, problems: Vec<String> },
    /// Nothing could be used.
    Refused { status: u16, error: String },
}

/// The answer to a body of a format.
pub(crate) fn answer(outcome: &Outcome, format: Format, settings: Option<&AnswerSettings>) -> Reply {
    if let Some(settings) = settings {
        return own(outcome, settings);
    }
    match (format, outcome) {
        (Format::Xml, Outcome::Taken { readings, problems }) => {
            let problems: String =
                problems.iter().map(|problem| format!("<problem>{}</problem>", xml(problem))).collect();
            whole(200, "application/xml", document(&format!("<readings>{readings}</readings>{problems}")))
        }
        (Format::Xml, Outcome::Refused { status, error }) => {
            whole(*status, "application/xml", document(&format!("<error>{}</error>", xml(error))))
        }
        (_, Outcome::Taken { readings, problems }) if problems.is_empty() => {
            whole(200, "application/json", json!({ "readings": readings }).to_string())
        }
        (_, Outcome::Taken { readings, problems }) => {
            whole(200, "application/json", json!({ "readings": readings, "problems": problems }).to_string())
        }
        (_, Outcome::Refused { status, error }) => {
            whole(*status, "application/json", json!({ "error": error }).to_string())
        }
    }
}

fn document(content: &str) -> String {
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<response>{content}</response>\n")
}

fn own(outcome: &Outcome, settings: &AnswerSettings) -> Reply {
    let escaped = |text: &str| match settings.media_type.to_ascii_lowercase() {
        media_type if media_type.contains("xml") || media_type.contains("html") => xml(text),
        media_type if media_type.contains("json") => {
            let quoted = json!(text).to_string();
            quoted[1..quoted.len() - 1].to_owned()
        }
        _ => text.to_owned(),
    };
    let (status, template, readings, problems, error) = match outcome {
        Outcome::Taken { readings, problems } => (settings.status, &settings.taken, *readings, problems.join("; "), ""),
        Outcome::Refused { status, error } => {
            (*status, settings.refused.as_ref().unwrap_or(&settings.taken), 0, String::new(), error.as_str())
        }
    };
    // Piece by piece, so that what is filled in is not filled again.
    let mut body = String::new();
    let mut rest = template.as_str();
    while let Some(at) = rest.find('{') {
        body.push_str(&rest[..at]);
        rest = &rest[at..];
        let filled =
            [("{readings}", readings.to_string()), ("{problems}", escaped(&problems)), ("{error}", escaped(error))];
        match filled.iter().find(|(name, _)| rest.starts_with(name)) {
            Some((name, text)) => {
                body.push_str(text);
                rest = &rest[name.len()..];
            }
            None => {
                body.push('{');
                rest = &rest[1..];
            }
        }
    }
    body.push_str(rest);
    whole(status, &settings.media_type, body)
}

fn whole(status: u16, media_type: &str, body: String) -> Reply {
    let headers = vec![("content-type".to_owned(), media_type.to_owned())];
    Reply { status, headers, body: body.into_bytes(), readings: Vec::new() }
}

fn xml(text: &str) -> String {
    // Control characters have no form in XML 1.0.
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    quick_xml::escape::escape(plain.as_str()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(reply: &Reply) -> (u16, &str, &str) {
        (reply.status, &reply.headers[0].1, std::str::from_utf8(&reply.body).unwrap())
    }

    #[test]
    fn xml_is_answered_by_xml_and_what_is_told_cannot_break_out() {
        let refused = Outcome::Refused { status: 400, error: "found `<a>&\u{1}`".into() };
        let (status, media_type, body) = (400, "application/xml", "<error>found `&lt;a&gt;&amp; `</error>");
        let reply = answer(&refused, Format::Xml, None);
        assert_eq!((shown(&reply).0, shown(&reply).1), (status, media_type));
        assert!(shown(&reply).2.contains(body), "{}", shown(&reply).2);
        let taken = Outcome::Taken { readings: 2, problems: vec!["p".into()] };
        assert!(shown(&answer(&taken, Format::Xml, None)).2.contains("<readings>2</readings><problem>p</problem>"));
        assert_eq!(shown(&answer(&taken, Format::Form, None)).2, r#"{"problems":["p"],"readings":2}"#);
    }

    #[test]
    fn an_answer_of_ones_own_is_filled_once_and_escaped_for_its_media_type() {
        let settings = |media_type: &str| AnswerSettings {
            media_type: media_type.into(),
            taken: "OK {readings} {else} {problems}".into(),
            refused: Some("NO {error}".into()),
            status: 202,
        };
        let taken = Outcome::Taken { readings: 1, problems: vec!["{readings} \"<\"".into()] };
        for (media_type, expected) in [
            ("text/plain", "OK 1 {else} {readings} \"<\""),
            ("text/xml", "OK 1 {else} {readings} &quot;&lt;&quot;"),
            ("application/json", "OK 1 {else} {readings} \\\"<\\\""),
        ] {
            assert_eq!(shown(&answer(&taken, Format::Form, Some(&settings(media_type)))), (202, media_type, expected));
        }
        let refused = Outcome::Refused { status: 400, error: "why".into() };
        assert_eq!(shown(&answer(&refused, Format::Xml, Some(&settings("text/plain")))), (400, "text/plain", "NO why"));
    }
}
