//! The path and the body as templates, and what is checked of what they give before it is sent.

use crate::settings::{DEFAULT_BATCH_BODY, DEFAULT_READING_BODY, Mode, Settings};
use bulkhead_sdk::Fault;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};
use serde::de::IgnoredAny;
use std::fmt::Write as _;

const PATH: &str = "path";
const BODY: &str = "body";
/// How expressions in a path are written.
const PERCENT: &str = "percent";
/// Longest path in bytes; servers commonly refuse more.
const PATH_MAX_BYTES: usize = 8_192;

/// The two templates of a request.
#[derive(Debug)]
pub(crate) struct Templates {
    environment: Environment<'static>,
    is_json: bool,
}

impl Templates {
    /// Compiles both.
    ///
    /// # Errors
    /// A fault that names the template and the line.
    pub(crate) fn compile(settings: &Settings) -> Result<Templates, Fault> {
        let is_json = is_json(&settings.content_type);
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(move |name| match name {
            PATH => AutoEscape::Custom(PERCENT.into()),
            _ if is_json => AutoEscape::Json,
            _ => AutoEscape::None,
        });
        environment.set_formatter(|out, state, value| match state.auto_escape() {
            AutoEscape::Custom(_) if value.is_safe() => Ok(out.write_str(&value.to_string())?),
            AutoEscape::Custom(_) => Ok(out.write_str(&percent_encoded(&value.to_string()))?),
            _ => minijinja::escape_formatter(out, state, value),
        });
        let default_body = if settings.mode == Mode::Batch { DEFAULT_BATCH_BODY } else { DEFAULT_READING_BODY };
        let body = settings.body.as_deref().unwrap_or(default_body);
        for (name, source) in [(PATH, settings.path.as_str()), (BODY, body)] {
            environment.add_template_owned(name, source.to_owned()).map_err(|error| fault(name, &error))?;
        }
        Ok(Templates { environment, is_json })
    }

    /// The path of a request.
    ///
    /// # Errors
    /// The template fails, or what it gives is no path.
    pub(crate) fn path(&self, context: &Value) -> Result<String, Fault> {
        let path = self.render(PATH, context)?;
        let is_path = path.is_empty() || path.starts_with(['/', '?']);
        if !is_path || path.len() > PATH_MAX_BYTES || path.chars().any(|c| c.is_control() || c == ' ') {
            let shown: String = path.chars().take(100).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
            let message = format!(
                "settings.path gave `{shown}`: expected nothing or a path that begins with `/`, without spaces, of at most {PATH_MAX_BYTES} bytes"
            );
            return Err(Fault::reconfigure("bad-path", message));
        }
        Ok(path)
    }

    /// The body of a request.
    ///
    /// # Errors
    /// The template fails, or what it gives is not the JSON that the content type promises.
    pub(crate) fn body(&self, context: &Value) -> Result<String, Fault> {
        let body = self.render(BODY, context)?;
        if self.is_json
            && let Err(error) = serde_json::from_str::<IgnoredAny>(&body)
        {
            let line = body.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
            let near: String = line.chars().skip(error.column().saturating_sub(20)).take(40).collect();
            let message = format!(
                "settings.body gave no JSON: {error}, near `{near}`; every {{{{ … }}}} is written as JSON, texts with their quotes, so put none around it"
            );
            return Err(Fault::reconfigure("bad-body", message));
        }
        Ok(body)
    }

    fn render(&self, name: &str, context: &Value) -> Result<String, Fault> {
        let template = self.environment.get_template(name).map_err(|error| fault(name, &error))?;
        template.render(context.clone()).map_err(|error| fault(name, &error))
    }
}

/// `application/json` and its relatives (RFC 6839), whatever their parameters.
fn is_json(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media_type == "application/json" || media_type.ends_with("+json")
}

fn fault(name: &str, error: &minijinja::Error) -> Fault {
    let line = error.line().map(|line| format!(", line {line}")).unwrap_or_default();
    let detail = error.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
    Fault::reconfigure("bad-template", format!("settings.{name}{line}: {}{detail}", error.kind()))
}

/// Everything but unreserved characters (RFC 3986 §2.3) as `%XX`, so that a name cannot reach into another part of a path.
/// A name of dots alone is encoded too, or it would be taken for a folder above.
fn percent_encoded(text: &str) -> String {
    let dots_only = matches!(text, "." | "..");
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~') || (byte == b'.' && !dots_only) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use minijinja::context;
    use proptest::prelude::*;

    fn templates(path: &str, body: &str) -> Result<Templates, Fault> {
        let settings = serde_json::json!({ "path": path, "body": body });
        Templates::compile(&serde_json::from_value(settings).expect("settings"))
    }

    #[test]
    fn names_cannot_leave_their_place_in_a_path() {
        let templates = templates("/p/{{ a }}/x?q={{ b }}", "{}").expect("templates");
        let path = templates.path(&context! { a => "../ü/", b => 1.5 });
        assert_eq!(path, Ok("/p/..%2F%C3%BC%2F/x?q=1.5".to_owned()));
        assert_eq!(templates.path(&context! { a => "..", b => 1 }), Ok("/p/%2E%2E/x?q=1".to_owned()));
    }

    #[test]
    fn what_is_no_path_is_not_sent() {
        for path in ["x", "/a b", "http://other/", "/a\r\nb"] {
            let fault = templates(path, "{}").expect("templates").path(&context! {}).expect_err(path);
            assert_eq!((fault.code.as_str(), fault.remedy), ("bad-path", bulkhead_sdk::Remedy::Reconfigure), "{path}");
        }
    }

    #[test]
    fn texts_in_a_json_body_are_quoted_and_what_is_no_json_is_not_sent() {
        let good = templates("", r#"{"n": {{ n }}, "v": {{ v }}}"#).expect("templates");
        let body = good.body(&context! { n => "a\"b", v => () }).expect("JSON");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&body).ok(),
            Some(serde_json::json!({"n": "a\"b", "v": null}))
        );
        let quoted = templates("", r#"{"n": "{{ n }}"}"#).expect("templates");
        let fault = quoted.body(&context! { n => "a" }).expect_err("two pairs of quotes");
        assert!(fault.message.contains("put none around it") && fault.message.contains("line 1"), "{}", fault.message);
    }

    #[test]
    fn mistakes_in_templates_name_their_line() {
        let fault = templates("", "{\n{{ batch. }}").map(drop).expect_err("syntax");
        assert!(fault.message.starts_with("settings.body, line 2: syntax error"), "{}", fault.message);
        let fault =
            templates("", "{\n\"a\": {{ raeding.value }}}").expect("syntax").body(&context! {}).expect_err("undefined");
        assert!(fault.message.starts_with("settings.body, line 2: undefined value"), "{}", fault.message);
    }

    #[test]
    fn json_types_are_known_with_parameters_and_suffixes() {
        assert!(
            is_json("application/json; charset=utf-8") && is_json("application/vnd.api+JSON") && !is_json("text/csv")
        );
    }

    proptest! {
        #[test]
        fn any_text_fits_into_a_json_body_and_a_path(text in "\\PC{0,30}") {
            let templates = templates("/{{ t }}", "[{{ t }}]").expect("templates");
            let context = context! { t => text.clone() };
            let body: Vec<String> = serde_json::from_str(&templates.body(&context).expect("JSON")).expect("JSON");
            prop_assert_eq!(&body[0], &text);
            prop_assert!(templates.path(&context).expect("a path").is_ascii());
        }
    }
}
